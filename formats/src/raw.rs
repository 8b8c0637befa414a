//! Raw disks: the bytes themselves, with holes for zeros where the file system has them.

use std::io::{self, Seek, SeekFrom, Write};

pub use crate::blocks::ImageError;
use crate::blocks::encode_blocks;
use crate::payload::Payload;

/// Zeros of this length at such places become holes.
const BLOCK_BYTES: usize = 64 << 10;

/// Writes `disk` to `out`, which must be empty, and leaves zeros out by seeking over them.
///
/// # Errors
/// If the disk can't be read, or `out` can't be written.
pub fn write_raw(mut out: impl Write + Seek + Send, disk: &dyn Payload) -> Result<(), ImageError> {
    write_data(&mut out, disk, disk.len_bytes())?;
    out.flush().map_err(ImageError::Write)
}

/// Writes the disk, filled up with zeros to `len_bytes`, and leaves `out` at its end.
pub(crate) fn write_data(
    out: &mut (impl Write + Seek + Send),
    disk: &dyn Payload,
    len_bytes: u64,
) -> Result<(), ImageError> {
    let mut position = 0;
    encode_blocks(
        disk,
        BLOCK_BYTES,
        |plain, encoded| {
            encoded.extend_from_slice(plain);
            Ok(())
        },
        |block| {
            let start = block.index * BLOCK_BYTES as u64;
            // The last block was filled up beyond the end.
            let left = usize::try_from(len_bytes - start).unwrap_or(usize::MAX);
            let bytes = &block.encoded[..block.encoded.len().min(left)];
            if position != start {
                out.seek(SeekFrom::Start(start))?;
            }
            out.write_all(bytes)?;
            position = start + bytes.len() as u64;
            Ok(())
        },
    )?;
    end_with_zeros(out, position, len_bytes).map_err(ImageError::Write)
}

fn end_with_zeros(out: &mut (impl Write + Seek), position: u64, len_bytes: u64) -> io::Result<()> {
    if position < len_bytes {
        // A byte at the end gives the file its length.
        out.seek(SeekFrom::Start(len_bytes - 1))?;
        out.write_all(&[0])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::payload::Extents;
    use crate::testing::{awkward_disk, same_content};

    #[test]
    fn a_raw_disk_is_the_disk() {
        for len_bytes in [100 << 20, (100 << 20) + 12_345] {
            let disk = awkward_disk(len_bytes);
            let mut out = Cursor::new(Vec::new());
            write_raw(&mut out, &disk).unwrap();
            assert_eq!(out.get_ref().len() as u64, len_bytes);
            assert!(same_content(&out.into_inner(), &disk));
        }
        let mut out = Cursor::new(Vec::new());
        write_raw(&mut out, &Extents::new(3)).unwrap();
        assert_eq!(out.into_inner(), [0; 3]);
        write_raw(Cursor::new(Vec::new()), &Extents::new(0)).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn zeros_become_holes() {
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        write_raw(file.as_file(), &Extents::new(1 << 30)).unwrap();
        let metadata = file.as_file().metadata().unwrap();
        assert_eq!(metadata.len(), 1 << 30);
        assert!(metadata.blocks() < 1000, "{} blocks", metadata.blocks());
    }
}
