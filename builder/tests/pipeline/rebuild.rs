//! A change costs what changed, and a build from packs gives the bytes of one without.

use lkbuild::progress::Counters;

use crate::lab::Lab;
use crate::system;

/// As much as configurations, `files:` and the like may come to.
const SMALL_BYTES: u64 = 30_000;

/// Builds, and builds the same without packs: the bytes must be the same.
fn build(lab: &Lab, yaml: &str) -> Counters {
    let built = lab.build(yaml);
    let clean = Lab::new(&system::images()).build(yaml);
    assert!(clean.files() == built.files(), "other bytes from packs");
    built.counters
}

/// What a changed YAML costs after the usual one was built.
fn change(from: &str, to: &str) -> Counters {
    assert!(system::YAML.contains(from), "{from:?} is not in the YAML");
    let lab = Lab::new(&system::images());
    build(&lab, system::YAML);
    build(&lab, &system::YAML.replace(from, to))
}

#[test]
fn a_first_build_compresses_every_layer_once() {
    let first = build(&Lab::new(&system::images()), system::YAML);
    // Kernel, init, what the three containers share, and the top of each.
    assert_eq!(first.layers_packed, 6);
    assert_eq!(first.layers_reused, 0);
    assert!(first.compressed_bytes > 3_900_000, "{first:?}");
}

#[test]
fn the_same_again_compresses_nothing() {
    let lab = Lab::new(&system::images());
    let first = build(&lab, system::YAML);
    let again = build(&lab, system::YAML);
    assert_eq!(again.layers_packed, 0);
    assert_eq!(again.layers_reused, 6);
    assert!(again.compressed_bytes < SMALL_BYTES, "{again:?}");
    let all = |counters: &Counters| counters.compressed_bytes + counters.reused_bytes;
    assert_eq!(all(&first), all(&again));
}

#[test]
fn another_onboot_step_compresses_its_own_layer() {
    let changed = change("test/dhcp:1", "test/dhcp:2");
    assert_eq!(changed.layers_packed, 1);
    let new = 150_000..150_000 + SMALL_BYTES;
    assert!(new.contains(&changed.compressed_bytes), "{changed:?}");
}

#[test]
fn an_onboot_step_more_compresses_nothing_that_is_there() {
    // The steps after it get other numbers, and so other paths.
    let step = "onboot:\n  - name: first\n    image: test/sysctl:1\n";
    let changed = change("onboot:\n", step);
    assert_eq!(changed.layers_packed, 0);
    assert!(changed.compressed_bytes < SMALL_BYTES, "{changed:?}");
}

#[test]
fn a_new_top_layer_compresses_itself() {
    let changed = change("test/sshd:1", "test/sshd:2");
    assert_eq!(changed.layers_packed, 1);
    let new = 1_000_000..1_000_000 + SMALL_BYTES;
    assert!(new.contains(&changed.compressed_bytes), "{changed:?}");
}

#[test]
fn another_file_compresses_no_layer() {
    let changed = change("contents: hello", "contents: good bye");
    assert_eq!(changed.layers_packed, 0);
    assert!(changed.compressed_bytes < SMALL_BYTES, "{changed:?}");
}

#[test]
fn another_command_line_compresses_no_layer() {
    let changed = change("console=ttyS0", "console=tty0 quiet");
    assert_eq!(changed.layers_packed, 0);
    assert!(changed.compressed_bytes < SMALL_BYTES, "{changed:?}");
}
