//! Awkward images, one per known way to get layers wrong. The engine's tree is compared with the
//! model's and with what umoci unpacks, and must not depend on how the layers are compressed.

use testdata::{Compression, Dialect, Layer, SparseFormat, model};

use crate::{engine, packs, umoci};

struct Case {
    name: &'static str,
    layers: Vec<Layer>,
    /// Why umoci 0.4.7 is no judge here.
    umoci_is_wrong: Option<&'static str>,
}

fn case(name: &'static str, layers: impl IntoIterator<Item = Layer>) -> Case {
    Case {
        name,
        layers: layers.into_iter().collect(),
        umoci_is_wrong: None,
    }
}

impl Case {
    fn umoci_is_wrong(mut self, reason: &'static str) -> Self {
        self.umoci_is_wrong = Some(reason);
        self
    }
}

fn layer() -> Layer {
    Layer::new()
}

fn whiteouts() -> Vec<Case> {
    let lower = || {
        layer()
            .dir("d", 0o711)
            .owner(1, 2)
            .file("d/old", "old")
            .dir("d/sub", 0o700)
            .file("d/sub/old", "old")
            .file("top", "top")
    };
    vec![
        case("whiteout_of_a_file", [lower(), layer().whiteout("d/old")]),
        case("whiteout_of_a_folder", [lower(), layer().whiteout("d")]),
        case(
            "whiteout_of_nothing",
            [lower(), layer().whiteout("x").whiteout("y/z")],
        ),
        case(
            "whiteout_before_a_new_file_of_the_name",
            [lower(), layer().whiteout("top").file("top", "new")],
        ),
        case(
            "whiteout_after_a_new_file_of_the_name",
            [lower(), layer().file("top", "new").whiteout("top")],
        ),
        case(
            "deleted_and_recreated_folder",
            [
                lower(),
                layer().whiteout("d"),
                layer().dir("d", 0o755).file("d/new", "new"),
            ],
        ),
        case(
            "deleted_and_recreated_folder_in_one_layer",
            [
                lower(),
                layer().whiteout("d").dir("d", 0o755).file("d/new", "new"),
            ],
        ),
        case(
            "opaque_folder",
            [
                lower(),
                layer().dir("d", 0o755).opaque("d").file("d/new", "new"),
            ],
        ),
        case(
            "opaque_marker_after_its_siblings",
            [
                lower(),
                layer()
                    .dir("d", 0o755)
                    .file("d/new", "new")
                    .dir("d/sub", 0o711)
                    .file("d/sub/new", "new")
                    .opaque("d"),
            ],
        ),
        case(
            "opaque_marker_after_what_implies_a_folder",
            [lower(), layer().file("d/sub/new", "new").opaque("d")],
        )
        .umoci_is_wrong("keeps the attributes of a folder that was hidden"),
        case(
            "opaque_root",
            [lower(), layer().opaque("").file("new", "new")],
        ),
        case(
            "opaque_folder_that_is_nowhere_else",
            [lower(), layer().opaque("nowhere")],
        ),
        case(
            "opaque_marker_deep_in_the_tree",
            [lower(), layer().opaque("d/sub").file("d/sub/new", "new")],
        ),
        case(
            "both_forms_of_whiteout_in_one_folder",
            [
                lower(),
                layer().whiteout("d/sub").opaque("d").file("d/old", "again"),
            ],
        ),
        case(
            "four_layers_of_whiteouts",
            [
                lower(),
                layer().whiteout("d/old").file("d/sub/b", "b"),
                layer().file("d/old", "again").whiteout("d/sub/old"),
                layer().opaque("d/sub").whiteout("top"),
            ],
        ),
        case(
            "whiteout_through_a_lower_symlink",
            [
                layer()
                    .file("real/x", "x")
                    .file("real/y", "y")
                    .symlink("link", "real"),
                layer().whiteout("link/x"),
            ],
        ),
        case(
            "whiteout_below_a_dangling_symlink",
            [
                layer().symlink("link", "nowhere"),
                layer().whiteout("link/x"),
            ],
        ),
        case(
            "aufs_leftovers",
            [
                lower(),
                layer()
                    .dir(".wh..wh.plnk", 0o700)
                    .file(".wh..wh.plnk/64.1234", "x")
                    .file(".wh..wh.aufs", ""),
            ],
        )
        .umoci_is_wrong("takes `.wh..wh.plnk` for a whiteout, then for a folder"),
        case("empty_layers", [layer(), lower(), layer()]),
    ]
}

