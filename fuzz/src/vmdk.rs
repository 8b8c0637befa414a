//! VMware's disks.

use formats::payload::{Extents, Payload};
use formats::vmdk::SparseReader;

/// Where a seed's second part stands in the file: grains start there.
pub const DATA_AT: u64 = 65_536;

/// How much of a seed stands at the start of the file: header, descriptor and the tables of a small disk.
pub const HEAD_BYTES: usize = 16 << 10;

/// Opens any bytes as a disk and reads at places all over it. The zeros that a real file has
/// between descriptor and grains are left out of the input.
pub fn vmdk(data: &[u8]) {
    let (head, rest) = data.split_at(data.len().min(HEAD_BYTES));
    let len_bytes = if rest.is_empty() {
        head.len() as u64
    } else {
        DATA_AT + rest.len() as u64
    };
    let mut file = Extents::new(len_bytes);
    let placed = file
        .place(0, head.to_vec())
        .and_then(|()| file.place(len_bytes - rest.len() as u64, rest.to_vec()));
    assert!(placed.is_ok(), "the parts of a seed overlap");
    if let Ok(disk) = SparseReader::open(file) {
        assert!(disk.len_bytes() <= 62 << 40);
        let mut piece = [0; 3000];
        for part in 0..32 {
            let last = disk.len_bytes().saturating_sub(piece.len() as u64);
            let _ = disk.read_exact_at(last / 31 * part, &mut piece);
            let _ = disk.read_exact_at(part * 65_536, &mut piece);
        }
    }
}
