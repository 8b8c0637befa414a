//! containerd, `pkg/archive`: the cases of `TestBreakouts`, and `TestApplyTar`.
//!
//! There a layer is unpacked onto a folder of the host, and the test looks whether anything got
//! out of it. Here the whole tree is compared: what got out would be missing from it.

use testdata::Layer;

use super::{Case, case, layer, suite};

suite![
    symlink_absolute,
    symlink_up_and_out,
    symlink_multiple_absolute,
    symlink_multiple_relative,
    symlink_empty_file,
    hardlink_relative,
    hardlink_down_and_out,
    hardlink_absolute,
    hardlink_relative_long,
    hardlink_relative_up_and_out,
    hardlink_direct_relative,
    hardlink_direct_absolute,
    symlink_parent_directory,
    symlink_empty_filename,
    symlink_parent_relative,
    symlink_slash_ended,
    symlink_override_directory,
    symlink_override_directory_relative,
    directory_override_symlink,
    directory_override_symlink_and_hardlink,
    whiteout_root_parent,
    whiteout_parent,
    whiteout_root,
    whiteout_current_directory,
    whiteout_symlink,
    whiteout_symlink_path,
    whiteout_directory_name,
    whiteout_dead_symlink_parent,
    whiteout_relative_path,
    hardlink_symlink_before_create_target,
    hardlink_symlink_relative,
    hardlink_symlink_absolute,
    hardlink_symlink_chmod,
    directory_creation,
];

fn symlink_absolute() -> Case {
    let tree = layer().dir("etc", 0o755).symlink("localetc", "/etc");
    case([tree.clone().file("/localetc/unbroken", "unbroken")])
        .gives(tree.file("etc/unbroken", "unbroken"))
}

fn symlink_up_and_out() -> Case {
    let tree = layer()
        .dir("etc", 0o755)
        .dir("dummy", 0o755)
        .symlink("localetc", "/dummy/../etc");
    case([tree.clone().file("/localetc/unbroken", "unbroken")])
        .gives(tree.file("etc/unbroken", "unbroken"))
}

fn symlink_multiple_absolute() -> Case {
    let tree = layer()
        .dir("etc", 0o755)
        .dir("dummy", 0o755)
        .symlink("dummy/etc", "/etc")
        .symlink("localetc", "/dummy/etc");
    case([tree.clone().file("/dummy/etc/unbroken", "unbroken")])
        .gives(tree.file("etc/unbroken", "unbroken"))
}

fn symlink_multiple_relative() -> Case {
    let tree = layer()
        .dir("etc", 0o755)
        .dir("dummy", 0o755)
        .symlink("dummy/etc", "/etc")
        .symlink("localetc", "./dummy/etc");
    case([tree.clone().file("/localetc/unbroken", "unbroken")])
        .gives(tree.file("etc/unbroken", "unbroken"))
}

fn symlink_empty_file() -> Case {
    let tree = layer().dir("etc", 0o755).symlink("localetc", "/etc");
    case([tree
        .clone()
        .file("etc/emptied", "not empty")
        .file("/localetc/emptied", "")])
    .gives(tree.file("etc/emptied", ""))
}

fn passwd() -> Layer {
    layer().dir("etc", 0o770).file("etc/passwd", "inside")
}

/// A hard link through a symlink that climbs: it links the file inside.
fn hardlink_through(name: &str, target: &str, link: &str) -> Case {
    let tree = passwd().symlink(name, target);
    let through = format!("/{name}/passwd");
    case([tree.clone().hardlink(link, through)]).gives(tree.hardlink(link, "etc/passwd"))
}

fn hardlink_relative() -> Case {
    hardlink_through("breakouts/d1", "../../etc", "breakouts/mypasswd")
}

fn hardlink_down_and_out() -> Case {
    hardlink_through(
        "breakouts/d1",
        "../downandout/../../etc",
        "breakouts/mypasswd",
    )
}

fn hardlink_absolute() -> Case {
    hardlink_through("localetc", "/etc", "localpasswd")
}

fn hardlink_relative_long() -> Case {
    hardlink_through("localetc", "../../../../../../../etc", "localpasswd")
}

fn hardlink_relative_up_and_out() -> Case {
    hardlink_through("localetc", "upandout/../../../etc", "localpasswd")
}

fn hardlink_to(target: &str) -> Case {
    case([passwd().hardlink("localpasswd", target)])
        .gives(passwd().hardlink("localpasswd", "etc/passwd"))
}

fn hardlink_direct_relative() -> Case {
    hardlink_to("../../../../../etc/passwd")
}

fn hardlink_direct_absolute() -> Case {
    hardlink_to("/etc/passwd")
}

/// containerd passes over what would replace the root; umoci and lkbuild refuse it: no tool makes
/// such an entry by accident.
fn symlink_parent_directory() -> Case {
    case([passwd()
        .symlink("..", "/etc/")
        .hardlink("localpasswd", "/etc/passwd")])
    .refused("root")
}

/// As [`symlink_parent_directory`]: an empty name is refused as what it is.
fn symlink_empty_filename() -> Case {
    case([passwd()
        .symlink("", "/etc/")
        .hardlink("localpasswd", "/etc/passwd")])
    .refused("it is empty")
}

fn symlink_parent_relative() -> Case {
    case([passwd()
        .symlink("localetc/sub/..", "/etc/")
        .hardlink("/localetc/localpasswd", "/etc/passwd")])
    .gives(
        passwd()
            .symlink("localetc", "/etc/")
            .hardlink("etc/localpasswd", "etc/passwd"),
    )
}

