//! Classes of vulnerabilities of other unpackers, each under a number it has. What is about
//! documents and digests is in `builder/src/registry/tests` and `builder/src/digest.rs`, what
//! takes the whole program in `builder/tests/pipeline`; `docs/threat-model.md` lists all.

use testdata::{Layer, SparseFormat};

use super::{Case, case, layer, suite};

suite![
    cve_2018_15664_folder_swapped_for_a_symlink,
    cve_2019_14271_names_of_the_image_s_own_passwd_mean_nothing,
    cve_2021_29136_symlink_as_the_root,
    cve_2021_32760_modes_of_what_links_lead_to,
    cve_2024_9676_passwd_that_is_a_symlink_or_a_pipe,
    cve_2024_40635_owner_beyond_32_bits,
    cve_2024_40635_owner_that_means_unchanged,
    cve_2025_45582_symlink_and_file_in_two_steps,
    cve_2026_46703_file_through_an_absolute_symlink,
    rustsec_2018_0002_file_over_a_hard_link_is_not_written_through,
    rustsec_2026_0067_folder_over_a_symlink_leaves_its_target,
    rustsec_2025_0111_size_only_in_the_pax_record,
    rustsec_2026_0068_pax_size_against_the_header_s,
    tar_hidden_in_a_tar,
    tar_hidden_behind_one_block_of_zeros,
    one_block_of_zeros_at_the_end,
    cve_2017_14992_huge_pax_header,
    cve_2017_14992_many_pax_headers,
    cve_2025_58183_too_many_sparse_ranges,
];

/// Between two entries the folder becomes a symlink: the second one ends inside all the same.
fn cve_2018_15664_folder_swapped_for_a_symlink() -> Case {
    case([
        layer().dir("etc", 0o755).file("etc/passwd", "guest"),
        layer()
            .dir("work", 0o755)
            .file("work/first", "1")
            .symlink("work", "/etc")
            .file("work/passwd", "changed"),
    ])
    .gives(
        layer()
            .dir("etc", 0o755)
            .file("etc/passwd", "changed")
            .symlink("work", "/etc"),
    )
}

/// Nothing of an image is loaded or looked up while it is read: owners are numbers.
fn cve_2019_14271_names_of_the_image_s_own_passwd_mean_nothing() -> Case {
    let tree = layer()
        .file("etc/passwd", "evil:x:0:0::/:/bin/sh\n")
        .file("lib/libnss_files.so.2", "never loaded")
        .mode(0o755);
    case([tree
        .clone()
        .file("f", "x")
        .owner(1000, 1000)
        .pax("uname", "evil")
        .pax("gname", "evil")])
    .gives(tree.file("f", "x").owner(1000, 1000))
}

fn cve_2021_29136_symlink_as_the_root() -> Case {
    case([
        layer().symlink(".", "/etc"),
        layer().file("passwd", "changed"),
    ])
    .refused("root")
}

fn cve_2021_32760_modes_of_what_links_lead_to() -> Case {
    let tree = layer()
        .file("secret", "x")
        .mode(0o600)
        .symlink("link", "/secret");
    case([tree.clone(), layer().hardlink("again", "link").mode(0o4777)])
        .gives(tree.hardlink("again", "link"))
}

/// Podman opened what the image's `etc/passwd` led to, on the host. lkbuild opens nothing of a
/// tree by name: the link and the pipe are data.
fn cve_2024_9676_passwd_that_is_a_symlink_or_a_pipe() -> Case {
    let tree = layer()
        .symlink("etc/passwd", "/proc/self/fd/0")
        .fifo("etc/group");
    case([tree.clone()]).gives(tree)
}

fn cve_2024_40635_owner_beyond_32_bits() -> Case {
    case([layer().file("f", "x").owner(1 << 32, 0)])
        .refused("bad uid")
        .umoci_differs("fails only when the kernel refuses the owner, where it is root")
}

fn cve_2024_40635_owner_that_means_unchanged() -> Case {
    case([layer().file("f", "x").owner(0, u32::MAX.into())])
        .refused("bad gid")
        .umoci_differs("gives the file root's group")
}

