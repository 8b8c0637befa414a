//! LinuxKit's own cache folder, used as it is: by both tools in turn, and at once.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testdata::{Image, Layer, Layout, judge};

use crate::program::{Bench, shown};
use crate::system;

/// Writes `index.json` as LinuxKit does: indented by three blanks, without a media type, entries
/// with annotations of its own.
fn as_linuxkit_writes_it(bench: &Bench, images: &Layout) {
    let manifests: Vec<Value> = images
        .manifests
        .iter()
        .map(|entry| {
            let mut entry = entry.clone();
            entry["annotations"]["org.mobyproject.linuxkit.example"] = json!("kept");
            entry
        })
        .collect();
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(&index, &mut serializer).unwrap();
    fs::write(bench.cache().join("index.json"), text).unwrap();
    fs::write(
        bench.cache().join("oci-layout"),
        "{\n   \"imageLayoutVersion\": \"1.0.0\"\n}",
    )
    .unwrap();
}

/// What LinuxKit needs of each entry: a name, and a whole descriptor of a blob that is there.
fn assert_linuxkit_can_read(bench: &Bench) -> Vec<String> {
    let index = fs::read(bench.cache().join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["schemaVersion"], 2);
    let mut names = Vec::new();
    for entry in index["manifests"].as_array().unwrap() {
        let digest = entry["digest"].as_str().unwrap();
        let blob = bench.cache().join("blobs").join(digest.replace(':', "/"));
        assert_eq!(entry["size"], fs::metadata(blob).unwrap().len(), "{entry}");
        assert!(
            entry["mediaType"]
                .as_str()
                .unwrap()
                .contains("application/vnd.")
        );
        let name = &entry["annotations"]["org.opencontainers.image.ref.name"];
        names.push(name.as_str().unwrap().to_owned());
    }
    let marker = fs::read(bench.cache().join("oci-layout")).unwrap();
    let marker: Value = serde_json::from_slice(&marker).unwrap();
    assert_eq!(marker["imageLayoutVersion"], "1.0.0");
    names
}

#[test]
fn a_cache_that_linuxkit_wrote_is_built_from_and_stays_readable_for_it() {
    let images = system::images();
    let expected = Bench::new(&images).must_build(system::YAML, &[]);
    let bench = Bench::new(&images);
    as_linuxkit_writes_it(&bench, &images);
    assert!(bench.must_build(system::YAML, &["--offline"]) == expected);
    let more = Layout::new().image(
        "test/more:1",
        &Image::new().layer(&Layer::new().file("more", "more")),
    );
    fs::write(bench.path("more.tar"), more.tar()).unwrap();
    bench.must_run(&["cache", "import", "more.tar"]);
    let names = assert_linuxkit_can_read(&bench);
    assert_eq!(names.len(), images.manifests.len() + 1);
    let index = fs::read_to_string(bench.cache().join("index.json")).unwrap();
    assert_eq!(
        index.matches("org.mobyproject.linuxkit.example").count(),
        images.manifests.len(),
        "what LinuxKit wrote beside the name is gone: {index}"
    );
    bench.must_run(&["cache", "rm", "test/more:1"]);
    assert_eq!(assert_linuxkit_can_read(&bench).len(), names.len() - 1);
    assert!(bench.must_build(system::YAML, &["--offline"]) == expected);
}

/// Adds names as LinuxKit does: under the lock, reading the index and writing it in place.
const LINUXKIT: &str = "
import fcntl, json, sys, time
cache, digest, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
print('started', flush=True)
for n in range(60):
    with open(cache + '/.lock', 'w') as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        index = json.load(open(cache + '/index.json'))
        index['manifests'].append({
            'mediaType': 'application/vnd.oci.image.index.v1+json', 'digest': digest, 'size': size,
            'annotations': {'org.opencontainers.image.ref.name': f'docker.io/linuxkit/n:{n}'}})
        text = json.dumps(index, indent=3)
        with open(cache + '/index.json', 'w') as file:
            file.write(text[:len(text) // 2])
            file.flush()
            time.sleep(0.004)
            file.write(text[len(text) // 2:])
";

#[test]
fn both_tools_write_the_index_at_once_and_lose_nothing() {
    let Some(python) = judge("python3") else {
        return;
    };
    let images = system::images();
    let bench = Bench::new(&images);
    let top = &images.manifests[0];
    let mut linuxkit = Command::new(python)
        .args(["-c", LINUXKIT])
        .arg(bench.cache())
        .arg(top["digest"].as_str().unwrap())
        .arg(top["size"].to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut rounds = 0;
    while linuxkit.try_wait().unwrap().is_none() || rounds < 4 {
        let name = format!("test/own-{rounds}:1");
        let own = Layout::new().image(
            &name,
            &Image::new().layer(&Layer::new().file("own", name.as_bytes())),
        );
        fs::write(bench.path("own.tar"), own.tar()).unwrap();
        bench.must_run(&["cache", "import", "own.tar"]);
        bench.must_run(&["cache", "ls"]);
        let output = bench
            .lkbuild(&["cache", "verify", "--offline"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        rounds += 1;
    }
    assert!(linuxkit.wait().unwrap().success());
    let names = assert_linuxkit_can_read(&bench);
    for n in 0..60 {
        let name = format!("docker.io/linuxkit/n:{n}");
        assert!(names.contains(&name), "{name} was lost");
    }
    for n in 0..rounds {
        let name = format!("docker.io/test/own-{n}:1");
        assert!(names.contains(&name), "{name} was lost");
    }
    assert!(!bench.cache().join("index.json.damaged").exists());
}
