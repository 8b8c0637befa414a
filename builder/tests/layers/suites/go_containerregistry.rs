//! go-containerregistry, `pkg/v1/mutate` and `pkg/v1/remote`: `OverwrittenFile`, `Whiteout`,
//! `OpaqueWhiteout`, `RejectsUnsafeArchivePaths`. What is about blobs (`PartialRead`,
//! `VerifiesLayerDigest`, `BadHash`, `BadSize`) is in `builder/src/digest.rs` and
//! `builder/src/registry/tests`.

use super::{Case, case, layer, suite};

suite![
    extract_whiteout,
    extract_whiteout_dir,
    extract_overwritten_file,
    extract_opaque_whiteout,
    rejects_unsafe_archive_paths_dotdot,
    rejects_unsafe_archive_paths_absolute,
    rejects_unsafe_archive_paths_nested,
];

fn extract_whiteout() -> Case {
    case([
        layer().file("foo.txt", "foo").file("bar.txt", "bar"),
        layer().whiteout("foo.txt"),
    ])
    .gives(layer().file("bar.txt", "bar"))
}

fn extract_whiteout_dir() -> Case {
    case([
        layer().dir("foo", 0o755).file("foo/bar.txt", "bar"),
        layer().whiteout("foo"),
        layer().file("foobar", "another name that begins alike"),
    ])
    .gives(layer().file("foobar", "another name that begins alike"))
}

fn extract_overwritten_file() -> Case {
    case([
        layer().file("foo.txt", "foo"),
        layer().file("foo.txt", "bar"),
    ])
    .gives(layer().file("foo.txt", "bar"))
}

fn extract_opaque_whiteout() -> Case {
    case([
        layer().dir("d", 0o755).file("d/lower", "lower"),
        layer().dir("d", 0o711).opaque("d").file("d/upper", "upper"),
    ])
    .gives(layer().dir("d", 0o711).file("d/upper", "upper"))
}

/// It refuses such names; here, as in umoci, they end inside the tree.
fn unsafe_path(name: &str) -> Case {
    case([layer().file(name, "x")]).gives(layer().file("escape", "x"))
}

fn rejects_unsafe_archive_paths_dotdot() -> Case {
    unsafe_path("../escape")
}

fn rejects_unsafe_archive_paths_absolute() -> Case {
    unsafe_path("/escape")
}

fn rejects_unsafe_archive_paths_nested() -> Case {
    unsafe_path("a/../../escape")
}
