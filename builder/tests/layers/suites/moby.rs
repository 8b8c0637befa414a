//! moby, `pkg/archive`: `TestApplyLayerInvalidFilenames`, `InvalidHardlink`, `InvalidSymlink`, and
//! the four layers of `TestApplyLayerWhiteouts`.
//!
//! moby refuses what climbs out of the root. Here such names end inside it, as chroot has it and
//! as umoci does: where the file exists there the link is made, else it is a link to nothing,
//! which is refused.

use testdata::Layer;

use super::{Case, case, layer, suite};

suite![
    invalid_filenames_dotdot,
    invalid_filenames_slash_dotdot,
    invalid_hardlink_dotdot,
    invalid_hardlink_slash_dotdot,
    invalid_hardlink_write_victim,
    invalid_hardlink_read_through_symlink,
    invalid_hardlink_read_through_hardlink,
    invalid_hardlink_remove_victim,
    invalid_symlink_dotdot,
    invalid_symlink_slash_dotdot,
    invalid_symlink_write_victim,
    invalid_symlink_read_through_symlink,
    invalid_symlink_read_through_hardlink,
    invalid_symlink_remove_victim,
    whiteouts_first_layer,
    whiteouts_second_layer,
    whiteouts_third_layer,
    whiteouts_fourth_layer,
];

fn invalid_filenames_dotdot() -> Case {
    case([layer().file("../victim/dotdot", "")]).gives(layer().file("victim/dotdot", ""))
}

fn invalid_filenames_slash_dotdot() -> Case {
    case([layer().file("/../victim/slash-dotdot", "")])
        .gives(layer().file("victim/slash-dotdot", ""))
}

fn invalid_hardlink_dotdot() -> Case {
    case([layer().hardlink("dotdot", "../victim/hello")]).refused("victim/hello")
}

fn invalid_hardlink_slash_dotdot() -> Case {
    case([layer().hardlink("slash-dotdot", "/../victim/hello")]).refused("victim/hello")
}

/// The victim of these cases lies in the image itself here; outside there is none to reach.
fn victim() -> Layer {
    layer().dir("victim", 0o755).file("victim/hello", "hello")
}

fn invalid_hardlink_write_victim() -> Case {
    case([victim()
        .hardlink("loophole-victim", "../victim")
        .file("loophole-victim/file", "")])
    .refused("which is a folder")
}

fn invalid_hardlink_read_through_symlink() -> Case {
    case([victim()
        .hardlink("loophole-victim", "../victim")
        .symlink("symlink", "loophole-victim/hello")])
    .refused("which is a folder")
}

fn invalid_hardlink_read_through_hardlink() -> Case {
    case([victim()
        .hardlink("loophole-victim", "../victim")
        .hardlink("hardlink", "loophole-victim/hello")])
    .refused("which is a folder")
}

fn invalid_hardlink_remove_victim() -> Case {
    case([victim()
        .hardlink("loophole-victim", "../victim")
        .file("loophole-victim", "")])
    .refused("which is a folder")
}

/// What a symlink says is the guest's affair: it is kept to the byte, and resolves in the guest.
fn invalid_symlink_dotdot() -> Case {
    let tree = layer().symlink("dotdot", "../victim/hello");
    case([tree.clone()]).gives(tree)
}

fn invalid_symlink_slash_dotdot() -> Case {
    let tree = layer().symlink("slash-dotdot", "/../victim/hello");
    case([tree.clone()]).gives(tree)
}

fn loophole() -> Layer {
    victim().symlink("loophole-victim", "../victim")
}

fn invalid_symlink_write_victim() -> Case {
    case([loophole().file("loophole-victim/file", "")]).gives(loophole().file("victim/file", ""))
}

fn invalid_symlink_read_through_symlink() -> Case {
    let tree = loophole().symlink("symlink", "loophole-victim/hello");
    case([tree.clone()]).gives(tree)
}

fn invalid_symlink_read_through_hardlink() -> Case {
    case([loophole().hardlink("hardlink", "loophole-victim/hello")])
        .gives(loophole().hardlink("hardlink", "victim/hello"))
}

fn invalid_symlink_remove_victim() -> Case {
    case([loophole().file("loophole-victim", "")]).gives(victim().file("loophole-victim", ""))
}

/// Folders end in `/`, as moby lists them.
fn listed(paths: &[&str]) -> Layer {
    paths
        .iter()
        .fold(layer(), |layer, path| match path.strip_suffix('/') {
            Some(folder) => layer.dir(folder, 0o700),
            None => layer.file(path, "").mode(0o600),
        })
}

/// The first so many layers, and the tree that they give.
fn whiteouts(layers: usize, tree: &[&str]) -> Case {
    let all = [
        listed(&FIRST),
        listed(&[
            ".bay",
            ".wh.baz",
            "foo/",
            "foo/.bce",
            "foo/.wh..wh..opq",
            "foo/cde/",
            "foo/cde/efg",
        ]),
        listed(&[
            ".bay",
            ".wh..baz",
            ".wh.foobar",
            "foo/",
            "foo/.abc",
            "foo/.wh.cde",
            "bar/",
        ]),
        listed(&[".abc", ".wh..wh..opq", "foobar"]),
    ];
    case(all.into_iter().take(layers)).gives(listed(tree))
}

const FIRST: [&str; 14] = [
    ".baz",
    "bar/",
    "bar/bax",
    "bar/bay/",
    "baz",
    "foo/",
    "foo/.abc",
    "foo/.bcd/",
    "foo/.bcd/a",
    "foo/cde/",
    "foo/cde/def",
    "foo/cde/efg",
    "foo/fgh",
    "foobar",
];

fn whiteouts_first_layer() -> Case {
    whiteouts(1, &FIRST)
}

fn whiteouts_second_layer() -> Case {
    whiteouts(
        2,
        &[
            ".bay",
            ".baz",
            "bar/",
            "bar/bax",
            "bar/bay/",
            "foo/",
            "foo/.bce",
            "foo/cde/",
            "foo/cde/efg",
            "foobar",
        ],
    )
}

fn whiteouts_third_layer() -> Case {
    whiteouts(
        3,
        &[
            ".bay", "bar/", "bar/bax", "bar/bay/", "foo/", "foo/.abc", "foo/.bce",
        ],
    )
}

fn whiteouts_fourth_layer() -> Case {
    whiteouts(4, &[".abc", "foobar"])
}
