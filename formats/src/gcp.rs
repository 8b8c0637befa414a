//! Images for Google Compute Engine: a raw disk in a tar in gzip ("Requirements to import boot
//! disk images": GNU tar, the file is called `disk.raw`, whole GiB).

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;

use tar::Header;

pub use crate::blocks::ImageError;
use crate::blocks::{encode_blocks, looks_random};
use crate::compress::{BodyInfo, Compression, SEGMENT_BYTES, Scratch, Stitcher, compress_segment};
use crate::payload::{Extents, Payload};

/// The disk is whole GiB.
const UNIT_BYTES: u64 = 1 << 30;

/// The name that is looked for.
const FILE_NAME: &str = "disk.raw";

/// Two zero blocks end a tar.
const TAR_END: [u8; 1024] = [0; 1024];

/// How what compresses is compressed.
const FAST: Compression = Compression::Gzip { level: 3 };

/// How the rest is: stored.
const STORED: Compression = Compression::Gzip { level: 0 };

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// Writes `disk`, filled up with zeros to whole GiB, as `disk.raw` in a gzipped tar. `mtime` is in
/// seconds since 1970. Pieces are compressed on all cores, and zeros are compressed only once.
///
/// # Errors
/// If the disk can't be read, or `out` can't be written.
pub fn write_gcp(
    out: impl Write + Send,
    disk: impl Payload + 'static,
    mtime: u64,
) -> Result<(), ImageError> {
    let len_bytes = disk.len_bytes().next_multiple_of(UNIT_BYTES);
    let mut whole = Extents::new(len_bytes);
    whole
        .place(0, Arc::new(disk))
        .map_err(|error| ImageError::Write(io::Error::other(error)))?;
    let mut stream = Stitcher::new(out, FAST).map_err(ImageError::Write)?;
    stream
        .literal(header(len_bytes, mtime).as_bytes())
        .map_err(ImageError::Write)?;

    let mut zeros = Vec::new();
    encode(&vec![0; SEGMENT_BYTES], &mut zeros).map_err(ImageError::Write)?;
    let mut next = 0;
    encode_blocks(&whole, SEGMENT_BYTES, encode, |block| {
        for _ in next..block.index {
            piece(&mut stream, &zeros)?;
        }
        next = block.index + 1;
        piece(&mut stream, block.encoded)
    })?;
    let mut finish = || {
        for _ in next..len_bytes / SEGMENT_BYTES as u64 {
            piece(&mut stream, &zeros)?;
        }
        stream.literal(&TAR_END)
    };
    finish().map_err(ImageError::Write)?;
    stream.finish().map_err(ImageError::Write)?;
    Ok(())
}

/// The header of GNU tar before POSIX ("oldgnu"), which holds any length.
fn header(len_bytes: u64, mtime: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..FILE_NAME.len()].copy_from_slice(FILE_NAME.as_bytes());
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header.set_size(len_bytes);
    header.set_cksum();
    header
}

/// A piece's checksum and its deflate blocks.
fn encode(plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&crc32fast::hash(plain).to_le_bytes());
    let compression = if looks_random(plain) { STORED } else { FAST };
    let bytes = plain.len() as u64;
    SCRATCH
        .with_borrow_mut(|scratch| compress_segment(scratch, compression, bytes, &[], plain, out))
}

fn piece<W: Write>(stream: &mut Stitcher<W>, encoded: &[u8]) -> io::Result<()> {
    let Some((crc32, segment)) = encoded.split_first_chunk::<4>() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let info = BodyInfo {
        bytes: SEGMENT_BYTES as u64,
        crc32: u32::from_le_bytes(*crc32),
    };
    stream.body(info, [io::Result::Ok(segment)])?;
    stream.entry_boundary()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use testdata::judge;

    use super::*;
    use crate::payload::FilePayload;
    use crate::testing::{awkward_disk, noise, same_content};

    fn image(disk: Extents) -> Vec<u8> {
        let mut out = Vec::new();
        write_gcp(&mut out, disk, 1_492_533_000).unwrap();
        out
    }

    #[test]
    fn tar_gives_back_a_disk_of_whole_gib() {
        let Some(tar) = judge("tar") else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar.gz");
        std::fs::write(&path, image(awkward_disk((100 << 20) + 12_345))).unwrap();
        let output = Command::new(tar)
            .args(["-xvzSf", "x.tar.gz"])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        assert_eq!(output.stdout, b"disk.raw\n");
        let raw = std::fs::File::open(folder.path().join("disk.raw")).unwrap();
        let raw = FilePayload::new(raw).unwrap();
        assert_eq!(raw.len_bytes(), 1 << 30);
        let mut start = vec![0; 101 << 20];
        raw.read_exact_at(0, &mut start).unwrap();
        assert!(same_content(&start, &awkward_disk((100 << 20) + 12_345)));
    }

    #[test]
    fn it_is_the_header_of_old_gnu_tar() {
        let mut plain = Vec::new();
        let image = image(Extents::new(1));
        let mut decoder = flate2::read::GzDecoder::new(&image[..]);
        io::Read::read_to_end(&mut io::Read::take(&mut decoder, 512), &mut plain).unwrap();
        assert_eq!(&plain[257..265], b"ustar  \0");
        assert_eq!(&plain[..9], b"disk.raw\0");
        assert!(image.len() < 5 << 20, "{} bytes for zeros", image.len());
    }

    #[test]
    fn the_number_of_threads_does_not_show() {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build()
                .unwrap()
                .install(|| image(awkward_disk(100 << 20)))
        };
        let one = with(1);
        assert!(with(3) == one);
    }

    #[test]
    fn what_does_not_compress_is_stored() {
        let mut disk = Extents::new(16 << 20);
        disk.place(0, noise(16 << 20)).unwrap();
        let bytes = image(disk).len();
        assert!(bytes < (16 << 20) + (5 << 20), "{bytes}");
    }
}
