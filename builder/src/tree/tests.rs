//! Layers are written as lines: `d path` folder, `f path text` file, `l path target` hard link,
//! `s path target` symlink, `w path` whiteout, `o path` opaque marker; a tree is printed alike.

use super::apply::LayerView;
use super::*;
use crate::layer::{Entry, EntryKind};

fn entry(line: &str) -> Entry {
    let mut words = line.split(' ');
    let kind = words.next().unwrap();
    let path = words.next().unwrap();
    let rest = words.next().unwrap_or_default();
    let kind = match kind {
        "d" => EntryKind::Directory,
        // The text is the "size": tests tell files apart by it.
        "f" => EntryKind::File {
            size: rest.parse().unwrap(),
        },
        "l" => EntryKind::HardLink {
            target: rest.into(),
        },
        "s" => EntryKind::Symlink {
            target: rest.into(),
        },
        "w" => EntryKind::Whiteout,
        "o" => EntryKind::Opaque,
        other => panic!("{other}"),
    };
    let path = if path == "/" { Vec::new() } else { path.into() };
    Entry {
        path,
        meta: Meta {
            mode: 0o700,
            ..Meta::default()
        },
        xattrs: Vec::new(),
        kind,
    }
}

fn try_apply(layers: &[&str]) -> Result<Tree, ApplyError> {
    try_apply_within(&Limits::default(), layers)
}

fn try_apply_within(limits: &Limits, layers: &[&str]) -> Result<Tree, ApplyError> {
    let mut tree = Tree::new().with_limits(limits);
    for (n, layer) in layers.iter().enumerate() {
        let entries: Vec<Entry> = layer
            .split(',')
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .map(entry)
            .collect();
        let body_of: Vec<_> = entries.iter().map(|_| Some(0)).collect();
        let view = LayerView {
            entries: &entries,
            bodies: &body_of,
            pack: 0,
            opened: None,
            origin: u32::try_from(n).unwrap(),
        };
        apply_layer(&mut tree, &view)?;
    }
    Ok(tree)
}

fn show(tree: &Tree) -> String {
    let mut out = Vec::new();
    for visit in tree.walk().skip(1) {
        let path = String::from_utf8_lossy(&visit.path).into_owned();
        out.push(match (&visit.inode.node, visit.first) {
            (_, Some(first)) => format!("l {path} {}", String::from_utf8_lossy(&first)),
            (Node::Directory(_), _) => format!("d {path}"),
            (Node::File(body), _) => format!("f {path} {}", body.size()),
            (Node::Symlink(target), _) => format!("s {path} {}", String::from_utf8_lossy(target)),
            _ => panic!("no devices here"),
        });
    }
    out.join(", ")
}

#[track_caller]
fn check(layers: &[&str], want: &str) {
    assert_eq!(show(&try_apply(layers).unwrap()), want, "{layers:?}");
}

#[test]
fn a_whiteout_hides_lower_layers_only() {
    check(&["d a, f a/x 1", "w a, d a, f a/y 2"], "d a, f a/y 2");
    check(&["d a, f a/x 1", "d a, f a/y 2, w a"], "d a, f a/y 2");
    check(&["f a 1", "f a 2, w a"], "f a 2");
    check(&["d a, f a/x 1, f a/y 2", "w a/x"], "d a, f a/y 2");
    check(&["f a 1", "w b"], "f a 1");
}

#[test]
fn ggcr_2191_a_folder_whited_out_and_made_again_is_new() {
    check(&["f a/foo 1", "w a", "f a/baz 2"], "d a, f a/baz 2");
    let tree = try_apply(&["d a, f a/foo 1", "w a, f a/baz 2"]).unwrap();
    let folder = tree.lookup_literal(b"a").unwrap();
    assert_eq!(
        tree.get(folder).meta,
        IMPLICIT_FOLDER,
        "attributes of the hidden folder are gone"
    );
}

#[test]
fn an_opaque_marker_hides_lower_children_wherever_it_stands() {
    check(&["f a/x 1, f a/d/y 2", "d a, o a, f a/z 3"], "d a, f a/z 3");
    check(&["f a/x 1, f a/d/y 2", "d a, f a/z 3, o a"], "d a, f a/z 3");
    check(
        &["f a/x 1, f a/d/y 2", "f a/d/n 3, o a"],
        "d a, d a/d, f a/d/n 3",
    );
    check(&["f x 1, d a", "f y 2, o /"], "f y 2");
}

#[test]
fn ggcr_1623_an_opaque_marker_in_the_first_layer_hides_nothing_of_it() {
    check(&["d a, f a/x 1, o a"], "d a, f a/x 1");
}