fn cve_2025_45582_symlink_and_file_in_two_steps() -> Case {
    let tree = layer().symlink("x", "../../../../root");
    case([tree.clone(), layer().file("x/.ssh/authorized_keys", "key")])
        .gives(tree.file("root/.ssh/authorized_keys", "key"))
}

fn cve_2026_46703_file_through_an_absolute_symlink() -> Case {
    let tree = layer().symlink("escape", "/tmp");
    case([tree.clone().file("escape/pwned.txt", "x")]).gives(tree.file("tmp/pwned.txt", "x"))
}

fn rustsec_2018_0002_file_over_a_hard_link_is_not_written_through() -> Case {
    case([layer()
        .file("victim", "kept")
        .hardlink("link", "victim")
        .file("link", "new")])
    .gives(layer().file("victim", "kept").file("link", "new"))
}

fn rustsec_2026_0067_folder_over_a_symlink_leaves_its_target() -> Case {
    let real = || layer().dir("real", 0o700).file("real/x", "x");
    case([real().symlink("d", "real").dir("d", 0o777)]).gives(real().dir("d", 0o777))
}

/// A tar that would be a layer of its own, were it not a file's content.
fn inner() -> Vec<u8> {
    layer().file("evil", "evil").whiteout("etc").tar()
}

/// The file's true size is only in its PAX record. Who believes the header takes the content for
/// further entries.
fn rustsec_2025_0111_size_only_in_the_pax_record() -> Case {
    let tree = |layer: Layer| layer.file("inner.tar", inner());
    let sized = tree(layer())
        .pax("size", inner().len().to_string())
        .size_field(0);
    case([sized.file("after", "after")]).gives(tree(layer()).file("after", "after"))
}

/// As before, with a size in the header that is not zero, but wrong.
fn rustsec_2026_0068_pax_size_against_the_header_s() -> Case {
    let tree = |layer: Layer| layer.file("inner.tar", inner());
    let sized = tree(layer())
        .pax("size", inner().len().to_string())
        .size_field(512);
    case([sized.file("after", "after")]).gives(tree(layer()).file("after", "after"))
}

fn tar_hidden_in_a_tar() -> Case {
    let tree = layer().file("inner.tar", inner()).file("after", "after");
    case([tree.clone()]).gives(tree)
}

/// GNU tar stops at the zeros, other parsers go on: what lies behind them would be in the image of
/// some tools only. Go's reader, and so umoci and containerd, refuses it too.
fn tar_hidden_behind_one_block_of_zeros() -> Case {
    let hidden = layer().file("evil", "evil").tar();
    let tar = layer()
        .file("a", "a")
        .no_end_marker()
        .trailing([vec![0; 512], hidden].concat());
    case([tar]).refused("a block of zeros in the middle of the tar")
}

/// Half of the end marker is enough where nothing follows.
fn one_block_of_zeros_at_the_end() -> Case {
    let tree = layer().file("a", "a");
    case([tree.clone().no_end_marker().trailing([0; 512])]).gives(tree)
}

fn cve_2017_14992_huge_pax_header() -> Case {
    case([layer().file("a", "").pax("comment", vec![b'x'; 2 << 20])]).refused("--max-header-bytes")
}

/// Each is small; together, before one file, they are not.
fn cve_2017_14992_many_pax_headers() -> Case {
    let records = (0..3000).fold(layer().file("a", ""), |layer, n| {
        layer.pax(format!("comment.{n}"), vec![b'x'; 400])
    });
    case([records]).refused("--max-header-bytes")
}

fn cve_2025_58183_too_many_sparse_ranges() -> Case {
    let block = [b'x'; 512];
    let chunks: Vec<(u64, &[u8])> = (0..10_001).map(|n| (n * 1024, &block[..])).collect();
    case([layer().sparse("s", SparseFormat::OldGnu, 11 << 20, &chunks)])
        .refused("--max-sparse-ranges")
}
