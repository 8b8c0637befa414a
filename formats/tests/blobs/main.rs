//! The loaders that are committed as bytes are what their sources say.
//!
//! They are built with rustc and its own linker for x86_64-unknown-linux-gnu, no other tool. With
//! the rustc of `boot/RUSTC` the bytes must be the same, in whatever folder the sources are. With
//! another one they are built and looked at here, and booted by `make soak`.
//!
//! After a change of the sources or of the rustc:
//! `LKBUILD_WRITE_BLOBS=1 cargo test -p lkbuild-formats --test blobs`.

// A panic is how a test fails.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod efi;
mod elf;

use std::path::{Path, PathBuf};
use std::process::Command;

use testdata::judge;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn boot_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("boot")
}

/// A compiler with the target's library and linker.
struct Rustc {
    program: PathBuf,
    linker: PathBuf,
    version: String,
}

impl Rustc {
    /// `None` where the target is not installed; a failure in CI.
    fn find() -> Option<Self> {
        let program = judge("rustc")?;
        let print = |what: &[&str]| {
            let output = Command::new(&program).args(what).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let sysroot = PathBuf::from(print(&["--print", "sysroot"]));
        let target = sysroot.join("lib/rustlib").join(TARGET);
        let host = print(&["--print", "host-tuple"]);
        let linker = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
        if !target.join("lib").is_dir() || !linker.is_file() {
            assert!(std::env::var_os("CI").is_none(), "no {TARGET} for rustc");
            eprintln!("skipped: rustc has no {TARGET} (rustup target add {TARGET})");
            return None;
        }
        let version = print(&["--version"]);
        Some(Self {
            program,
            linker,
            version,
        })
    }

    /// Whether it is the one that the committed bytes are from.
    fn is_recorded(&self) -> bool {
        let recorded = std::fs::read_to_string(boot_dir().join("RUSTC")).unwrap();
        recorded.trim() == self.version
    }
}

/// Compares a blob that was built with the one at `path`, or writes it there.
fn check(rustc: &Rustc, path: &Path, built: &[u8]) {
    if std::env::var_os("LKBUILD_WRITE_BLOBS").is_some() {
        std::fs::write(path, built).unwrap();
        std::fs::write(boot_dir().join("RUSTC"), rustc.version.clone() + "\n").unwrap();
        println!("wrote {}", path.display());
        return;
    }
    if !rustc.is_recorded() {
        println!("not compared: {} is not the recorded rustc", rustc.version);
        return;
    }
    let committed = std::fs::read(path).unwrap();
    assert!(
        committed == built,
        "{} is not what its sources say; see {}",
        path.display(),
        file!()
    );
}

#[test]
fn the_uefi_loader_is_what_its_sources_say() {
    let Some(rustc) = Rustc::find() else { return };
    let built = efi::build(&rustc, &boot_dir().join("efi"));
    check(&rustc, &boot_dir().join("efi/loader.efi"), &built);
}

#[test]
fn the_uefi_loader_does_not_know_its_folder() {
    let Some(rustc) = Rustc::find() else { return };
    let other = tempfile::tempdir().unwrap();
    let sources = other.path().join("a folder/of another name");
    std::fs::create_dir_all(&sources).unwrap();
    for file in std::fs::read_dir(boot_dir().join("efi")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), sources.join(file.file_name())).unwrap();
    }
    let here = efi::build(&rustc, &boot_dir().join("efi"));
    assert!(here == efi::build(&rustc, &sources));
}
