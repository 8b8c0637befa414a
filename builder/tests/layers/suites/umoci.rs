//! umoci, `oci/layer`: `TestUnpackEntrySanitiseScoping`, `SymlinkScoping`, `NonDirParent`,
//! `ParentDir`, `TestUnpackEntryWhiteout`, `TestUnpackHardlink`. Its verified reader
//! (`pkg/hardening`) has its tests in `builder/src/digest.rs`.

use super::{Case, case, layer, suite};

suite![
    sanitise_scoping_garbage_prefix,
    sanitise_scoping_dot_dot_prefix,
    symlink_scoping_root_prefix,
    symlink_scoping_garbage_prefix_1,
    symlink_scoping_garbage_prefix_2,
    symlink_scoping_garbage_prefix_3,
    symlink_scoping_dot_dot_prefix,
    non_dir_parent,
    parent_dir,
    whiteout_file_in_root,
    whiteout_hidden_file_in_root,
    whiteout_file_in_subdir,
    whiteout_hidden_file_in_subdir,
    whiteout_dir_in_root,
    whiteout_hidden_dir_in_root,
    whiteout_dir_in_subdir,
    whiteout_hidden_dir_in_subdir,
    whiteout_of_what_a_symlink_leads_to,
    whiteout_below_a_symlink_of_its_own_layer,
    whiteout_of_nothing,
    unpack_hardlink,
];

fn scoped(prefix: &str) -> Case {
    case([layer().file(format!("{prefix}/file"), "container content")])
        .gives(layer().file("file", "container content"))
}

fn sanitise_scoping_garbage_prefix() -> Case {
    scoped("/..")
}

fn sanitise_scoping_dot_dot_prefix() -> Case {
    scoped("..")
}

fn scoped_symlink(target: &str) -> Case {
    let tree = layer().symlink("link", target);
    case([tree.clone().file("link/file", "container content")])
        .gives(tree.file("file", "container content"))
}

fn symlink_scoping_root_prefix() -> Case {
    scoped_symlink("/")
}

fn symlink_scoping_garbage_prefix_1() -> Case {
    scoped_symlink("/../")
}

fn symlink_scoping_garbage_prefix_2() -> Case {
    scoped_symlink(&("/..".repeat(15) + "/"))
}

fn symlink_scoping_garbage_prefix_3() -> Case {
    scoped_symlink(&("/./..".repeat(8) + "/../"))
}

fn symlink_scoping_dot_dot_prefix() -> Case {
    scoped_symlink("..")
}

/// umoci#546: a file on the way of an entry gives way to a folder.
fn non_dir_parent() -> Case {
    case([layer().file("nondir", "").file("nondir/foo/bar/baz", "")])
        .gives(layer().file("nondir/foo/bar/baz", ""))
        .umoci_differs("0.4.7 is older than its own test")
}

fn parent_dir() -> Case {
    let tree = layer().file("a/b/c/file", "creating parents");
    case([tree.clone()]).gives(tree)
}

/// The whiteout of a file or full folder; the folder it lay in keeps its attributes.
fn whiteout(folder: &str, name: &str, is_dir: bool) -> Case {
    let kept = || match folder {
        "" => layer(),
        folder => layer().dir(folder, 0o711).mtime(123),
    };
    let path = format!("{folder}/{name}");
    let path = path.trim_start_matches('/');
    let lower = match is_dir {
        true => kept()
            .dir(path, 0o755)
            .file(format!("{path}/file1"), "some value")
            .file(format!("{path}/file2"), "some value")
            .dir(format!("{path}/.subdir"), 0o755)
            .file(format!("{path}/.subdir/file3"), "some value"),
        false => kept().file(path, "some value"),
    };
    case([lower, layer().whiteout(path)]).gives(kept())
}

fn whiteout_file_in_root() -> Case {
    whiteout("", "rootpath", false)
}

fn whiteout_hidden_file_in_root() -> Case {
    whiteout("", ".hiddenroot", false)
}

fn whiteout_file_in_subdir() -> Case {
    whiteout("some/path", "file", false)
}

fn whiteout_hidden_file_in_subdir() -> Case {
    whiteout("another/path", ".hiddenfile", false)
}

fn whiteout_dir_in_root() -> Case {
    whiteout("", "rootpath", true)
}

fn whiteout_hidden_dir_in_root() -> Case {
    whiteout("", ".hiddenroot", true)
}

fn whiteout_dir_in_subdir() -> Case {
    whiteout("some/path", "dir", true)
}

fn whiteout_hidden_dir_in_subdir() -> Case {
    whiteout("another/path", ".hiddendir", true)
}

fn whiteout_of_what_a_symlink_leads_to() -> Case {
    let tree = layer().dir("some/path", 0o711).symlink("link", "some/path");
    case([
        tree.clone().file("some/path/file", "some value"),
        layer().whiteout("link/file"),
    ])
    .gives(tree)
}

/// umoci has no such case. The symlink is followed if nothing was there before.
fn whiteout_below_a_symlink_of_its_own_layer() -> Case {
    case([
        layer()
            .dir("some", 0o711)
            .file("some/file", "hidden")
            .file("some/other", "kept"),
        layer().symlink("link", "some").whiteout("link/file"),
    ])
    .gives(
        layer()
            .dir("some", 0o711)
            .file("some/other", "kept")
            .symlink("link", "some"),
    )
}

fn whiteout_of_nothing() -> Case {
    let tree = layer().dir("some", 0o711).file("some/file", "kept");
    case([
        tree.clone(),
        layer().whiteout("some/other").whiteout("no/where"),
    ])
    .gives(tree)
}

fn unpack_hardlink() -> Case {
    let tree = layer()
        .file("regular", "some content")
        .owner(7, 8)
        .symlink("link", "../../../regular")
        .owner(7, 8);
    case([tree
        .clone()
        .hardlink("hard link", "/regular")
        .owner(1337, 2020)
        .hardlink("hard link to symlink", "../../../link")
        .owner(1337, 2020)])
    .gives(
        tree.hardlink("hard link", "regular")
            .hardlink("hard link to symlink", "link"),
    )
}