#[test]
fn stereoscope_694_opaque_over_a_lower_symlink_leaves_its_target() {
    check(
        &["f real/x 1, s a real", "d a, o a, f a/y 2"],
        "d a, f a/y 2, d real, f real/x 1",
    );
    check(
        &["f real/x 1, s a real", "o a, w a/x, d a, f a/y 2"],
        "d a, f a/y 2, d real, f real/x 1",
    );
}

#[test]
fn kaniko_2308_a_whiteout_below_a_folder_that_became_a_symlink() {
    check(&["f a/x 1, f b/x 2", "s a b, w a/x"], "s a b, d b, f b/x 2");
    check(&["f a/x 1, f b/x 2", "w a/x, s a b"], "s a b, d b, f b/x 2");
}

#[test]
fn whiteouts_follow_lower_symlinked_parents() {
    check(
        &["f real/x 1, f real/y 2, s a real", "w a/x"],
        "s a real, d real, f real/y 2",
    );
    check(
        &["f real/d/x 1, s a /real", "w a/d/x"],
        "s a /real, d real, d real/d",
    );
    check(
        &["f real/x 1, s a ../../../real", "o a"],
        "s a ../../../real, d real",
    );
    // From the root, and from the folder that the link is in.
    check(
        &["f real/x 1, f d/real/x 2, s d/a /real", "w d/a/x"],
        "d d, s d/a /real, d d/real, f d/real/x 2, d real",
    );
    check(
        &["f real/x 1, f d/real/x 2, s d/a real", "w d/a/x"],
        "d d, s d/a real, d d/real, d real, f real/x 1",
    );
}

#[test]
fn a_hard_link_is_another_name_and_outlives_a_rewrite() {
    check(&["f t1 1, l t3 t1"], "f t1 1, l t3 t1");
    check(&["f t1 1", "l t3 t1"], "f t1 1, l t3 t1");
    check(&["f t1 1, l t3 t1", "f t1 2"], "f t1 2, f t3 1");
    check(&["f t1 1, l t3 t1", "w t1"], "f t3 1");
    check(
        &["f t1 1, l t3 t1", "f new 5, l t3 new"],
        "f new 5, f t1 1, l t3 new",
    );
}

#[test]
fn a_hard_link_may_take_the_place_of_anything() {
    check(&["f t 1, f d/x 2", "l d t"], "f d 1, l t d");
    check(&["f t 1, s d nowhere", "l d t"], "f d 1, l t d");
    check(&["s t nowhere", "l u t"], "s t nowhere, l u t");
}

#[test]
fn a_hard_link_may_point_to_what_its_own_layer_hides() {
    check(&["f t1 1", "w t1, l t3 t1"], "f t3 1");
    check(&["f d/t1 1", "w d, l t3 d/t1"], "f t3 1");
    check(&["f d/t1 1", "o d, l t3 d/t1"], "d d, f t3 1");
}