fn symlink_slash_ended() -> Case {
    case([passwd()
        .dir("localetc/", 0o770)
        .hardlink("/localetc/localpasswd", "/etc/passwd")])
    .gives(
        passwd()
            .dir("localetc", 0o770)
            .hardlink("localetc/localpasswd", "etc/passwd"),
    )
}

fn override_directory(target: &str) -> Case {
    case([
        passwd().dir("localetc", 0o755),
        layer()
            .symlink("localetc", target)
            .hardlink("/localetc/localpasswd", "/etc/passwd"),
    ])
    .gives(
        passwd()
            .symlink("localetc", target)
            .hardlink("etc/localpasswd", "etc/passwd"),
    )
}

fn symlink_override_directory() -> Case {
    override_directory("/etc")
}

fn symlink_override_directory_relative() -> Case {
    override_directory("../../etc")
}

fn directory_override_symlink() -> Case {
    case([
        passwd().symlink("localetc", "/etc"),
        layer()
            .dir("/localetc/", 0o755)
            .hardlink("/localetc/localpasswd", "/etc/passwd"),
    ])
    .gives(
        passwd()
            .dir("localetc", 0o755)
            .hardlink("localetc/localpasswd", "etc/passwd"),
    )
}

fn directory_override_symlink_and_hardlink() -> Case {
    case([
        passwd()
            .symlink("localetc", "etc")
            .hardlink("/localetc/localpasswd", "/etc/passwd"),
        layer()
            .dir("/localetc/", 0o755)
            .file("/localetc/localpasswd", "different"),
    ])
    .gives(
        passwd()
            .hardlink("etc/localpasswd", "etc/passwd")
            .dir("localetc", 0o755)
            .file("localetc/localpasswd", "different"),
    )
}

fn whiteout_named(name: &str) -> Case {
    case([passwd(), layer().file(name, "")])
        .refused("whiteout without a name")
        .unsafe_for_umoci()
}

fn whiteout_root_parent() -> Case {
    whiteout_named(".wh...")
}

fn whiteout_parent() -> Case {
    whiteout_named("etc/.wh...")
}

fn whiteout_root() -> Case {
    whiteout_named(".wh..")
}

fn whiteout_current_directory() -> Case {
    whiteout_named("etc/.wh..")
}

fn whiteout_symlink() -> Case {
    case([
        passwd().symlink("localetc", "/etc"),
        layer().whiteout("localetc"),
    ])
    .gives(passwd())
}

fn whiteout_symlink_path() -> Case {
    case([
        passwd()
            .file("etc/whitedout", "gone")
            .symlink("localetc", "/etc"),
        layer().whiteout("localetc/whitedout"),
    ])
    .gives(passwd().symlink("localetc", "/etc"))
}

/// containerd unpacks a folder whose name is a whiteout's. No name that begins `.wh.` ever stands
/// in lkbuild's trees (image-spec, layer.md: such names are reserved); what claims to lie in a
/// whiteout is dropped with it.
fn whiteout_directory_name() -> Case {
    case([passwd(), layer().file(".wh.etc/somefile", "not empty")])
        .gives(passwd())
        .umoci_differs("unpacks it")
}

fn whiteout_dead_symlink_parent() -> Case {
    let tree = passwd().symlink("localetc", "/dne");
    case([tree.clone(), layer().whiteout("localetc/etc")]).gives(tree)
}

fn whiteout_relative_path() -> Case {
    case([
        passwd().symlink("localetc", "/dne"),
        layer().file("dne/../.wh.etc", ""),
    ])
    .gives(layer().symlink("localetc", "/dne"))
}

fn hardlink_symlink_before_create_target() -> Case {
    let tree = layer()
        .dir("etc", 0o770)
        .symlink("localpasswd", "/etc/passwd")
        .hardlink("localpasswd-dup", "localpasswd");
    case([tree.clone().file("/etc/passwd", "after")]).gives(tree.file("etc/passwd", "after"))
}

fn hardlink_to_symlink(target: &str) -> Case {
    let tree = passwd().symlink("passwdlink", target);
    case([tree.clone().hardlink("localpasswd", "/passwdlink")])
        .gives(tree.hardlink("localpasswd", "passwdlink"))
}

fn hardlink_symlink_relative() -> Case {
    hardlink_to_symlink("../../../../../etc/passwd")
}

fn hardlink_symlink_absolute() -> Case {
    hardlink_to_symlink("/etc/passwd")
}

/// CVE-2021-32760 as well: the mode of a link is nobody's but the link's target's, and that is
/// inside the tree.
fn hardlink_symlink_chmod() -> Case {
    let tree = layer()
        .file("tmp/perm400", "...")
        .mode(0o400)
        .symlink("tmp/also-exists-outside-root", "/tmp/perm400");
    case([tree
        .clone()
        .hardlink("sketchylink", "/tmp/also-exists-outside-root")
        .mode(0o777)])
    .gives(tree.hardlink("sketchylink", "tmp/also-exists-outside-root"))
}

fn directory_creation() -> Case {
    case([
        layer().dir("etc", 0o755),
        layer()
            .dir("/etc/subdir", 0o755)
            .dir("/etc/subdir2/", 0o755)
            .dir("/etc/subdir2/more", 0o755)
            .dir("/other/noparent-1/1", 0o755)
            .dir("/other/noparent-2/2/", 0o755),
    ])
    .gives(
        layer()
            .dir("etc", 0o755)
            .dir("etc/subdir", 0o755)
            .dir("etc/subdir2", 0o755)
            .dir("etc/subdir2/more", 0o755)
            .dir("other/noparent-1/1", 0o755)
            .dir("other/noparent-2/2", 0o755),
    )
}
