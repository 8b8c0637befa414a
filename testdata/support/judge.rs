//! Outside programs and the golden vectors: found, or missed loudly.

use std::path::{Path, PathBuf};

/// Folder of the workspace's `Cargo.toml`.
pub fn workspace_dir() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("testdata lies in the workspace").into()
}

/// The folder of the golden vectors that are not part of the repository: `$LKBUILD_VECTORS`, or
/// `../shared/vectors` beside the workspace. `None`, and one printed line, where it is absent.
pub fn vectors_dir() -> Option<PathBuf> {
    let dir = match std::env::var_os("LKBUILD_VECTORS") {
        Some(dir) => PathBuf::from(dir),
        None => workspace_dir().join("../shared/vectors"),
    };
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("skipped: no golden vectors at {}", dir.display());
    None
}

/// A Python with the judges that come from PyPI (testdata/install-judges); missing, as with
/// [`judge`].
pub fn judge_python() -> Option<PathBuf> {
    let python = workspace_dir().join("target/judges/bin/python3");
    if !python.is_file() {
        assert!(
            std::env::var_os("CI").is_none(),
            "judges written in Python missing: run testdata/install-judges"
        );
        eprintln!("skipped: no judges written in Python (testdata/install-judges installs them)");
        return None;
    }
    Some(python)
}

/// The outside program that judges a test. Missing, it fails the test where the environment
/// variable `CI` is set; elsewhere the caller skips the test, and one line says so.
pub fn judge(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps mkfs and its like where only root's PATH looks.
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        missing(program);
    }
    found
}

/// As [`judge`], for a file or folder that such a program needs.
pub fn judge_file(path: &Path) -> Option<()> {
    if path.exists() {
        return Some(());
    }
    missing(&path.display().to_string());
    None
}

fn missing(what: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "judge {what} missing: run testdata/install-tools"
    );
    eprintln!("skipped: {what} not installed (testdata/install-tools installs it)");
}
