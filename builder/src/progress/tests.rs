use std::collections::{BTreeMap, BTreeSet};

use super::event::size;
use super::*;
use crate::parts::Part;

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
        seconds: 0.5,
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

/// One event of every kind, with all that it can hold.
fn one_of_each() -> Vec<Event> {
    let text = String::new;
    let events = vec![
        Event::Info { message: text() },
        Event::Detail { message: text() },
        Event::Warning { message: text() },
        Event::Error { message: text() },
        Event::Start { task: text() },
        Event::End {
            task: text(),
            seconds: 0.0,
        },
        Event::Layer {
            digest: text(),
            reused: true,
            bytes: 0,
        },
        Event::Output {
            path: text(),
            bytes: 0,
            unchanged: true,
        },
        Event::Part(Part {
            section: text(),
            name: Some(text()),
            image: Some(text()),
            digest: Some(text()),
            path: Some(text()),
            entries: 0,
            unpacked_bytes: 0,
        }),
        Event::Progress {
            task: text(),
            bytes: 0,
            total_bytes: 0,
        },
        Event::Pushed {
            path: text(),
            datacenter: text(),
            bytes: 0,
            outcome: "pushed",
        },
        Event::Image {
            name: None,
            digest: text(),
            platforms: Vec::new(),
            bytes: 0,
            absent_blobs: 0,
        },
        Event::Cache {
            blobs: 0,
            packs: 0,
            bytes: 0,
        },
        Event::Damage {
            path: text(),
            problem: text(),
            images: Vec::new(),
            healed: true,
        },
        Event::Freed { files: 0, bytes: 0 },
        Event::Machine {
            name: text(),
            path: text(),
            done: "made",
            disks: Vec::new(),
            ip: Some(text()),
        },
        Event::Step {
            step: Step::Output,
            name: Some(text()),
            seconds: 0.0,
            bytes: StepBytes::default(),
        },
        Event::Summary {
            counters: Counters::default(),
            ram_bytes: 0,
            initrd_bytes: 0,
            unpacked_bytes: 0,
            seconds: 0.0,
        },
    ];
    for event in &events {
        // A kind that is missing above is missing here too, and does not compile.
        match event {
            Event::Info { .. }
            | Event::Detail { .. }
            | Event::Warning { .. }
            | Event::Error { .. }
            | Event::Start { .. }
            | Event::End { .. }
            | Event::Layer { .. }
            | Event::Output { .. }
            | Event::Part(_)
            | Event::Progress { .. }
            | Event::Pushed { .. }
            | Event::Image { .. }
            | Event::Cache { .. }
            | Event::Damage { .. }
            | Event::Freed { .. }
            | Event::Machine { .. }
            | Event::Step { .. }
            | Event::Summary { .. } => {}
        }
    }
    events
}

/// Keys of each event in docs/events.md.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = include_str!("../../../docs/events.md");
    let mut events: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut keys = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("### `") {
            keys = Some(events.entry(name.trim_end_matches('`').into()).or_default());
        } else if line.starts_with("## ") {
            keys = None;
        }
        let row = line
            .strip_prefix("| `")
            .or_else(|| line.strip_prefix("| (`"));
        if let (Some(row), Some(keys)) = (row, &mut keys) {
            keys.insert(row.split('`').next().unwrap().into());
        }
    }
    events
}

#[test]
fn every_event_has_the_keys_of_its_documentation() {
    let documented = documented();
    let events = one_of_each();
    assert_eq!(documented.len(), events.len());
    for event in events {
        let value = serde_json::to_value(&event).unwrap();
        let name = value["event"].as_str().unwrap();
        let keys = value.as_object().unwrap().keys();
        let keys: BTreeSet<String> = keys.filter(|key| *key != "event").cloned().collect();
        assert_eq!(documented.get(name), Some(&keys), "{name}");
    }
}

#[test]
fn steps_reach_from_their_first_part_to_their_last() {
    let progress = Progress::silent();
    let bytes = StepBytes {
        fetched_bytes: 3,
        ..StepBytes::default()
    };
    let pause = Duration::from_millis(20);
    let mut first = progress.step(Step::Fetch);
    first.add(bytes);
    progress.step(Step::Fetch).add(bytes);
    std::thread::sleep(pause);
    drop(first);
    progress.output_took("b", pause, bytes);
    progress.output_took("a", pause, bytes);
    progress.step(Step::Resolve).add(bytes);
    let events = progress.steps();
    let told: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Step {
                step,
                name,
                seconds,
                bytes,
            } => (*step, name.as_deref(), *seconds, bytes.fetched_bytes),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told.len(), 4);
    assert_eq!(told[0].0, Step::Resolve);
    assert_eq!((told[1].0, told[1].3), (Step::Fetch, 6));
    assert!(told[1].2 >= pause.as_secs_f64());
    let outputs = [(told[2].1, told[2].0), (told[3].1, told[3].0)];
    assert_eq!(
        outputs,
        [(Some("b"), Step::Output), (Some("a"), Step::Output)]
    );
    assert_eq!(
        events[1].line().unwrap().split_once(' ').unwrap().0,
        "fetch"
    );
    assert!(progress.steps().is_empty());
}
