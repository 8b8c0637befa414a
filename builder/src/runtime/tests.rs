//! The golden vectors: LinuxKit's own outputs, with a table of what is meant to differ.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::{self, Moby};

/// The folders of the cases of one kind: those kept with the sources, and any more in the folder of
/// all vectors.
fn cases(kind: &str) -> Vec<PathBuf> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let kept = testdata::workspace_dir().join("testdata/vectors");
    for dir in [Some(kept), testdata::vectors_dir()].into_iter().flatten() {
        for case in cases_of(dir.join(kind)) {
            found.entry(name(&case)).or_insert(case);
        }
    }
    assert!(found.len() >= 20, "only {} cases of {kind}", found.len());
    found.into_values().collect()
}

fn cases_of(dir: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.is_dir());
    paths.sort();
    paths
}

fn name(case: &Path) -> String {
    case.file_name().unwrap().to_string_lossy().into_owned()
}

fn image_config(json: &serde_json::Value) -> ImageConfig {
    let strings = |key: &str| -> Vec<String> {
        let list = json[key].as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|s| s.as_str().unwrap().to_owned())
            .collect()
    };
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    ImageConfig {
        entrypoint: strings("Entrypoint"),
        cmd: strings("Cmd"),
        env: strings("Env"),
        working_dir: text(&json["WorkingDir"]),
        label: text(&json["Labels"][LABEL]),
    }
}

/// What LinuxKit wrote and what we write, for cases in which it loses what the user wrote.
const CORRECTED: [(&str, &[(&str, &str)]); 5] = [
    (
        "24-mounts-id-mappings",
        &[(
            r#"{"destination":"/m","type":"tmpfs","source":"tmpfs"}"#,
            r#"{"destination":"/m","type":"tmpfs","source":"tmpfs","uidMappings":[{"containerID":0,"hostID":1000,"size":10}],"gidMappings":[{"containerID":0,"hostID":1000,"size":10}]}"#,
        )],
    ),
    (
        "48-resources-camel-case",
        &[
            (
                r#""memory":{"limit":1}"#,
                r#""memory":{"limit":1,"kernelTCP":2,"disableOOMKiller":true}"#,
            ),
            (
                r#""cpu":{"shares":3}"#,
                r#""cpu":{"shares":3,"realtimeRuntime":4,"realtimePeriod":5}"#,
            ),
            (
                r#""blockIO":{"weight":10}"#,
                r#""blockIO":{"weight":10,"leafWeight":11,"weightDevice":[{"major":8,"minor":0,"weight":12,"leafWeight":13}],"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":14}],"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":15}],"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":16}],"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":17}]},"hugepageLimits":[{"pageSize":"2MB","limit":18}]"#,
            ),
            (
                r#""network":{"priorities""#,
                r#""network":{"classID":19,"priorities""#,
            ),
        ],
    ),
    (
        "55-id-mappings",
        &[
            (
                r#""containerID":0,"hostID":0,"size":10"#,
                r#""containerID":5,"hostID":1000,"size":10"#,
            ),
            (
                r#""containerID":0,"hostID":0,"size":20"#,
                r#""containerID":6,"hostID":2000,"size":20"#,
            ),
            (
                r#""containerID":0,"hostID":0,"size":30"#,
                r#""containerID":7,"hostID":3000,"size":30"#,
            ),
        ],
    ),
    (
        "66-volume-mounts",
        &[
            (
                r#""source":"vol1""#,
                r#""source":"/containers/volumes/vol1/merged""#,
            ),
            (
                r#""source":"vol_2-x""#,
                r#""source":"/containers/volumes/vol_2-x/merged""#,
            ),
        ],
    ),
    (
        "67-label-add-keys",
        &[
            (
                r#""capabilities":{}"#,
                r#""capabilities":{"bounding":["CAP_KILL"],"effective":["CAP_KILL"],"inheritable":["CAP_KILL"],"permitted":["CAP_KILL"]}"#,
            ),
            (
                r#"{"destination":"/proc""#,
                r#"{"destination":"/l","type":"bind","source":"/l","options":["rw","rbind","rshared"]},{"destination":"/proc""#,
            ),
        ],
    ),
];

