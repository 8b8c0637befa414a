//! No entry of an image reaches outside the image's own tree: not in the merged tree, not in the
//! initrd, tar, squashfs or ISO.

use std::process::Command;

use testdata::{Image, Layer, Layout, Prng, Snapshot, judge, sequences};

use crate::lab::{Built, Lab, Options};
use crate::read;

/// Where the tree of the hostile container may be.
const OWN: &[u8] = b"containers/onboot/000-evil/";

const YAML: &str = "\
init:
  - test/init:1
onboot:
  - name: evil
    image: test/evil:1
services:
  - name: good
    image: test/good:1
";

/// Enough for `make test`; `make soak` asks for more.
fn sequence_count() -> u64 {
    let wanted = std::env::var("LKBUILD_RANDOM_SEQUENCES").ok();
    wanted.map_or(150, |count| count.parse().unwrap())
}

/// The system with these layers as the hostile container's.
fn build(layers: &[Layer]) -> Result<Built, String> {
    let evil = layers.iter().fold(Image::new(), Image::layer);
    let base = Layer::new()
        .dir("etc", 0o755)
        .file("etc/passwd", "root")
        .dir("a", 0o755)
        .file("a/b", "mine");
    let images = Layout::new()
        .image("test/init:1", &Image::new().layer(&base))
        .image("test/good:1", &Image::new().layer(&base))
        .image("test/evil:1", &evil);
    let options = Options {
        trees: true,
        ..Options::default()
    };
    Lab::new(&images).build_with(YAML, options)
}

/// The trees of all outputs, by name.
fn trees(built: &Built) -> [(&'static str, Snapshot); 4] {
    [
        ("initrd", built.tree()),
        ("tar", read::tar(&built.tar)),
        ("squashfs", read::squashfs(&built.squashfs)),
        ("ISO", read::iso(&built.iso)),
    ]
}

/// What an archive has outside the hostile container, after a look at every name.
fn outside(archive: &Snapshot) -> Snapshot {
    let mut rest = archive.clone();
    for path in archive.0.keys() {
        let shown = path.escape_ascii();
        for name in path.split(|&byte| byte == b'/') {
            assert!(!matches!(name, b"" | b"." | b".."), "{shown}");
            assert!(!name.starts_with(b".wh."), "{shown}");
        }
        if path.starts_with(OWN) {
            rest.0.remove(path);
        }
    }
    // The archives' readers have checked that each parent is a folder that stood before: nothing
    // lies behind a symlink. A hard link must not tie the two parts together either.
    for (path, facts) in &rest.0 {
        assert!(
            !facts.link_group.starts_with(OWN),
            "{}",
            path.escape_ascii()
        );
    }
    rest
}

#[test]
fn no_entry_reaches_outside_its_own_tree() {
    let good = trees(&build(&[Layer::new()]).unwrap());
    let good = good.map(|(kind, tree)| (kind, outside(&tree)));
    let is_passwd = |path: &Vec<u8>| {
        path.starts_with(b"containers/services/good/") && path.ends_with(b"/etc/passwd")
    };
    for (kind, good) in &good {
        assert!(good.0.keys().any(is_passwd), "{kind}: nothing to compare");
    }
    let mut refused = 0;
    for seed in 0..sequence_count() {
        let mut random = Prng::new(seed);
        let layers = sequences::hostile(&mut |bound| random.below(bound));
        let Ok(built) = build(&layers) else {
            refused += 1;
            continue;
        };
        for ((kind, archive), (_, good)) in trees(&built).into_iter().zip(&good) {
            let differences = good.differences(&outside(&archive));
            assert_eq!(differences, [""; 0], "seed {seed}, {kind}");
            let own = archive.0.keys().any(|path| path.starts_with(OWN));
            assert!(own, "seed {seed}: the {kind} lacks the image");
        }
    }
    println!("inputs: {}", sequence_count());
    assert!(refused < sequence_count() / 2, "{refused} refused");
}

/// Names in a listing by another program, which tells files from folders and links.
fn listed(program: &str, arguments: &[&str], image: &[u8]) -> Option<Vec<String>> {
    let program = judge(program)?;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), image).unwrap();
    let arguments: Vec<_> = arguments
        .iter()
        .map(|argument| match *argument {
            "IMAGE" => file.path().as_os_str(),
            other => other.as_ref(),
        })
        .collect();
    let output = Command::new(program).args(arguments).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let names = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<String> = names.lines().map(str::to_owned).collect();
    names.sort();
    Some(names)
}

/// What was tried on others: the way out by "..", a link to the outside and a file through it, a hard
/// link to another's file, a link in place of the container's root.
#[test]
fn others_find_nothing_outside_either() {
    let attempts = [
        Layer::new().file("../../services/good/lower/etc/passwd", "evil"),
        Layer::new()
            .file("/etc/passwd", "evil")
            .file("a/../../x", "evil"),
        Layer::new().symlink("a", "/etc").file("a/passwd", "evil"),
        Layer::new()
            .symlink("up", "../../..")
            .file("up/etc/passwd", "evil"),
        Layer::new().hardlink("mine", "../../services/good/lower/etc/passwd"),
        Layer::new().symlink(".", "/etc").file("passwd", "evil"),
    ];
    let mut looked_at = 0;
    for (number, attempt) in attempts.into_iter().enumerate() {
        let Ok(built) = build(&[attempt]) else {
            continue;
        };
        looked_at += 1;
        let mut expected: Vec<String> = built
            .tree()
            .0
            .into_keys()
            .map(|path| String::from_utf8(path).unwrap())
            .collect();
        expected.sort();
        let arguments = ["-no-progress", "-l", "IMAGE"];
        if let Some(names) = listed("unsquashfs", &arguments, &built.squashfs) {
            let names = names
                .iter()
                .filter_map(|name| name.strip_prefix("squashfs-root/"));
            let names: Vec<_> = names.collect();
            assert_eq!(names, expected, "{number}: squashfs");
        }
        if let Some(names) = listed("isoinfo", &["-R", "-f", "-i", "IMAGE"], &built.iso) {
            let names: Vec<_> = names
                .iter()
                .map(|name| name.trim_start_matches('/'))
                .collect();
            assert_eq!(names, expected, "{number}: ISO");
        }
    }
    assert!(looked_at > 1, "all refused: nothing was looked at");
}
