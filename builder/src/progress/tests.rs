use super::event::size;
use super::*;

#[test]
fn events_are_json_objects_with_their_kind() {
    let text = serde_json::to_string(&Event::Warning {
        message: "a \u{1b}[31m".into(),
    })
    .unwrap();
    assert_eq!(text, r#"{"event":"warning","message":"a \u001b[31m"}"#);
    let summary = Event::Summary {
        counters: Counters {
            layers_packed: 3,
            ..Counters::default()
        },
        ram_bytes: 5,
        initrd_bytes: 6,
        unpacked_bytes: 7,
    };
    let value = serde_json::to_value(&summary).unwrap();
    assert_eq!(value["event"], "summary");
    assert_eq!(value["layers_packed"], 3);
    assert_eq!(value["ram_bytes"], 5);
}

#[test]
fn counters_add_up_over_clones() {
    let progress = Progress::silent();
    progress.clone().layer_packed("sha256:a", 10);
    progress.layer_reused("sha256:b", 7);
    progress.compressed(5);
    progress.fetched(3);
    let counters = progress.counters();
    assert_eq!((counters.layers_packed, counters.layers_reused), (1, 1));
    assert_eq!((counters.compressed_bytes, counters.reused_bytes), (15, 7));
    assert_eq!(counters.fetched_bytes, 3);
}

#[test]
fn names_can_not_steer_a_terminal() {
    assert_eq!(sink::printable("a\u{1b}]0;x\u{7}b"), "a\\u{1b}]0;x\\u{7}b");
    assert_eq!(sink::printable(""), "");
}

#[test]
fn lengths_are_read_by_people() {
    for (bytes, text) in [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (309_000_000, "309.0 MB"),
        (u64::MAX, "18446744.1 TB"),
    ] {
        assert_eq!(size(bytes), text);
    }
}