/// What LinuxKit builds into something that was not meant, and we refuse: with a word of why.
const REFUSED: [(&str, &str); 2] = [
    ("34-ns-none", "\"none\" cannot be the namespace \"ipc\""),
    ("44-ids-negative", "\"uid\""),
];

#[test]
fn config_and_runtime_json_are_linuxkits() {
    let mut wrong = Vec::new();
    for case in cases("oci-config") {
        let name = name(&case);
        let read = |file: &str| std::fs::read_to_string(case.join(file)).unwrap();
        // The vectors' placeholders are upper case, which no registry takes.
        let yaml = read("container.yml").replace("vec/IMAGE", "vec/image");
        let yaml = yaml.replace("vec/OTHER", "vec/other");
        let image = image_config(&serde_json::from_str(&read("image-config.json")).unwrap());
        let built = config::load(&[("container.yml", yaml.as_bytes())])
            .map_err(|e| e.to_string())
            .and_then(|loaded| {
                bundles(&loaded.moby, |r| {
                    let of_target = r.repository() == "vec/image";
                    Ok(if of_target {
                        image.clone()
                    } else {
                        ImageConfig::default()
                    })
                })
                .map_err(|e: RuntimeError| e.to_string())
            });
        if let Some((_, why)) = REFUSED.iter().find(|(n, _)| *n == name) {
            let error = built.expect_err(&name);
            assert!(
                error.contains(why) && error.starts_with("container.yml:"),
                "{error}"
            );
            continue;
        }
        let bundles = built.unwrap_or_else(|e| panic!("{name}: {e}"));
        let bundle = bundles.iter().find(|b| b.path.ends_with("target")).unwrap();
        let (config, runtime) = (utf8(&bundle.config_json), utf8(&bundle.runtime_json));
        let (mut wanted, mut got) = (read("config.json"), config);
        if let Some((_, corrections)) = CORRECTED.iter().find(|(n, _)| *n == name) {
            (wanted, got) = (compact(&wanted), compact(&got));
            for (old, new) in *corrections {
                assert_eq!(wanted.matches(old).count(), 1, "{name}: {old}");
                wanted = wanted.replace(old, new);
            }
        }
        if got != wanted || runtime != read("runtime.json") {
            wrong.push(format!("{name}\n{}", diff(&wanted, &got)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn compact(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json)
        .unwrap()
        .to_string()
}

fn diff(wanted: &str, got: &str) -> String {
    let at = wanted
        .bytes()
        .zip(got.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let near = |s: &str| {
        String::from_utf8_lossy(&s.as_bytes()[at.saturating_sub(80)..s.len().min(at + 160)])
            .into_owned()
    };
    format!("wanted ...{}\ngot ...{}", near(wanted), near(got))
}

/// Everything up to the bundles, for the cases of `errors` and `accepted`; warnings on success.
fn build(case: &Path) -> Result<(Moby, Vec<Bundle>, Vec<String>), String> {
    let images = case.parent().unwrap().join("images.json");
    let images: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(images).unwrap()).unwrap();
    let yaml = std::fs::read(case.join("input.yml")).unwrap();
    let loaded = config::load(&[("input.yml", &yaml)]).map_err(|e| e.to_string())?;
    let bundles = bundles(&loaded.moby, |r| {
        Ok::<_, RuntimeError>(image_config(&images[r.original()]["config"]))
    })
    .map_err(|e| e.to_string())?;
    let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
    Ok((loaded.moby, bundles, warnings))
}

/// Refused by LinuxKit, but the meaning is plain: capabilities added to `all` (21) and to `none`
/// (22), a device's (39) and a file's (44) mode as an octal integer, a mode with `0o` (43), an id
/// in quotes (57) and as a whole float (58), a read-only volume with `ro` among other options (61).
const PLAIN_AFTER_ALL: [&str; 8] = ["21", "22", "39", "43", "44", "57", "58", "61"];

/// Refused in a later step, when images (64 to 68, and 29 of `accepted`) and source files (50, 51)
/// are read.
const LATER: [&str; 7] = ["50", "51", "64", "65", "66", "67", "68"];

fn number(name: &str) -> &str {
    name.split('-').next().unwrap_or_default()
}

#[test]
fn what_linuxkit_refuses_is_refused_at_its_place() {
    for case in cases("errors") {
        let name = name(&case);
        let built = build(&case);
        if PLAIN_AFTER_ALL.contains(&number(&name)) || LATER.contains(&number(&name)) {
            built.unwrap_or_else(|e| panic!("{name}: {e}"));
            continue;
        }
        let Err(error) = built else {
            panic!("{name} was accepted")
        };
        assert!(error.starts_with("input.yml:"), "{name}: {error}");
        assert!(error.contains(" | "), "{name} shows no line: {error}");
        assert!(
            error.contains("  help: "),
            "{name} says not what to do: {error}"
        );
    }
}

/// Accepted by LinuxKit, refused here, with a word of why.
const DOUBTFUL: [(&str, &str); 12] = [
    ("05-volume-in-label-bind", "is read-only"),
    ("06-volume-name-empty", "cannot be the name of a volume"),
    ("07-volume-no-name", "must have the key \"name\""),
    ("09-service-name-dotdot", "slash"),
    ("10-service-name-empty", "empty"),
    ("13-file-symlink-and-contents", "symlink and contents"),
    ("14-file-symlink-and-directory", "directory and symlink"),
    ("21-rlimit-soft-above-hard", "above the hard one"),
    ("22-namespace-nonsense", "cannot be the namespace"),
    ("23-device-type-nonsense", "device"),
    ("25-two-documents", "second YAML document"),
    ("33-oom-score-out-of-range", "-1000 to 1000"),
];

#[test]
fn what_linuxkit_accepts_is_accepted_unless_it_breaks_the_image() {
    let mut unknown = Vec::new();
    for case in cases("accepted") {
        let name = name(&case);
        match (build(&case), DOUBTFUL.iter().find(|(n, _)| *n == name)) {
            (Ok(_), Some(_)) => panic!("{name} was accepted"),
            (Ok((moby, _, _)), None) => {
                let again = config::dry_run_yaml(&moby);
                config::load(&[("again", again.as_bytes())]).unwrap_or_else(|e| panic!("{e}"));
            }
            (Err(error), Some((_, why))) => assert!(error.contains(why), "{name}: {error}"),
            (Err(error), None) => unknown.push(format!("{name}: {error}")),
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n\n"));
}

/// Whole configurations: the bundles of all sections, images shared between them.
#[test]
fn bundles_of_whole_configurations_are_linuxkits() {
    let mut compared = 0;
    for case in cases_of(testdata::workspace_dir().join("testdata/vectors/assembly")) {
        let images = std::fs::read(case.join("images.json")).unwrap();
        let images: serde_json::Value = serde_json::from_slice(&images).unwrap();
        let yaml = std::fs::read(case.join("linuxkit.yml")).unwrap();
        let loaded = config::load(&[("linuxkit.yml", &yaml)]).unwrap();
        check(&loaded.moby).unwrap();
        let bundles = bundles(&loaded.moby, |r| {
            Ok::<_, RuntimeError>(image_config(&images[r.original()]["config"]))
        });
        for bundle in bundles.unwrap() {
            let read = |file: &str| {
                let path = case.join("contents").join(&bundle.path).join(file);
                std::fs::read_to_string(path).ok()
            };
            let Some(config) = read("config.json") else {
                continue;
            };
            assert_eq!(utf8(&bundle.config_json), config, "{}", bundle.path);
            assert_eq!(utf8(&bundle.runtime_json), read("runtime.json").unwrap());
            compared += 1;
        }
    }
    assert!(compared >= 10, "only {compared} bundles");
}

/// Parses `yaml` and describes its first service with an image of this label.
fn first_service(yaml: &str, label: &str) -> Result<serde_json::Value, String> {
    let loaded = config::load(&[("t.yml", yaml.as_bytes())]).map_err(|e| e.to_string())?;
    let image = ImageConfig {
        label: label.to_owned(),
        ..ImageConfig::default()
    };
    let bundles = bundles(&loaded.moby, |_| Ok::<_, RuntimeError>(image.clone()))
        .map_err(|e| e.to_string())?;
    Ok(serde_json::from_slice(&bundles[0].config_json).unwrap())
}

fn service(settings: &str) -> String {
    format!("services:\n  - name: a\n    image: b\n    {settings}\n")
}

#[test]
fn a_container_gets_no_more_than_it_asks_for() {
    let effective = |settings: &str, label: &str| {
        let config = first_service(&service(settings), label)?;
        Ok::<_, String>(config["process"]["capabilities"]["effective"].clone())
    };
    let all = r#"{"capabilities":["all"]}"#;
    assert_eq!(
        effective("hostname: h", "").unwrap(),
        serde_json::Value::Null
    );
    assert_eq!(
        effective("capabilities: []", all).unwrap(),
        serde_json::Value::Null
    );
    assert_eq!(
        effective("capabilities: [none]", all).unwrap(),
        serde_json::Value::Null
    );
    assert_eq!(
        effective("capabilities: [CAP_KILL]", all).unwrap()[0],
        "CAP_KILL"
    );
    assert_eq!(
        effective("capabilities.add: [CAP_KILL]", all)
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        41
    );
    let none = r#"{"capabilities":["none"]}"#;
    assert_eq!(
        effective("capabilities.add: [CAP_KILL]", none).unwrap(),
        serde_json::json!(["CAP_KILL"])
    );
    let error = effective("capabilities: [none, CAP_KILL]", "").unwrap_err();
    assert!(error.contains("must stand alone"), "{error}");
    let error = effective("capabilities: [sys_admin]", "").unwrap_err();
    assert!(error.contains("write CAP_SYS_ADMIN"), "{error}");
}

#[test]
fn errors_of_a_label_name_the_image_and_the_place() {
    let error = first_service(&service("net: new"), r#"{"netz": "new"}"#).unwrap_err();
    assert!(error.contains("label org.mobyproject.config of docker.io/library/b:latest:1:2"));
    assert!(
        error.contains("its keys are") || error.contains("did you mean"),
        "{error}"
    );
    let error = first_service(&service("net: new"), r#"{"binds": ["vol:/x"]}"#).unwrap_err();
    assert!(error.contains("there is no volume \"vol\""), "{error}");
    assert!(
        error.contains("in container \"a\" (t.yml:2:11), image docker.io"),
        "{error}"
    );
}

#[test]
fn read_only_volumes_are_never_writable() {
    let with = |settings: &str| {
        let yaml = service(settings) + "volumes:\n  - {name: v, readonly: true}\n";
        first_service(&yaml, "")
    };
    assert!(with("binds: ['v:/x:nosuid,ro']").is_ok());
    assert!(with("mounts: [{type: bind, source: v, destination: /x, options: [ro]}]").is_ok());
    for settings in [
        "binds: ['v:/x']",
        "binds: ['v:/x:nosuid']",
        "binds: ['v:/x:ro,rw']",
        "binds.add: ['v:/x:rw']",
        "mounts: [{type: bind, source: v, destination: /x}]",
    ] {
        let error = with(settings).unwrap_err();
        assert!(
            error.contains("read-only, but mounted read-write"),
            "{error}"
        );
    }
}

#[test]
fn images_are_stored_once_whatever_they_are_called() {
    let yaml = "onboot:\n  - {name: a, image: alpine}\nservices:\n  - {name: b, image: \
                'docker.io/library/alpine:latest', readonly: true}\n";
    let moby = config::load(&[("t.yml", yaml.as_bytes())]).unwrap().moby;
    let bundles = bundles(&moby, |_| Ok::<_, RuntimeError>(ImageConfig::default())).unwrap();
    assert_eq!(
        bundles[0].placement,
        Placement::Here("containers/onboot/000-a/lower".into())
    );
    assert_eq!(
        bundles[1].placement,
        Placement::Shared("containers/onboot/000-a/lower".into())
    );
    assert_eq!(bundles[1].directories(), ["containers/services/b/rootfs"]);
    assert_eq!(
        bundles[0].directories(),
        [
            "containers/onboot/000-a/tmp",
            "containers/onboot/000-a/rootfs"
        ]
    );
}