fn links() -> Vec<Case> {
    let group = || {
        layer()
            .file("t1", "old")
            .mode(0o640)
            .owner(3, 4)
            .hardlink("t3", "t1")
    };
    vec![
        case("hard_link_in_one_layer", [group()]),
        case(
            "hard_link_with_a_header_of_its_own",
            [layer()
                .file("a", "a")
                .mode(0o600)
                .hardlink("b", "a")
                .mode(0o777)
                .owner(9, 9)
                .mtime(5)],
        ),
        case(
            "hard_link_to_a_lower_layer",
            [group(), layer().hardlink("t4", "t1")],
        ),
        case(
            "rewriting_one_name_leaves_the_other",
            [group(), layer().file("t1", "new")],
        ),
        case(
            "removing_one_name_leaves_the_other",
            [group(), layer().whiteout("t1")],
        ),
        case(
            "hard_link_to_a_symlink",
            [layer().file("a", "a").symlink("s", "a").hardlink("h", "s")],
        ),
        case(
            "hard_link_to_a_device",
            [layer().char_device("null", 1, 3).hardlink("zero", "null")],
        ),
        case(
            "hard_link_with_absolute_and_climbing_targets",
            [layer()
                .file("d/a", "a")
                .hardlink("b", "/d/a")
                .hardlink("c", "../../d/a")
                .hardlink("e", "./d/../d/a")],
        ),
        case(
            "hard_link_through_a_symlinked_folder",
            [layer()
                .file("real/a", "a")
                .symlink("link", "real")
                .hardlink("b", "link/a")],
        ),
        case(
            "hard_link_of_what_the_layer_renames",
            [
                group(),
                layer()
                    .hardlink("renamed", "t1")
                    .whiteout("t1")
                    .whiteout("t3"),
            ],
        ),
        case(
            "hard_link_of_what_the_layer_has_hidden_before",
            [
                layer().file("a", "a"),
                layer().whiteout("a").hardlink("b", "a"),
            ],
        )
        .umoci_is_wrong("has removed the target by then"),
        case(
            "folders_at_links",
            [
                layer()
                    .dir("real", 0o755)
                    .symlink("link", "real")
                    .file("real/x", "x"),
                layer().file("link/y", "y"),
                layer().dir("link", 0o700).file("link/z", "z"),
            ],
        ),
        case(
            "links_at_folders",
            [
                layer().file("d/x", "x").dir("e", 0o755),
                layer().symlink("d", "e").file("d/y", "y"),
            ],
        ),
        case(
            "symlinked_parents_stay_inside",
            [layer()
                .symlink("abs", "/in")
                .symlink("up", "../../../in")
                .symlink("chain", "abs")
                .dir("in", 0o755)
                .file("abs/a", "a")
                .file("up/b", "b")
                .file("chain/c", "c")],
        ),
        case(
            "names_that_climb_stay_inside",
            [layer()
                .file("../../etc/a", "a")
                .file("/etc/b", "b")
                .file("./etc/./c", "c")
                .file("etc//d", "d")
                .file("x/../etc/e", "e")
                .dir("etc/f/", 0o750)],
        ),
        case(
            "symlinks_that_lead_nowhere_or_back",
            [layer()
                .symlink("gone", "no/where")
                .symlink("self", "self")
                .symlink("long", "x/".repeat(400))],
        ),
    ]
}

fn types() -> Vec<Case> {
    let kinds = || {
        layer()
            .file("0", "file")
            .dir("1", 0o700)
            .file("1/in", "in")
            .symlink("2", "0")
            .char_device("3", 1, 3)
            .block_device("4", 259, 65_537)
            .fifo("5")
            .file("6", "first")
            .hardlink("7", "6")
    };
    let mut cases = vec![
        case("every_type", [kinds()]),
        case(
            "folder_over_folder_changes_attributes",
            [kinds(), layer().dir("1", 0o1777).owner(5, 6).mtime(7)],
        ),
        case(
            "last_of_two_entries_counts",
            [layer()
                .file("a", "one")
                .file("a", "two")
                .dir("b", 0o755)
                .file("b", "three")
                .symlink("c", "a")
                .dir("c", 0o711)],
        ),
        case("missing_parents", [layer().file("x/y/z/file", "deep")]),
        case(
            "modes_of_all_kinds",
            [layer()
                .file("setuid", "x")
                .mode(0o4755)
                .file("setgid", "x")
                .mode(0o2755)
                .dir("sticky", 0o1777)
                .file("none", "x")
                .mode(0)
                .dir("closed", 0)
                .file("closed/in", "x")],
        ),
    ];
    for (from, name) in [
        "change_a_file_to",
        "change_a_folder_to",
        "change_a_symlink_to",
        "change_a_character_device_to",
        "change_a_block_device_to",
        "change_a_pipe_to",
    ]
    .into_iter()
    .enumerate()
    {
        let at = from.to_string();
        let tops = [
            layer().file(&at, "new"),
            layer().dir(&at, 0o711),
            layer().symlink(&at, "elsewhere"),
            layer().char_device(&at, 5, 1),
            layer().block_device(&at, 8, 16),
            layer().fifo(&at),
            layer().hardlink(&at, "6"),
        ];
        for top in tops {
            cases.push(case(name, [kinds(), top]));
        }
    }
    cases
}

