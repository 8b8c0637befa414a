//! `--offline`: no socket is opened, and what is missing is named with the commands that bring it.

use std::fs;

use testdata::{Layout, Registry, judge};

use crate::machine::{own_network, works};
use crate::program::{Bench, shown};
use crate::system;

/// What every command does that may be told to stay off the network.
fn commands(bench: &Bench) -> Vec<Vec<String>> {
    let yaml = bench.yaml(system::YAML).to_str().unwrap().to_owned();
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let out = bench.out().to_str().unwrap().to_owned();
    let build = ["build", "--offline", "--arch", "amd64", "--dir"];
    let export = [
        "cache",
        "export",
        "--offline",
        "--arch",
        "amd64",
        "-o",
        "b.tar",
    ];
    vec![
        [strings(&build), vec![out, yaml.clone()]].concat(),
        [strings(&export), vec![yaml]].concat(),
        strings(&["cache", "import", "b.tar"]),
        strings(&["cache", "verify", "--offline"]),
        strings(&["cache", "ls"]),
        strings(&["cache", "gc"]),
    ]
}

#[test]
fn no_socket_is_opened() {
    let Some(strace) = judge("strace") else {
        return;
    };
    let strace = strace.to_str().unwrap();
    let bench = Bench::new(&system::images());
    if !works(&[strace, "-f", "-o", "/dev/null"]) {
        return;
    }
    let trace = bench.path("trace");
    let wrapper = [
        "-f",
        "-e",
        "trace=%network,execve",
        "-o",
        trace.to_str().unwrap(),
    ];
    let wrapper = [&[strace][..], &wrapper].concat();
    for arguments in commands(&bench) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = bench.lkbuild_in(&wrapper, &arguments).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        let text = fs::read_to_string(&trace).unwrap();
        assert!(text.contains("execve("), "nothing was traced: {text}");
        for call in ["socket(", "connect(", "sendto(", "socketpair(", "bind("] {
            assert!(!text.contains(call), "{arguments:?}: {text}");
        }
    }
    // The same trace does see a program that uses the network.
    let arguments = ["cache", "pull", "localhost:1/absent:1"];
    let output = bench.lkbuild_in(&wrapper, &arguments).output().unwrap();
    assert!(!output.status.success(), "{}", shown(&output));
    let text = fs::read_to_string(&trace).unwrap();
    assert!(text.contains("connect("), "{text}");
}

#[test]
fn everything_works_without_a_network_interface() {
    let wrapper = own_network();
    if !works(&wrapper) {
        return;
    }
    let bench = Bench::new(&system::images());
    for arguments in commands(&bench) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = bench.lkbuild_in(&wrapper, &arguments).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
    }
}

#[test]
fn missing_images_are_named_together_with_the_commands_that_bring_them() {
    let bench = Bench::new(&Layout::new());
    let yaml = bench.yaml(system::YAML);
    let mut command = bench.build();
    let output = command.arg("--offline").arg(&yaml).output().unwrap();
    let names = ["kernel", "init", "sysctl", "dhcp", "sshd"];
    let names = names.map(|name| format!("docker.io/test/{name}:1"));
    let cache = bench.cache();
    let cache = cache.display();
    let pull = format!(
        "lkbuild cache pull --cache {cache} --arch amd64 {}",
        names.join(" ")
    );
    let export = format!(
        "lkbuild cache export --arch amd64 -o bundle.tar {}",
        names.join(" ")
    );
    bench.assert_failed(
        &output,
        &[
            &pull,
            &export,
            &format!("lkbuild cache import --cache {cache} bundle.tar"),
        ],
    );
    assert_eq!(output.status.code(), Some(4));
    // All platforms are named, and the cache whichever it is: another may be the usual one.
    let mut pull = bench.lkbuild(&[
        "cache",
        "pull",
        "--offline",
        "--arch",
        "amd64,arm64",
        "os.yml",
    ]);
    let output = pull.env_remove("LINUXKIT_CACHE").output().unwrap();
    let all = format!(" --arch amd64,arm64 {}", names.join(" "));
    let cache = bench.path("home/.linuxkit/cache");
    let import = format!(
        "lkbuild cache import --cache {} bundle.tar",
        cache.display()
    );
    bench.assert_failed(&output, &["lkbuild cache pull --cache ", &all, &import]);
}

/// As it stands, in a shell: into the cache that lacked them, though its name is an odd one.
#[test]
fn the_command_that_brings_what_is_missing_does_so() {
    let Some(registry) = Registry::start() else {
        return;
    };
    registry.push(&system::images());
    let bench = Bench::new(&Layout::new());
    let yaml = bench.yaml(&system::yaml_at(&registry.host()));
    let cache = bench.path("the cache's");
    let build = || {
        let mut command = bench.lkbuild(&["build", "-q", "--arch", "amd64", "--offline", "--dir"]);
        command
            .arg(bench.out())
            .arg("--cache")
            .arg(&cache)
            .arg(&yaml);
        command.output().unwrap()
    };
    let text = shown(&build());
    let command = text
        .lines()
        .find(|l| l.trim().starts_with("lkbuild cache pull"));
    let command = command
        .expect(&text)
        .trim()
        .strip_prefix("lkbuild")
        .unwrap();
    let script = format!("\"$LKBUILD\"{command}");
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", &script])
        .env_clear()
        .env("LKBUILD", env!("CARGO_BIN_EXE_lkbuild"))
        .env("HOME", bench.path("home"));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    let output = build();
    assert!(output.status.success(), "{}", shown(&output));
}

#[test]
fn missing_layers_are_named_together_unless_there_are_packs_of_them() {
    let images = system::images();
    let bench = Bench::new(&images);
    let expected = bench.must_build(system::YAML, &[]);
    let mut layers: Vec<_> = images.blobs.iter().collect();
    layers.sort_by_key(|(_, bytes)| bytes.len());
    let missing: Vec<&String> = layers.iter().rev().take(2).map(|(d, _)| *d).collect();
    for digest in &missing {
        let file = bench.cache().join("blobs").join(digest.replace(':', "/"));
        fs::remove_file(file).unwrap();
    }
    assert!(bench.must_build(system::YAML, &["--offline"]) == expected);
    fs::remove_dir_all(bench.cache().join("packs")).unwrap();
    bench.clear_out();
    let yaml = bench.yaml(system::YAML);
    let output = bench.build().arg("--offline").arg(yaml).output().unwrap();
    let words: Vec<String> = missing
        .iter()
        .map(|digest| format!("layer {digest}"))
        .collect();
    // One of the two belongs to an image that the YAML does not use.
    let used = words.iter().filter(|w| shown(&output).contains(*w)).count();
    assert!(used >= 1, "{}", shown(&output));
    bench.assert_failed(&output, &["lkbuild cache pull --cache "]);
}

#[test]
fn a_yaml_on_the_web_is_refused_offline() {
    let bench = Bench::new(&Layout::new());
    let mut command = bench.build();
    let output = command
        .args(["--offline", "https://example.com/x.yml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    bench.assert_failed(&output, &["--offline", "https://example.com/x.yml"]);
}
