//! Writes the seeds that are small disks: `cargo run -p lkbuild-fuzz --example make_disk_seeds`.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;
use std::path::Path;

use formats::payload::Extents;
use formats::vmdk::{DiskId, Options, write_monolithic_sparse, write_stream_optimized};
use lkbuild_fuzz::vmdk::{DATA_AT, HEAD_BYTES};

fn main() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = seeds.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    let mut disk = Extents::new(1 << 20);
    disk.place(0, b"boot sector".to_vec()).unwrap();
    disk.place(700_000, vec![7; 3000]).unwrap();

    let options = Options::new(DiskId([1; 16]), "d.vmdk");
    let mut stream = Vec::new();
    write_stream_optimized(&mut stream, &disk, &options).unwrap();
    let mut sparse = Cursor::new(Vec::new());
    write_monolithic_sparse(&mut sparse, &disk, &options).unwrap();
    // Most of a stored grain is the same byte: its start does for a seed.
    let mut sparse = sparse.into_inner();
    sparse.truncate(usize::try_from(DATA_AT).unwrap() + 4096);
    for (name, image) in [("stream", stream), ("sparse", sparse)] {
        let data = usize::try_from(DATA_AT).unwrap();
        let parts = [&image[..HEAD_BYTES], &image[data..]].concat();
        write("vmdk", name, &parts);
    }
}
