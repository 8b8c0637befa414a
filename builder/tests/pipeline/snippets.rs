//! What the README tells CI systems to run: it is run, as it stands there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use testdata::{Door, Layout, Registry};

use crate::program::{Bench, files, shown};
use crate::system;

const README: &str = include_str!("../../../README.md");

/// Words that GitLab's CI keeps for itself: no job can have such a name.
/// <https://docs.gitlab.com/ci/jobs/#job-names>
const GITLAB_KEYWORDS: [&str; 14] = [
    "image",
    "services",
    "stages",
    "before_script",
    "after_script",
    "variables",
    "cache",
    "include",
    "pages",
    "default",
    "workflow",
    "true",
    "false",
    "nil",
];

/// The lines of the snippet that begins with a comment about this system.
fn snippet(system: &str) -> Vec<&'static str> {
    let start = format!("```yaml\n# {system}");
    let place = README.find(&start).unwrap() + "```yaml\n".len();
    let text = README[place..].split("```").next().unwrap();
    text.lines().skip(1).collect()
}

/// A fresh machine of a CI system: nothing but the YAML, its lock file, and what is restored.
struct Runner {
    bench: Bench,
}

impl Runner {
    fn new(yaml: &str, lock: &[u8]) -> Self {
        let bench = Bench::new(&Layout::new());
        fs::write(bench.path("host.yml"), yaml).unwrap();
        fs::write(bench.path("host.lock"), lock).unwrap();
        fs::create_dir(bench.path("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_lkbuild"), bench.path("bin/lkbuild")).unwrap();
        Runner { bench }
    }

    /// Runs a script as such systems do: it ends where a line fails.
    fn run(&self, script: &str, environment: &[(&str, &str)]) -> Output {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.bench.path("bin").display());
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", script])
            .current_dir(self.bench.path(""));
        shell
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.bench.path("home"));
        let output = shell.envs(environment.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", shown(&output));
        output
    }

    fn outputs(&self) -> usize {
        files(&self.bench.path("out")).len()
    }
}

/// The lock file of the system at this registry.
fn lock(yaml: &str) -> Vec<u8> {
    let bench = Bench::new(&Layout::new());
    bench.yaml(yaml);
    bench.must_run(&["lock", "os.yml"]);
    fs::read(bench.path("os.lock")).unwrap()
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        let file = to.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
}

#[test]
fn the_snippet_for_github_does_what_it_says() {
    let Some(registry) = Registry::start() else {
        return;
    };
    registry.push(&system::images());
    let yaml = system::yaml_at(&registry.host());
    let lock = lock(&yaml);
    let lines = snippet("GitHub Actions");
    let run = lines.iter().find_map(|line| line.strip_prefix("- run: "));
    let run = run.expect("a step that runs something");
    let path = lines
        .iter()
        .find_map(|line| line.trim().strip_prefix("path: "));
    let path = path.expect("a path that is saved");
    let first = Runner::new(&yaml, &lock);
    first.run(run, &[]);
    assert_eq!(first.outputs(), 3);
    // What actions/cache saves and restores.
    let second = Runner::new(&yaml, &lock);
    copy(&first.bench.path(path), &second.bench.path(path));
    let text = shown(&second.run(run, &[]));
    assert!(text.contains(r#""layers_packed":0"#), "{text}");
    assert!(
        text.contains(r#""fetched_bytes":0,"imported_packs":6"#),
        "{text}"
    );
}

#[test]
fn the_snippet_for_gitlab_does_what_it_says() {
    let Some(registry) = Registry::start() else {
        return;
    };
    registry.push(&system::images());
    let door = registry.open(&Door {
        password: true,
        ..Door::default()
    });
    // The images are for everybody, the cache is the project's.
    let yaml = system::yaml_at(&registry.host());
    let lock = lock(&yaml);
    let lines = snippet("GitLab");
    let job = lines[0].strip_suffix(':').expect("a job");
    assert!(
        !GITLAB_KEYWORDS.contains(&job),
        "no job can be called {job}"
    );
    let packs = lines
        .iter()
        .find_map(|line| line.trim().strip_prefix("PACKS: "));
    let own = format!("{}/group/project", door.host());
    let packs = packs.expect("PACKS").replace("$CI_REGISTRY_IMAGE", &own);
    let script = lines
        .iter()
        .skip_while(|line| line.trim() != "script:")
        .skip(1);
    let script: Vec<&str> = script
        .filter_map(|line| line.trim().strip_prefix("- "))
        .collect();
    assert!(script.len() > 1, "{script:?}");
    let environment = [
        ("CI_REGISTRY", door.host()),
        ("CI_REGISTRY_IMAGE", own.clone()),
        ("CI_REGISTRY_USER", "joe".into()),
        ("CI_REGISTRY_PASSWORD", "s3cret".into()),
        ("PACKS", packs),
    ];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(k, v)| (*k, &**v)).collect();
    let first = Runner::new(&yaml, &lock);
    first.run(&script.join("\n"), &environment);
    assert_eq!(first.outputs(), 3);
    let second = Runner::new(&yaml, &lock);
    let text = shown(&second.run(&script.join("\n"), &environment));
    assert!(text.contains("\n0 layers read"), "{text}");
    assert!(text.contains(" 0 B fetched"), "{text}");
}
