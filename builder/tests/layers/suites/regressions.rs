//! Sequences that tools got wrong, each under the project and issue where it was noticed.

use testdata::Layer;

use super::{Case, case, layer, suite};

suite![
    linuxkit_opaque_whiteouts_are_ignored,
    ggcr_2372_opaque_marker_after_its_siblings,
    ggcr_1897_opaque_folder_in_the_middle_layer,
    ggcr_2029_whiteout_of_a_folder_and_its_new_self,
    ggcr_977_hard_link_to_a_rewritten_file,
    ggcr_2002_hard_link_to_a_file_that_a_layer_removes,
    ggcr_2191_whiteout_between_files_of_its_folder,
    ggcr_1623_opaque_inside_one_layer,
    containerd_13030_whiteouts_of_layers_unpacked_in_parallel,
    containerd_4628_trailing_data,
    stereoscope_694_opaque_over_a_lower_symlink,
    composefs_rs_205_opaque_marker_by_its_right_name,
    kaniko_2308_whiteout_under_a_folder_that_became_a_symlink,
    smolvm_401_whiteout_shipped_as_a_hard_link,
    box_78_hard_link_over_an_existing_path,
    buildah_6297_chain_of_hard_links,
];

fn linuxkit_opaque_whiteouts_are_ignored() -> Case {
    case([
        layer().dir("d", 0o755).file("d/old", "old"),
        layer().dir("d", 0o755).opaque("d").file("d/new", "new"),
    ])
    .gives(layer().dir("d", 0o755).file("d/new", "new"))
}

fn ggcr_2372_opaque_marker_after_its_siblings() -> Case {
    case([
        layer().dir("d", 0o755).file("d/old", "old"),
        layer().dir("d", 0o755).file("d/new", "new").opaque("d"),
    ])
    .gives(layer().dir("d", 0o755).file("d/new", "new"))
}

fn ggcr_1897_opaque_folder_in_the_middle_layer() -> Case {
    case([
        layer().dir("d", 0o755).file("d/one", "1"),
        layer().dir("d", 0o755).opaque("d").file("d/two", "2"),
        layer().dir("d", 0o700).file("d/three", "3"),
    ])
    .gives(
        layer()
            .dir("d", 0o700)
            .file("d/two", "2")
            .file("d/three", "3"),
    )
}

fn ggcr_2029_whiteout_of_a_folder_and_its_new_self() -> Case {
    case([
        layer().dir("d", 0o755).file("d/old", "old"),
        layer().whiteout("d"),
        layer().dir("d", 0o711).file("d/new", "new"),
    ])
    .gives(layer().dir("d", 0o711).file("d/new", "new"))
}

/// `t1`, `ln t1 t3`, rewrite `t1`: `t3` keeps the old content.
fn ggcr_977_hard_link_to_a_rewritten_file() -> Case {
    case([
        layer().file("t1", "old").hardlink("t3", "t1"),
        layer().file("t1", "new"),
    ])
    .gives(layer().file("t1", "new").file("t3", "old"))
}

fn ggcr_2002_hard_link_to_a_file_that_a_layer_removes() -> Case {
    case([
        layer().file("a", "x").hardlink("b", "a").hardlink("c", "a"),
        layer().whiteout("a"),
    ])
    .gives(layer().file("b", "x").hardlink("c", "b"))
}

fn ggcr_2191_whiteout_between_files_of_its_folder() -> Case {
    case([
        layer().dir("a", 0o700).file("a/bar", "lower"),
        layer()
            .file("a/foo", "foo")
            .whiteout("a")
            .file("a/baz", "baz"),
    ])
    .gives(
        layer()
            .dir("a", 0o755)
            .file("a/foo", "foo")
            .file("a/baz", "baz"),
    )
    .umoci_differs("keeps the attributes of a folder that was whited out")
}

fn ggcr_1623_opaque_inside_one_layer() -> Case {
    case([layer().dir("d", 0o755).file("d/a", "a").opaque("d")])
        .gives(layer().dir("d", 0o755).file("d/a", "a"))
}

/// Every layer hides what the one below made: a merge that loses the order shows a file that is
/// gone.
fn containerd_13030_whiteouts_of_layers_unpacked_in_parallel() -> Case {
    let layers = (0..20).map(|n: i32| {
        layer()
            .whiteout(format!("f{}", n - 1))
            .file(format!("f{n}"), n.to_string())
    });
    case(layers).gives(layer().file("f19", "19"))
}

fn containerd_4628_trailing_data() -> Case {
    let tree = layer().file("a", "a");
    case([tree.clone().trailing(b"more".repeat(5000))]).gives(tree)
}

fn stereoscope_694_opaque_over_a_lower_symlink() -> Case {
    let real = || layer().dir("real", 0o755).file("real/x", "x");
    case([
        real().symlink("link", "real"),
        layer()
            .dir("link", 0o755)
            .opaque("link")
            .file("link/y", "y"),
    ])
    .gives(real().dir("link", 0o755).file("link/y", "y"))
}

/// Its marker was taken to be `.wh..opq`, which is the whiteout of a file called `.opq`.
fn composefs_rs_205_opaque_marker_by_its_right_name() -> Case {
    let lower = || layer().dir("d", 0o755).file("d/x", "x");
    case([
        lower().file("d/.opq", "a file's name like others"),
        layer().file("d/.wh..opq", ""),
    ])
    .gives(lower())
}

fn kaniko_2308_whiteout_under_a_folder_that_became_a_symlink() -> Case {
    let kept = |layer: Layer| layer.dir("e", 0o755).file("e/f", "kept");
    case([
        kept(layer()).dir("d", 0o755).file("d/f", "f"),
        layer().whiteout("d/f").whiteout("d").symlink("d", "e"),
    ])
    .gives(kept(layer()).symlink("d", "e"))
}

fn smolvm_401_whiteout_shipped_as_a_hard_link() -> Case {
    case([
        layer().file("old", "old").file("top", "top"),
        layer().hardlink(".wh.old", "top"),
    ])
    .gives(layer().file("top", "top"))
}

fn box_78_hard_link_over_an_existing_path() -> Case {
    case([
        layer()
            .file("t", "t")
            .file("file", "file")
            .dir("dir", 0o755)
            .file("dir/x", "x"),
        layer().hardlink("file", "t").hardlink("dir", "t"),
    ])
    .gives(
        layer()
            .file("t", "t")
            .hardlink("file", "t")
            .hardlink("dir", "t"),
    )
}

fn buildah_6297_chain_of_hard_links() -> Case {
    case([layer()
        .file("a", "a")
        .hardlink("b", "a")
        .hardlink("c", "b")
        .hardlink("d/e", "c")])
    .gives(
        layer()
            .file("a", "a")
            .hardlink("b", "a")
            .hardlink("c", "a")
            .hardlink("d/e", "a"),
    )
}