fn formats() -> Vec<Case> {
    let long = "directory/".repeat(24) + "file";
    let longer = "directory/".repeat(60) + "file";
    let data = vec![b'x'; 4096];
    let sparse = |format| {
        layer()
            .sparse(
                "holes",
                format,
                1 << 20,
                &[(0, &data), (65_536, &data), (1_000_000, b"end")],
            )
            .owner(1, 1)
            .sparse("hole", format, 70_000, &[])
            .sparse("none", format, 0, &[])
            .file("after", "after")
    };
    let ids = |dialect| {
        layer()
            .file("big", "x")
            .owner(2_097_152, 4_294_967_294)
            .dialect(dialect)
            .file("late", "x")
            .mtime(8_589_934_592)
            .dialect(dialect)
            .file("early", "x")
            .mtime(-1)
            .dialect(dialect)
    };
    vec![
        case(
            "names_beyond_a_header_as_pax",
            [layer()
                .file(&long, "1")
                .file(&longer, "2")
                .symlink("s", &longer)],
        ),
        case(
            "names_beyond_a_header_as_gnu",
            [layer()
                .file(&long, "1")
                .dialect(Dialect::Gnu)
                .file(&longer, "2")
                .dialect(Dialect::Gnu)
                .hardlink("h", &longer)
                .dialect(Dialect::Gnu)],
        ),
        case(
            "names_in_prefix_and_name",
            [layer().file(&long, "1").dialect(Dialect::Prefix)],
        ),
        case(
            "names_that_are_not_utf8",
            [layer()
                .file(b"latin-\xe4\xf6\xfc", "x")
                .symlink("link", b"latin-\xe4\xf6\xfc")
                .file("tab\tnew\nline \u{202e}backwards", "x")
                .file([b"\xff/".repeat(80).as_slice(), b"f"].concat(), "x")
                .whiteout(b"\xfe")],
        ),
        case("big_ids_as_pax", [ids(Dialect::Pax)]),
        case("big_ids_as_gnu", [ids(Dialect::Gnu)]),
        case("sparse_old_gnu", [sparse(SparseFormat::OldGnu)]).umoci_is_wrong("refuses type S"),
        case("sparse_pax_0_0", [sparse(SparseFormat::Pax00)]),
        case("sparse_pax_0_1", [sparse(SparseFormat::Pax01)]),
        case("sparse_pax_1_0", [sparse(SparseFormat::Pax10)]),
        case("no_end_marker", [layer().file("a", "a").no_end_marker()]),
        case(
            "records_that_mean_nothing_here",
            [layer()
                .file("a", "a")
                .pax("comment", "\u{0}binary\nstuff")
                .pax("VENDOR.key", "12 path=evil\n")],
        ),
        case(
            "pax_times_with_fractions",
            [layer()
                .file("a", "a")
                .pax("mtime", "1600000000.75")
                .mtime(1_600_000_000)],
        ),
        case(
            "a_million_byte_file_and_empty_ones",
            [layer()
                .file("zeros", vec![0; 1_000_000])
                .file("empty", "")
                .file("full", vec![b'y'; 1024])],
        ),
        case(
            "127_layers",
            (0..127).map(|n| {
                layer()
                    .file(format!("f{}", n % 50), n.to_string())
                    .whiteout("f7")
            }),
        ),
    ]
}

fn cases() -> Vec<Case> {
    [whiteouts(), links(), types(), formats()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn engine_agrees_with_the_model_on_awkward_images() {
    for case in cases() {
        let ours = engine::merge(&case.layers, Compression::Gzip);
        let ours = ours.unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let model = model::merge(&case.layers);
        let model = model.unwrap_or_else(|e| panic!("{}: the model: {e}", case.name));
        let differences = model.snapshot().differences(&ours);
        assert!(
            differences.is_empty(),
            "{}: the model against the engine:\n{}",
            case.name,
            differences.join("\n")
        );
    }
}

#[test]
fn compression_does_not_change_the_tree() {
    for case in cases() {
        let gzip = engine::merge(&case.layers, Compression::Gzip).unwrap();
        for compression in [
            Compression::GzipMembers(4),
            Compression::Zstd,
            Compression::ZstdFrames(4),
            Compression::None,
        ] {
            let other = engine::merge(&case.layers, compression).unwrap();
            assert_eq!(
                gzip.differences(&other),
                [""; 0],
                "{} {compression:?}",
                case.name
            );
        }
    }
}

#[test]
fn engine_agrees_with_umoci_on_awkward_images() {
    let cases = cases();
    let sequences: Vec<Vec<Layer>> = cases.iter().map(|case| case.layers.clone()).collect();
    let complaints = umoci::check_all(&sequences, |index, theirs| {
        let case = &cases[index];
        let ours = packs::merge(&case.layers, Compression::Gzip).unwrap();
        let differences = match theirs {
            Ok(theirs) => umoci::differences(&theirs, &ours),
            Err(line) => vec![line],
        };
        match case.umoci_is_wrong {
            Some(reason) if differences.is_empty() => {
                Some(format!("{}: umoci agrees after all ({reason})", case.name))
            }
            None if !differences.is_empty() => {
                Some(format!("{}:\n{}", case.name, differences.join("\n")))
            }
            _ => None,
        }
    });
    let all = complaints.join("\n");
    assert!(all.is_empty(), "umoci against the engine:\n{all}");
}
