//! `--json`: what each step of a build took (docs/events.md).

use std::process::Output;

use serde_json::Value;
use testdata::{Layout, Registry};

use crate::program::{Bench, shown};
use crate::system;

fn events(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// Steps by name, in order.
fn steps(events: &[Value]) -> Vec<(&str, &Value)> {
    let steps = events.iter().filter(|event| event["event"] == "step");
    steps
        .map(|event| (event["step"].as_str().unwrap(), event))
        .collect()
}

fn of<'e>(steps: &[(&str, &'e Value)], name: &str) -> &'e Value {
    let found = steps.iter().find(|(step, _)| *step == name);
    found
        .unwrap_or_else(|| panic!("no step {name}: {steps:?}"))
        .1
}

fn bytes(step: &Value, kind: &str) -> u64 {
    step[format!("{kind}_bytes")].as_u64().unwrap()
}

/// Steps take time, and no longer than the whole; each has all its counts.
fn check(events: &[Value]) {
    let summary = events.last().unwrap();
    assert_eq!(summary["event"], "summary");
    let all = summary["seconds"].as_f64().unwrap();
    let mut in_turn = 0.0;
    for (name, step) in steps(events) {
        let seconds = step["seconds"].as_f64().unwrap();
        assert!((0.0..=all).contains(&seconds), "{name}: {seconds} of {all}");
        for kind in ["fetched", "reused", "compressed", "written"] {
            bytes(step, kind);
        }
        if !["import", "fetch", "pack"].contains(&name) {
            in_turn += seconds;
        }
    }
    assert!(in_turn <= all, "{in_turn} of {all}");
}

#[test]
fn each_step_tells_its_time_and_its_bytes() {
    let Some(registry) = Registry::start() else {
        return;
    };
    registry.push(&system::images());
    let yaml = system::yaml_at(&registry.host());
    let bench = Bench::new(&Layout::new());
    let arguments = [
        "--json",
        "-f",
        "kernel+initrd,tar-kernel-initrd",
        "--cache-to",
        "saved",
    ];
    let (output, files) = bench.build_with(&yaml, &arguments);
    let cold = events(&output);
    check(&cold);
    let told = steps(&cold);
    let names: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "resolve", "fetch", "pack", "assemble", "initrd", "output", "output", "output",
            "output", "commit", "export"
        ]
    );
    let summary = cold.last().unwrap();
    assert!(bytes(of(&told, "resolve"), "fetched") > 1000);
    assert_eq!(bytes(of(&told, "resolve"), "reused"), 0);
    assert_eq!(
        of(&told, "fetch")["fetched_bytes"],
        summary["fetched_bytes"]
    );
    // `files:` and configurations are compressed with the initrd.
    let pack = of(&told, "pack");
    assert!(bytes(pack, "compressed") > 3_900_000);
    assert!(bytes(pack, "compressed") <= bytes(summary, "compressed"));
    assert!(bytes(pack, "written") > 1_500_000);
    let initrd = of(&told, "initrd");
    assert_eq!(initrd["written_bytes"], files["os-initrd.img"].len());
    assert_eq!(
        bytes(initrd, "reused") + bytes(initrd, "compressed"),
        bytes(summary, "unpacked")
    );
    assert!(bytes(initrd, "reused") > 3_000_000);
    assert_eq!(of(&told, "export")["written_bytes"], pack["written_bytes"]);
    for (_, step) in told.iter().filter(|(name, _)| *name == "output") {
        let path = step["name"].as_str().unwrap();
        let name = path.rsplit('/').next().unwrap();
        assert_eq!(step["written_bytes"], files[name].len(), "{path}");
    }
    assert_eq!(files.len(), 4);

    // The same again: packs and files are there.
    let file = bench.yaml(&yaml);
    let output = bench.build().arg("--json").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    let warm = events(&output);
    check(&warm);
    let told = steps(&warm);
    assert!(
        told.iter()
            .all(|(name, _)| !["fetch", "import", "export"].contains(name))
    );
    assert_eq!(bytes(of(&told, "resolve"), "fetched"), 0);
    assert!(bytes(of(&told, "resolve"), "reused") > 1000);
    assert_eq!(of(&told, "pack")["reused_bytes"], pack["compressed_bytes"]);
    for (_, step) in told.iter().filter(|(name, _)| *name == "output") {
        assert_eq!(bytes(step, "written"), 0, "{step}");
        assert!(bytes(step, "reused") > 0, "{step}");
    }

    // Elsewhere, from the cache.
    let other = Bench::new(&Layout::new());
    let saved = bench.path("saved");
    let arguments = ["--json", "--cache-from", saved.to_str().unwrap()];
    let (output, _) = other.build_with(&yaml, &arguments);
    let imported = events(&output);
    check(&imported);
    let told = steps(&imported);
    assert_eq!(of(&told, "import")["fetched_bytes"], pack["written_bytes"]);
    assert_eq!(of(&told, "pack")["compressed_bytes"], 0);
}

#[test]
fn a_stream_is_an_output_too_and_people_see_steps_when_they_ask() {
    let bench = Bench::new(&system::images());
    let yaml = bench.yaml(system::YAML);
    let mut command = bench.command();
    command.args(["--no-sbom", "-f", "tar", "-o", "-", "-v"]);
    let output = command.arg(&yaml).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.starts_with("output - "));
    let line = line.unwrap_or_else(|| panic!("no output in {text}"));
    assert!(line.contains(" MB written"), "{line}");
    assert!(text.contains("\npack "), "{text}");
    let quiet = bench.build().arg(&yaml).output().unwrap();
    assert!(!shown(&quiet).contains("\npack "), "{}", shown(&quiet));
}