#[test]
fn hard_links_to_nothing_or_folders_are_refused() {
    let error = try_apply(&["l a gone"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "hard link a points to gone, which is neither in this layer nor below it"
    );
    assert!(matches!(
        try_apply(&["d d, l a d"]),
        Err(ApplyError::LinkToFolder { .. })
    ));
}

#[test]
fn a_hard_link_target_resolves_inside_the_tree() {
    check(
        &["f etc/passwd 1, s e /etc, l x e/passwd"],
        "s e /etc, d etc, f etc/passwd 1, l x etc/passwd",
    );
}

#[test]
fn types_replace_each_other_and_folders_merge() {
    check(&["f a 1", "d a"], "d a");
    check(&["f a/x 1", "f a 2"], "f a 2");
    check(&["f a/x 1", "s a b"], "s a b");
    check(&["f b/x 1, s a b", "d a"], "d a, d b, f b/x 1");
    check(&["d a, f a/x 1", "d a"], "d a, f a/x 1");
    check(&["f a 1", "f a/b 2"], "d a, f a/b 2");
    check(&["f t 1, l a t", "f a/b 2"], "d a, f a/b 2, f t 1");
}

#[test]
fn entries_go_through_symlinked_parents_and_never_out() {
    check(
        &["d real, s a real, f a/x 1"],
        "s a real, d real, f real/x 1",
    );
    check(
        &["s a ../../../etc, f a/x 1"],
        "s a ../../../etc, d etc, f etc/x 1",
    );
    check(
        &["s a /etc/../../b, f a/x 1"],
        "s a /etc/../../b, d b, f b/x 1",
    );
    check(
        &["s a b, s b c, d c, f a/x 1"],
        "s a b, s b c, d c, f c/x 1",
    );
    check(
        &["f b/x 1, s a ./b/., f a/y 2"],
        "s a ./b/., d b, f b/x 1, f b/y 2",
    );
    // The way through a dangling link is made.
    check(
        &["s a no/where, f a/x 1"],
        "s a no/where, d no, d no/where, f no/where/x 1",
    );
}

#[test]
fn symlink_loops_end_in_an_error() {
    let error = try_apply(&["s a b, s b a, f a/x 1"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "too many symlinks on the way to a: they lead in a circle, or it takes more than 255 \
         (--max-links raises that)"
    );
    assert!(try_apply(&["s a a/x, f a/x 1"]).is_err());
}

#[test]
fn symlinks_that_one_path_leads_through_are_counted() {
    let chain = |links: usize| {
        let steps = (0..links).map(|n| format!("s l{n} l{}", n + 1));
        let steps = steps.chain([format!("d l{links}"), "f l0/x 1".into()]);
        try_apply(&[&steps.collect::<Vec<_>>().join(", ")])
    };
    chain(255).unwrap();
    chain(256).unwrap_err();
    let tree = chain(255).unwrap().with_limits(&Limits {
        links: 254,
        ..Limits::default()
    });
    assert!(tree.lookup(b"l0/x").is_err());
    assert!(tree.lookup(b"l1/x").unwrap().is_some());
}

/// Applies one layer within other limits.
fn apply_within(limits: Limits, layer: &str) -> Result<Tree, String> {
    try_apply_within(&limits, &[layer]).map_err(|error| error.to_string())
}

/// A way of a few bytes can lead through thousands of components, for each of a million files.
#[test]
fn what_symlinks_of_all_paths_lead_through_is_counted() {
    // Links of five components and of two: seven for each way through both.
    let layer = "d d, s l d/../d/../m, s m ./d, f l/a 1, f l/b 2, f m/c 3, l x l/a";
    let limits = |link_steps| Limits {
        link_steps,
        ..Limits::default()
    };
    let steps = 7 * 3 + 2;
    apply_within(limits(steps), layer).unwrap();
    let error = apply_within(limits(steps - 1), layer).unwrap_err();
    assert!(error.contains("--max-link-steps"), "{error}");
    // Whiteouts and opaque markers as well, through lower symlinks and their own layer's (three).
    let lower = "d d, s l d/../d/../m, s m ./d, f d/a 1, f d/b 2";
    let layers = [lower, "w l/a, w l/b, w m/c, o l, s u d/../d, w u/x"];
    let steps = 7 * 3 + 2 + 3;
    try_apply_within(&limits(steps), &layers).unwrap();
    let error = try_apply_within(&limits(steps - 1), &layers).unwrap_err();
    assert!(error.to_string().contains("--max-link-steps"), "{error}");
}

/// One entry can imply thousands of folders, of which each has its whole path in an archive.
#[test]
fn folders_that_paths_imply_are_counted() {
    let limits = |metadata_bytes| Limits {
        metadata_bytes,
        ..Limits::default()
    };
    // "/a", "/a/bb", "/a/bb/c"; then "/a/bb/d".
    let layer = "f a/bb/c/f 1, f a/bb/c/g 2, f a/bb/d/f 3";
    let bytes = 2 + 5 + 7 + 7;
    apply_within(limits(bytes), layer).unwrap();
    let error = apply_within(limits(bytes - 1), layer).unwrap_err();
    assert!(error.contains("--max-metadata-bytes"), "{error}");
}

/// Symlinks that are followed one after the other make paths of any length from short names.
#[test]
fn paths_that_symlinks_lengthen_are_bounded() {
    let limits = |path_bytes| Limits {
        path_bytes,
        ..Limits::default()
    };
    // "/aaaa/bbbb/cccc" for the last folder.
    let layer = "s l aaaa/bbbb, s l/m cccc, f l/m/f 1";
    apply_within(limits(15), layer).unwrap();
    let error = apply_within(limits(14), layer).unwrap_err();
    assert!(error.contains("--max-path-bytes"), "{error}");
}

#[test]
fn folders_that_no_system_could_make_are_refused() {
    let layer = |bytes| format!("s l {}, f l/f 1", "x".repeat(bytes));
    try_apply(&[&layer(255)]).unwrap();
    let error = try_apply(&[&layer(256)]).unwrap_err().to_string();
    assert!(error.contains("longer than 255 bytes"), "{error}");
}

/// What a layer hides is found again by hard links, at the end of however long a path, by any of
/// its beginnings.
#[test]
fn hard_links_to_what_their_layer_hides_are_found_by_every_beginning() {
    let lower = "f a/b/c 1, f ab/c 2, f a/bc 3";
    check(
        &[lower, "w a/b, l x a/b/c, w ab, l y ab/c, l z a/bc"],
        "d a, f a/bc 3, f x 1, f y 2, l z a/bc",
    );
    let error = try_apply(&[lower, "w a/b, l x a/bb/c"]).unwrap_err();
    assert!(error.to_string().contains("neither"), "{error}");
    // Opaque markers: of the root, of a folder, by a symlink, twice, and after a whiteout.
    check(&[lower, "o /, l x a/b/c, l y ab/c"], "f x 1, f y 2");
    check(
        &[lower, "o a, l x a/b/c, l y a/bc"],
        "d a, d ab, f ab/c 2, f x 1, f y 3",
    );
    check(
        &["f real/x 1, s a real", "o a, l y a/x"],
        "s a real, d real, f y 1",
    );
    check(
        &["f a/x 1, f a/y 2", "o a, w a/x, o a, l z a/x"],
        "d a, f z 1",
    );
    check(
        &["f a/x 1, f a/y 2", "w a/x, o a, l v a/x, l w a/y"],
        "d a, f v 1, f w 2",
    );
    for path in ["a/d", "b", "ab/b"] {
        let error = try_apply(&[lower, &format!("o a, l x {path}")]).unwrap_err();
        assert!(error.to_string().contains("neither"), "{error}");
    }
}

#[test]
fn the_last_of_two_entries_for_a_path_counts() {
    check(&["f a 1, f a 2"], "f a 2");
    check(&["f a 1, d a, f a/x 3"], "d a, f a/x 3");
}

#[test]
fn the_root_entry_sets_the_roots_attributes() {
    let tree = try_apply(&["d /"]).unwrap();
    assert_eq!(tree.get(tree.root()).meta.mode, 0o700);
}

#[test]
fn a_walk_has_parents_first_and_bytewise_order() {
    check(
        &["f a.b 1, f a/z 2, f a/B 3, f a-b 4, f Z 5"],
        "f Z 5, d a, f a/B 3, f a/z 2, f a-b 4, f a.b 1",
    );
}

#[test]
fn overlaying_refuses_what_would_misdirect() {
    let base = try_apply(&["f usr/bin/x 1, s bin usr/bin, f etc/f 2"]).unwrap();
    let overlay = |layer: &str| {
        let mut tree = base.clone();
        tree.overlay(b"", &try_apply(&[layer]).unwrap())
            .unwrap()
            .map(|()| show(&tree))
    };
    let error = overlay("f bin/y 3").unwrap_err();
    assert_eq!(
        (error.path.as_slice(), error.lower.0, error.upper.0),
        (&b"bin"[..], "symlink", "folder")
    );
    let error = overlay("s etc elsewhere").unwrap_err();
    assert_eq!((error.lower.0, error.upper.0), ("folder", "symlink"));
    assert_eq!(
        overlay("s bin usr/sbin, f etc/f 3, d etc/f2").unwrap(),
        "s bin usr/sbin, d etc, f etc/f 3, d etc/f2, d usr, d usr/bin, f usr/bin/x 1"
    );
    // Replacing one name of a hard-linked file leaves the other alone.
    let mut tree = try_apply(&["f a 1, l b a"]).unwrap();
    tree.overlay(b"", &try_apply(&["f a 2"]).unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(show(&tree), "f a 2, f b 1");
}

/// A pack holds one tar opened; other files without a body of their own are empty.
#[test]
fn only_the_opened_file_of_a_layer_is_an_opened_one() {
    let entries = ["f a 0", "f b 7", "f c 0", "f d 3"].map(entry);
    let view = LayerView {
        entries: &entries,
        bodies: &[None, None, None, Some(5)],
        pack: 9,
        opened: Some(1),
        origin: 0,
    };
    let mut tree = Tree::new();
    apply_layer(&mut tree, &view).unwrap();
    let bodies: Vec<_> = tree
        .walk()
        .filter_map(|visit| match &visit.inode.node {
            Node::File(body) => Some(body.clone()),
            _ => None,
        })
        .collect();
    let (pack, empty) = (9, || Body::Inline([].into()));
    let opened = Body::Opened { pack, size: 7 };
    let packed = Body::Packed {
        pack,
        body: 5,
        size: 3,
    };
    assert_eq!(bodies, [empty(), opened, empty(), packed]);
}
