//! The BIOS loader that is committed as bytes is what its sources say.
//!
//! This program's own compiler assembles it. With the rustc of `boot/RUSTC` the bytes must be the
//! same; with another one they may differ, and the boots of this program try what came out.
//!
//! After a change of the sources: `LKBUILD_WRITE_BLOBS=1 cargo test -p lkbuild-formats --test bios`.

use std::path::Path;
use std::process::Command;

use crate::assembled;

/// The compiler, as it names itself.
fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn blobs_are_what_their_sources_say() {
    let boot = Path::new(env!("CARGO_MANIFEST_DIR")).join("boot");
    let recorded = boot.join("RUSTC");
    let blobs = [
        (boot.join("bios/mbr.bin"), assembled::mbr().to_vec()),
        (boot.join("bios/stage2.bin"), assembled::stage2().to_vec()),
    ];
    if std::env::var_os("LKBUILD_WRITE_BLOBS").is_some() {
        for (path, assembled) in &blobs {
            std::fs::write(path, assembled).unwrap();
        }
        std::fs::write(&recorded, compiler()).unwrap();
    }
    let made_by = std::fs::read_to_string(&recorded).unwrap();
    for (path, assembled) in blobs {
        let same = std::fs::read(&path).unwrap() == assembled;
        let name = path.display();
        if !same && compiler().trim() != made_by.trim() {
            println!("{name} was made by {made_by}; this compiler makes another one");
            continue;
        }
        assert!(
            same,
            "{name} is not what its source says: run with LKBUILD_WRITE_BLOBS=1"
        );
    }
}
