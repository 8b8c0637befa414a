//! Lock files: what is built is what was locked, wherever tags point since.

use std::fs;

use testdata::{Image, Layer, Layout, Registry};

use crate::program::{Bench, files, shown};

fn image(text: &str) -> Image {
    Image::new()
        .layer(&Layer::new().file("etc/version", text))
        .platforms(["linux/amd64", "linux/arm64"])
}

/// A registry with the image in its first version, and YAML that uses it.
fn registry() -> Option<(Registry, String)> {
    let registry = Registry::start()?;
    let images = Layout::new()
        .image("test/app:1", &image("one"))
        .image("test/base:1", &image("base"));
    registry.push(&images);
    let host = registry.host();
    let yaml = format!("init:\n  - {host}/test/base:1\n  - {host}/test/app:1\n");
    Some((registry, yaml))
}

#[test]
fn what_was_locked_is_built_after_the_tag_moved() {
    let Some((registry, yaml)) = registry() else {
        return;
    };
    let bench = Bench::new(&Layout::new());
    let first = bench.must_build(&yaml, &[]);
    bench.must_run(&["lock", "os.yml"]);
    let text = fs::read_to_string(bench.path("os.lock")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // Each of the two: the index and two platforms, sorted.
    assert_eq!(lines.len(), 7, "{text}");
    assert_eq!(lines[0], "lkbuild-lock 1");
    let host = registry.host();
    assert!(
        lines[1].starts_with(&format!("{host}/test/app:1 index sha256:")),
        "{text}"
    );
    assert!(lines[2].contains(" linux/amd64 sha256:"), "{text}");
    assert!(lines[6].starts_with(&format!("{host}/test/base:1 linux/arm64 sha256:")));
    registry.push(&Layout::new().image("test/app:1", &image("two")));
    // A cache that never saw the first version.
    let other = Bench::new(&Layout::new());
    fs::write(other.path("os.lock"), &text).unwrap();
    assert!(other.must_build(&yaml, &["--locked"]) == first);
    assert!(other.must_build(&yaml, &["--locked", "--pull"]) == first);
    assert!(other.must_build(&yaml, &["--locked", "--offline"]) == first);
    other.assert_store_is_good();
    let moved = other.must_build(&yaml, &["--pull"]);
    assert!(moved != first, "the tag did not move");
    // The cache knows the tag as something else by now.
    assert!(other.must_build(&yaml, &["--locked"]) == first);
    // What is locked is carried as well.
    other.must_run(&[
        "cache", "export", "--locked", "--arch", "amd64", "-o", "b.tar", "os.yml",
    ]);
    let carried = Bench::new(&Layout::new());
    fs::copy(other.path("b.tar"), carried.path("b.tar")).unwrap();
    fs::write(carried.path("os.lock"), &text).unwrap();
    carried.must_run(&["cache", "import", "b.tar"]);
    assert!(carried.must_build(&yaml, &["--locked", "--offline"]) == first);
    assert!(carried.must_build(&yaml, &["--offline"]) == first);
    // Locking again keeps what is there; only an update asks for it.
    other.yaml(&yaml);
    let commented = format!("# not before Monday\n{text}");
    fs::write(other.path("os.lock"), &commented).unwrap();
    let output = other.lkbuild(&["lock", "os.yml"]).output().unwrap();
    assert!(
        shown(&output).contains("unchanged: os.lock"),
        "{}",
        shown(&output)
    );
    assert_eq!(
        fs::read_to_string(other.path("os.lock")).unwrap(),
        commented
    );
    other.must_run(&["lock", "--update", &format!("{host}/test/app:1"), "os.yml"]);
    let updated = fs::read_to_string(other.path("os.lock")).unwrap();
    assert!(updated != text && updated.lines().nth(4) == text.lines().nth(4));
    assert!(other.must_build(&yaml, &["--locked"]) == moved);
    // A host without a network takes what was brought to it.
    other.must_run(&[
        "cache", "export", "--locked", "--arch", "amd64", "-o", "new.tar", "os.yml",
    ]);
    fs::copy(other.path("new.tar"), carried.path("new.tar")).unwrap();
    carried.yaml(&yaml);
    carried.must_run(&["cache", "import", "new.tar"]);
    carried.must_run(&["lock", "--offline", "--update", "*", "os.yml"]);
    assert!(carried.must_build(&yaml, &["--locked", "--offline"]) == moved);
}

#[test]
fn a_lock_file_that_lacks_something_is_refused() {
    let images = Layout::new()
        .image("test/app:1", &image("one"))
        .image("test/base:1", &image("base"));
    let bench = Bench::new(&images);
    let yaml = bench.yaml("init:\n  - test/base:1\n");
    let yaml = yaml.to_str().unwrap();
    let build = |words: &[&str]| {
        let mut command = bench.build();
        let arguments = ["--offline", "--locked", yaml];
        let output = command.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
        bench.assert_failed(&output, words);
    };
    build(&[
        "os.lock: there is no such file",
        "docker.io/test/base:1",
        "lkbuild lock",
    ]);
    bench.must_run(&["lock", "--offline", yaml]);
    bench.must_build("init:\n  - test/base:1\n", &["--locked", "--offline"]);
    bench.clear_out();
    bench.yaml("init:\n  - test/base:1\n  - test/app:1\n");
    build(&["docker.io/test/app:1"]);
    let lock = bench.path("os.lock");
    let text = fs::read_to_string(&lock).unwrap();
    fs::write(&lock, text.replace("index sha256:", "index md5:")).unwrap();
    build(&["os.lock", "line 2"]);
    // Another digest: what the cache has of that name is not taken.
    let other = "0".repeat(64);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[1] = format!("docker.io/test/base:1 index sha256:{other}");
    fs::write(&lock, lines.join("\n")).unwrap();
    bench.yaml("init:\n  - test/base:1\n");
    let output = bench.build().args(["--offline", "--locked", yaml]).output();
    let output = output.unwrap();
    bench.assert_failed(&output, &["docker.io/test/base:1"]);
    assert!(files(&bench.out()).is_empty());
}

#[test]
fn tags_that_move_are_warned_of() {
    let images = Layout::new()
        .image("test/app:latest", &image("one"))
        .image("test/base:1", &image("base"));
    let bench = Bench::new(&images);
    let yaml = "init:\n  - test/base:1\n  - test/app\n  - test/app:latest\n";
    let (output, _) = bench.build_with(yaml, &["--offline"]);
    let text = shown(&output);
    assert_eq!(
        text.matches("may be another image tomorrow").count(),
        1,
        "{text}"
    );
    assert!(text.contains("os.yml:3:5"), "{text}");
    bench.must_run(&["lock", "--offline", "os.yml"]);
    let (output, _) = bench.build_with(yaml, &["--offline", "--locked"]);
    assert!(!shown(&output).contains("tomorrow"), "{}", shown(&output));
}

/// Cut off where it is too long, it would be another lock file.
#[test]
fn a_lock_file_without_an_end_is_refused() {
    let bench = Bench::new(&Layout::new());
    let mut text = String::from("lkbuild-lock 1\n");
    text.push_str(&"# nothing\n".repeat(2 << 20));
    fs::write(bench.path("os.lock"), text).unwrap();
    let yaml = bench.yaml("init:\n  - test/app:1\n");
    let output = bench.build().arg("--locked").arg(yaml).output().unwrap();
    bench.assert_failed(&output, &["os.lock", "longer than 16777216 bytes"]);
}

/// A name given as an argument is locked as those of a YAML are.
#[test]
fn names_given_as_arguments_are_taken_as_they_are_locked() {
    let Some((registry, yaml)) = registry() else {
        return;
    };
    let bench = Bench::new(&Layout::new());
    bench.yaml(&yaml);
    bench.must_run(&["lock", "os.yml"]);
    let text = fs::read_to_string(bench.path("os.lock")).unwrap();
    registry.push(&Layout::new().image("test/app:1", &image("two")));
    let app = format!("{}/test/app:1", registry.host());
    let locked = ["--locked", "--lock-file", "os.lock", "--arch", "amd64"];
    let index = text.lines().nth(1).unwrap().rsplit_once(' ').unwrap().1;
    for command in [&["pull"][..], &["export", "-o", "b.tar"]] {
        let other = Bench::new(&Layout::new());
        fs::write(other.path("os.lock"), &text).unwrap();
        let with = |name| [&["cache"], command, &locked, &[name]].concat();
        other.must_run(&with(&app));
        let listed = other.must_run(&["--json", "cache", "ls"]);
        assert!(listed.contains(index), "{listed}");
        // Not in the lock file.
        let output = other.lkbuild(&with("test/other:1")).output().unwrap();
        other.assert_failed(&output, &["os.lock", "docker.io/test/other:1"]);
        // Which lock file?
        let arguments = [&["cache"], command, &["--locked", &app]].concat();
        let output = other.lkbuild(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        other.assert_failed(&output, &["--lock-file"]);
    }
}

/// A line that was changed by hand or by a merge, the others left as they were.
#[test]
fn a_lock_file_that_contradicts_itself_is_refused() {
    let images = Layout::new().image("test/app:1", &image("one"));
    let single = Image::new().layer(&Layer::new().file("etc/version", "alone"));
    let single = single.plain_manifest();
    let bench = Bench::new(&images.image("test/single:1", &single));
    let other = format!("sha256:{}", "0".repeat(64));
    for name in ["test/app:1", "test/single:1"] {
        let yaml = format!("init:\n  - {name}\n");
        bench.yaml(&yaml);
        bench.must_run(&["lock", "--offline", "os.yml"]);
        bench.must_build(&yaml, &["--offline", "--locked"]);
        let text = fs::read_to_string(bench.path("os.lock")).unwrap();
        let line = text.lines().find(|l| l.contains(" linux/amd64 ")).unwrap();
        let digest = line.rsplit_once(' ').unwrap().1;
        let changed = text.replace(line, &line.replace(digest, &other));
        let added = format!("{text}docker.io/{name} linux/s390x {other}\n");
        for (text, platform) in [(changed, "linux/amd64"), (added, "linux/s390x")] {
            fs::write(bench.path("os.lock"), text).unwrap();
            bench.clear_out();
            let mut build = bench.build();
            let output = build.args(["--offline", "--locked", "os.yml"]).output();
            let words = [name, platform, &other, "lkbuild lock --update"];
            bench.assert_failed(&output.unwrap(), &words);
            let pull = ["cache", "pull", "--offline", "--locked", "os.yml"];
            let output = bench.lkbuild(&pull).output().unwrap();
            bench.assert_failed(&output, &words);
        }
        fs::remove_file(bench.path("os.lock")).unwrap();
    }
}

/// What would do something else than it says.
#[test]
fn lock_options_that_contradict_each_other_are_refused() {
    let bench = Bench::new(&Layout::new().image("test/app:1", &image("one")));
    bench.yaml("init:\n  - test/app:1\n");
    for (arguments, word) in [
        (
            &["build", "--lock-file", "os.lock", "os.yml"][..],
            "--locked",
        ),
        (
            &["cache", "pull", "--lock-file", "os.lock", "os.yml"],
            "--locked",
        ),
    ] {
        let output = bench.lkbuild(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        bench.assert_failed(&output, &[word]);
    }
}
