//! No entry of an image reaches outside the image's own tree: not in the merged tree, not in the
//! initrd, not in the tar.

use testdata::{Image, Layer, Layout, Prng, Snapshot, sequences};

use crate::lab::{Lab, Options};
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

/// The system with these layers as the hostile container's, as initrd and as tar.
fn build(layers: &[Layer]) -> Result<(Snapshot, Snapshot), String> {
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
        tar: true,
        ..Options::default()
    };
    let built = Lab::new(&images).build_with(YAML, options)?;
    Ok((built.tree(), read::tar(&built.tar)))
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
    let (initrd, tar) = build(&[Layer::new()]).unwrap();
    let (good_initrd, good_tar) = (outside(&initrd), outside(&tar));
    let is_passwd = |path: &Vec<u8>| {
        path.starts_with(b"containers/services/good/") && path.ends_with(b"/etc/passwd")
    };
    assert!(good_tar.0.keys().any(is_passwd), "nothing to compare");
    let mut refused = 0;
    for seed in 0..sequence_count() {
        let mut random = Prng::new(seed);
        let layers = sequences::hostile(&mut |bound| random.below(bound));
        let Ok((initrd, tar)) = build(&layers) else {
            refused += 1;
            continue;
        };
        for (kind, archive, good) in [("initrd", initrd, &good_initrd), ("tar", tar, &good_tar)] {
            let differences = good.differences(&outside(&archive));
            assert_eq!(differences, [""; 0], "seed {seed}, {kind}");
            let own = archive.0.keys().any(|path| path.starts_with(OWN));
            assert!(own, "seed {seed}: the {kind} lacks the image");
        }
    }
    println!("inputs: {}", sequence_count());
    assert!(refused < sequence_count() / 2, "{refused} refused");
}
