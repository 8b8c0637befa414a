//! containerd, `pkg/archive`: the layers that `TestDiffTar` expects from a change are put on top
//! of what was changed.

use testdata::Layer;

use super::{Case, case, layer, suite};

suite![
    empty_diff,
    parent_inclusion,
    hardlink_parent_inclusion,
    update_directory_permission,
    hardlink_updated_parent,
    whiteout_includes_parents,
    whiteout_parent_removal,
];

fn empty_diff() -> Case {
    let tree = layer().dir("etc", 0o755);
    case([tree.clone(), layer()]).gives(tree)
}

fn parent_inclusion() -> Case {
    let tree = layer().dir("d1", 0o755).dir("d2", 0o770);
    let change = |tree: Layer| tree.dir("d1/d", 0o700).file("d2/f", "ok");
    case([tree.clone(), change(tree.clone())]).gives(change(tree))
}

/// A layer that links a lower file elsewhere has the file under its new name, and the old name as
/// a link to that.
fn hardlink_parent_inclusion() -> Case {
    let folders = |layer: Layer, numbers: &[u8]| {
        numbers
            .iter()
            .fold(layer, |layer, n| layer.dir(format!("d{n}"), 0o755))
    };
    let lower = folders(layer(), &[1, 2, 3, 4, 5, 6])
        .file("d1/f1", "link me")
        .file("d2/f1", "link me")
        .file("d4/f1", "link me")
        .file("d5/f1", "link me")
        .hardlink("d6/l1", "d1/f1")
        .hardlink("d6/l2", "d5/f1");
    let upper = layer()
        .dir("d2", 0o755)
        .file("d2/l1", "link me")
        .dir("d1", 0o755)
        .hardlink("d1/f1", "d2/l1")
        .dir("d3", 0o755)
        .file("d3/l1", "link me")
        .dir("d4", 0o755)
        .hardlink("d4/f1", "d3/l1")
        .dir("d6", 0o755)
        .whiteout("d6/l1")
        .whiteout("d6/l2");
    case([lower, upper]).gives(
        folders(layer(), &[1, 2, 3, 4, 5, 6])
            .file("d1/f1", "link me")
            .hardlink("d2/l1", "d1/f1")
            .file("d2/f1", "link me")
            .file("d3/l1", "link me")
            .hardlink("d4/f1", "d3/l1")
            .file("d5/f1", "link me"),
    )
}

fn update_directory_permission() -> Case {
    let change = layer()
        .dir("d1", 0o777)
        .dir("d1/d", 0o700)
        .dir("d2", 0o770)
        .file("d2/f", "ok");
    case([layer().dir("d1", 0o755).dir("d2", 0o770), change.clone()]).gives(change)
}

fn hardlink_updated_parent() -> Case {
    let lower = layer()
        .dir("d1", 0o755)
        .file("d1/f1", "link me")
        .dir("d2", 0o755)
        .file("d2/f1", "link me")
        .dir("d3", 0o755)
        .file("d3/f1", "link me")
        .dir("d4", 0o755);
    let upper = layer()
        .dir("d1", 0o777)
        .dir("d2", 0o755)
        .file("d2/l1", "link me")
        .hardlink("d1/f1", "d2/l1")
        .dir("d4", 0o777)
        .file("d4/l1", "link me")
        .dir("d3", 0o755)
        .hardlink("d3/f1", "d4/l1");
    case([lower, upper.clone()]).gives(upper.file("d2/f1", "link me"))
}

fn whiteout_includes_parents() -> Case {
    let lower = layer()
        .file("d1/f1", "content")
        .file("d2/f1", "content")
        .file("d2/f2", "content")
        .file("d3/f1", "content")
        .file("d4/f1", "content")
        .file("d5/f1", "content");
    let upper = layer()
        .dir("d1", 0o755)
        .whiteout("d1/f1")
        .dir("d2", 0o755)
        .whiteout("d2/f1")
        .file("d2/f2", "content")
        .mode(0o777)
        .dir("d3", 0o755)
        .whiteout("d3/f1")
        .file("d3/f2", "content")
        .dir("d4", 0o755)
        .file("d4/f0", "content")
        .whiteout("d4/f1")
        .whiteout("d5");
    case([lower, upper]).gives(
        layer()
            .dir("d1", 0o755)
            .dir("d2", 0o755)
            .file("d2/f2", "content")
            .mode(0o777)
            .dir("d3", 0o755)
            .file("d3/f2", "content")
            .dir("d4", 0o755)
            .file("d4/f0", "content"),
    )
}

fn whiteout_parent_removal() -> Case {
    case([
        layer()
            .dir("d1", 0o755)
            .dir("d2", 0o755)
            .file("d2/f1", "content"),
        layer().whiteout("d1").whiteout("d2").dir("d3", 0o755),
    ])
    .gives(layer().dir("d3", 0o755))
}
