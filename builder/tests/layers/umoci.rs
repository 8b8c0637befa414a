//! umoci unpacks layers for us to compare with.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use testdata::{Compression, Image, Layer, Layout, Snapshot, judge};

/// Later than any time in a test's layers, earlier than any run of the tests: 2024-01-01.
const NEWEST_TIME: i64 = 1_704_067_200;

/// Unpacks every sequence of layers (as gzip: umoci 0.4.7 knows no zstd) and hands the result, or
/// umoci's last line of complaint, to `check`, from several threads; the complaints of `check`
/// come back in order. Nothing is checked where umoci is not installed.
pub(crate) fn check_all(
    sequences: &[Vec<Layer>],
    check: impl Fn(usize, Result<Snapshot, String>) -> Option<String> + Sync,
) -> Vec<String> {
    let Some(umoci) = judge("umoci") else {
        return Vec::new();
    };
    let dir = tempfile::tempdir().unwrap();
    let next = AtomicUsize::new(0);
    let complaints = Mutex::new(BTreeMap::new());
    let worker = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(layers) = sequences.get(index) else {
                return;
            };
            let unpacked = unpack(&umoci, &dir.path().join(index.to_string()), layers);
            if let Some(complaint) = check(index, unpacked) {
                complaints.lock().unwrap().insert(index, complaint);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(worker);
        }
    });
    complaints.into_inner().unwrap().into_values().collect()
}

fn unpack(umoci: &Path, dir: &Path, layers: &[Layer]) -> Result<Snapshot, String> {
    let image = layers.iter().fold(Image::new(), |image, layer| {
        image.layer_as(layer, Compression::Gzip)
    });
    Layout::new()
        .image("localhost/case:1", &image.plain_manifest())
        .write_dir(&dir.join("oci"));
    let mut command = Command::new(umoci);
    command.args(["raw", "unpack"]);
    if !is_root() {
        command.arg("--rootless");
    }
    let output = command
        .arg("--image")
        .arg(format!("{}:localhost/case:1", dir.join("oci").display()))
        .arg(dir.join("rootfs"))
        .output()
        .unwrap();
    let rootfs = dir.join("rootfs");
    // Also of what umoci left half done: reading it makes it possible to delete it.
    let snapshot = rootfs.exists().then(|| Snapshot::of_dir(&rootfs));
    let result = match snapshot {
        Some(snapshot) if output.status.success() => Ok(snapshot),
        _ => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(text.lines().last().unwrap_or_default().to_owned())
        }
    };
    std::fs::remove_dir_all(dir).unwrap();
    result
}

/// Whether umoci can keep owners and make devices.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where umoci's tree and ours differ, but for what umoci cannot know or do.
pub(crate) fn differences(theirs: &Snapshot, ours: &Snapshot) -> Vec<String> {
    let (mut theirs, mut ours) = (theirs.clone(), ours.clone());
    for facts in theirs.0.values_mut() {
        // A folder that no entry describes gets the present as its time, and so does the one in
        // which umoci makes it.
        if facts.kind == "dir" && facts.mtime > Some(NEWEST_TIME) {
            facts.mtime = None;
        }
    }
    if !is_root() {
        without_privileges(&mut theirs);
        without_privileges(&mut ours);
    }
    theirs.differences(&ours)
}

/// What a user without privileges cannot give to files is made equal.
fn without_privileges(snapshot: &mut Snapshot) {
    for facts in snapshot.0.values_mut() {
        (facts.uid, facts.gid) = (0, 0);
        if matches!(facts.kind, "char" | "block") {
            // umoci --rootless puts an empty file there.
            facts.kind = "file";
            facts.content = testdata::snapshot::file_content(b"");
        }
    }
}
