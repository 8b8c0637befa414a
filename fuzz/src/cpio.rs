//! Archives as the kernel reads them.

use std::io::Read;

use formats::cpio::{Limits, Reader};

/// Reads any bytes as an initrd, bodies included, within small limits.
pub fn cpio(data: &[u8]) {
    let limits = Limits {
        entries: 1000,
        plain_bytes: 8 << 20,
        zstd_window_log: 20,
    };
    let mut reader = Reader::new(data, limits);
    let mut body_bytes = 0;
    while let Ok(Some(entry)) = reader.next_entry() {
        // Every other body is skipped instead of read.
        if entry.inode % 2 == 0 {
            let mut body = Vec::new();
            if reader.read_to_end(&mut body).is_ok() {
                assert_eq!(body.len() as u64, u64::from(entry.body_bytes));
            }
            body_bytes += body.len();
        }
    }
    assert!(body_bytes <= 9 << 20, "the limit on bytes was not kept");
}
