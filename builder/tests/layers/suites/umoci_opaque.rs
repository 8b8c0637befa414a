//! umoci, `oci/layer`: `TestUnpackOpaqueWhiteout`. All happens in a folder `t`, which the upper
//! layer makes opaque, last of all: what is only in the lower layer goes, what is in the upper one
//! stays.

use testdata::Layer;

use super::{Case, case, layer, suite};

suite![
    empty_dir,
    one_level,
    one_level_no_upper,
    two_level,
    two_level_no_upper,
    multi_level,
    multi_level_no_upper,
    missing_upper_ancestor,
    upper_whiteout,
    upper_dir_whiteout,
];

const CLIMBING: &str = "../../../../../../../../../../../../etc/shadow";

/// The lower layer is there with the folder; the tree is the folder and what the upper layer has.
fn opaque(lower: Layer, upper: Layer) -> Case {
    let folder = layer().dir("t", 0o755);
    let mut tree = folder.clone();
    let is_marker = |path: &[u8]| path.windows(5).any(|part| part == b"/.wh.");
    tree.entries.extend(
        upper
            .entries
            .iter()
            .filter(|entry| !is_marker(&entry.path))
            .cloned(),
    );
    let mut below = folder;
    below.entries.extend(lower.entries);
    case([below, upper.opaque("t")]).gives(tree)
}

fn empty_dir() -> Case {
    opaque(layer(), layer())
}

fn one_level_links() -> Layer {
    layer()
        .symlink("t/link", "..")
        .symlink("t/badlink", "./nothing")
}

fn one_level() -> Case {
    opaque(layer().file("t/file", "").fifo("t/fifo"), one_level_links())
}

fn one_level_no_upper() -> Case {
    opaque(one_level_links().file("t/file", "").fifo("t/fifo"), layer())
}

fn two_level_kept() -> Layer {
    layer()
        .file("t/file", "")
        .dir("t/dir", 0o755)
        .file("t/dir/file", "")
        .symlink("t/dir/verybadlink", CLIMBING)
}

fn two_level_gone() -> Layer {
    one_level_links()
        .symlink("t/dir/link", "../badlink")
        .symlink("t/dir/verybadlink2", format!("/{CLIMBING}"))
}

fn two_level() -> Case {
    opaque(two_level_gone(), two_level_kept())
}

fn both(mut a: Layer, b: Layer) -> Layer {
    a.entries.extend(b.entries);
    a
}

fn two_level_no_upper() -> Case {
    opaque(both(two_level_gone(), two_level_kept()), layer())
}

fn multi_level_kept() -> Layer {
    layer()
        .file("t/level1_file", "")
        .dir("t/level1a", 0o755)
        .symlink("t/level1a/level2_link", "../../../")
        .dir("t/level1a/level2b", 0o755)
        .file("t/level1a/level2b/level3_fileA", "")
}

fn multi_level_gone() -> Layer {
    layer()
        .symlink("t/level1_link", "..")
        .file("t/level1a/level2_file", "")
        .dir("t/level1a/level2a", 0o755)
        .file("t/level1a/level2a/level3_fileA", "")
        .file("t/level1a/level2a/level3_fileB", "")
        .file("t/level1a/level2b/level3_fileB", "")
        .dir("t/level1a/level2b/level3", 0o755)
        .dir("t/level1a/level2b/level3/level4", 0o755)
        .dir("t/level1b", 0o755)
        .file("t/level1b/level2_fileA", "")
        .file("t/level1b/level2_fileB", "")
        .dir("t/level1b/level2", 0o755)
        .file("t/level1b/level2/level3_file", "")
}

fn multi_level() -> Case {
    opaque(multi_level_gone(), multi_level_kept())
}

fn multi_level_no_upper() -> Case {
    opaque(both(multi_level_gone(), multi_level_kept()), layer())
}

/// The upper layer does not list the folders that lead to its file. lkbuild hides them with the
/// rest and makes them anew (0755, root); umoci keeps them with their attributes, as they happen
/// to be 0755 root here.
fn missing_upper_ancestor() -> Case {
    opaque(
        layer()
            .dir("t/some", 0o755)
            .dir("t/some/dir", 0o755)
            .dir("t/another", 0o755)
            .dir("t/another/dir", 0o755)
            .file("t/another/dir/somewhere", ""),
        layer().file("t/some/dir/somewhere", ""),
    )
}

fn upper_whiteout() -> Case {
    opaque(
        layer().file("t/fileC", ""),
        layer()
            .whiteout("t/fileB")
            .file("t/fileA", "")
            .file("t/fileB", "")
            .whiteout("t/fileA")
            .whiteout("t/fileC"),
    )
}

fn upper_dir_whiteout() -> Case {
    opaque(
        layer()
            .file("t/file", "")
            .symlink("t/dir1/link", "../badlink")
            .symlink("t/dir1/verybadlink2", format!("/{CLIMBING}"))
            .symlink("t/dir2/link", "../badlink"),
        layer()
            .whiteout("t/dir2")
            .dir("t/dir1", 0o755)
            .file("t/dir1/file", "")
            .symlink("t/dir1/verybadlink", CLIMBING)
            .whiteout("t/dir1")
            .dir("t/dir2", 0o755)
            .file("t/dir2/file", ""),
    )
}
