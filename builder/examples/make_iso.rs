//! Writes the hybrid ISO of a kernel, an initrd and a command line in files, as a build does, but
//! without its images: `make_iso KERNEL INITRD CMDLINE OUT`. For testdata/bench-iso.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::Path;

use formats::iso::boot_iso;
use formats::medium::{BootFile, BootFiles, Loaders};
use formats::payload::{FilePayload, write_sparse};
use lkbuild::atomic::{PendingFile, commit};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kernel, initrd, cmdline, out] = &arguments[..] else {
        std::process::exit(2);
    };
    let file = |path: &str| {
        let file = File::open(path).unwrap();
        BootFile::read(FilePayload::new(file).unwrap()).unwrap()
    };
    let files = BootFiles {
        kernel: file(kernel),
        initrd: file(initrd),
        cmdline: std::fs::read_to_string(cmdline).unwrap(),
        ram_bytes: 1 << 30,
        images: Vec::new(),
    };
    let (loaders, _) = Loaders::for_files(&files).unwrap();
    let image = boot_iso(&files, &loaders, "bench", 0).unwrap();
    let mut out = PendingFile::create(Path::new(out)).unwrap();
    write_sparse(&mut out, &image.content).unwrap();
    commit(vec![out]).unwrap();
}
