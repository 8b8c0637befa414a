//! The images that the guests are built of.

use std::path::PathBuf;
use std::process::Command;

use crate::{judge, workspace_dir};

/// The guest's images (`testdata/guest`) as an OCI layout, made where they are not there yet;
/// `None`, and one printed line, where programs or packages for it can't be had (a failure in CI).
pub fn guest_images() -> Option<PathBuf> {
    for program in ["python3", "dpkg-deb"] {
        judge(program)?;
    }
    let folder = workspace_dir().join("target/guest");
    let script = workspace_dir().join("testdata/guest/build-parts");
    let output = Command::new(script).arg(&folder).output().unwrap();
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(
            std::env::var_os("CI").is_none(),
            "no parts to boot: {}\n{why}",
            output.status
        );
        eprintln!("skipped: no parts to boot: {why}");
        return None;
    }
    Some(folder.join("oci"))
}
