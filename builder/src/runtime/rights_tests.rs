//! No container gets more rights than its YAML and its image's label ask for, whatever is combined
//! with whatever, and whatever else the image says of itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use testdata::Prng;

use super::*;
use crate::config;

const CAPABILITIES: [&str; 5] = [
    "CAP_KILL",
    "CAP_NET_ADMIN",
    "CAP_SYS_ADMIN",
    "CAP_CHOWN",
    "CAP_BPF",
];
const BINDS: [&str; 5] = [
    "/var:/var",
    "/etc/x:/etc/x:ro",
    "/dev:/dev",
    "/run:/run:rshared,rbind",
    "/:/host",
];
const NAMESPACES: [&str; 5] = ["net", "ipc", "pid", "uts", "userns"];

/// A part of `from`, in its order.
fn some(random: &mut Prng, from: &[&str]) -> Vec<Value> {
    let kept = from.iter().filter(|_| random.below(3) == 0);
    kept.map(|&text| json!(text)).collect()
}

fn capabilities(random: &mut Prng) -> Value {
    match random.below(6) {
        0 => json!(["all"]),
        1 => json!(["none"]),
        2 => json!([]),
        _ => some(random, &CAPABILITIES).into(),
    }
}

/// Settings as a label or a YAML may have them: each key in one of four.
fn settings(random: &mut Prng) -> Map<String, Value> {
    let mut all = Map::new();
    for key in ["capabilities", "capabilities.add", "ambient"] {
        all.insert(key.into(), capabilities(random));
    }
    for key in ["binds", "binds.add"] {
        all.insert(key.into(), some(random, &BINDS).into());
    }
    for key in NAMESPACES {
        let choices = ["host", "new", "/proc/1/ns/x", ""];
        all.insert(key.into(), json!(choices[random.below(4)]));
    }
    let minor = random.below(3);
    let device = json!({"path": format!("/dev/d{minor}"), "type": "c", "major": 1, "minor": minor});
    all.insert("devices".into(), json!([device]));
    let mount = json!({"type": "bind", "source": format!("/m{minor}"), "destination": "/m",
                       "options": ["rbind"]});
    all.insert("mounts".into(), json!([mount]));
    all.insert("sysctl".into(), json!({format!("net.s{minor}"): "1"}));
    all.insert("readonly".into(), json!(random.below(2) == 0));
    all.insert("noNewPrivileges".into(), json!(random.below(2) == 0));
    all.insert("uid".into(), json!(random.below(3)));
    all.insert("gid".into(), json!(random.below(3)));
    all.insert("additionalGids".into(), json!([random.below(100)]));
    all.insert("cgroupsPath".into(), json!(format!("/c{minor}")));
    all.insert("rootfsPropagation".into(), json!("shared"));
    all.insert("maskedPaths".into(), some(random, &["/proc/kcore"]).into());
    all.retain(|_, _| random.below(4) == 0);
    all
}

/// An image that says a lot of itself, of which nothing is a right.
fn image(random: &mut Prng, label: &Map<String, Value>) -> ImageConfig {
    let words = |random: &mut Prng| vec!["x".repeat(random.below(3)), "--privileged".to_owned()];
    ImageConfig {
        entrypoint: words(random),
        cmd: words(random),
        env: vec!["CAPABILITIES=all".into(), "USER=root".into()],
        working_dir: "/../..".into(),
        label: match label.is_empty() {
            true => String::new(),
            false => Value::from(label.clone()).to_string(),
        },
    }
}

fn config_json(yaml: &Map<String, Value>, image: &ImageConfig) -> Result<Value, String> {
    let mut service = yaml.clone();
    service.insert("name".into(), json!("a"));
    service.insert("image".into(), json!("b"));
    // JSON is YAML.
    let text = json!({"services": [service]}).to_string();
    let loaded = config::load(&[("t.yml", text.as_bytes())]).map_err(|e| e.to_string())?;
    let bundles = bundles(&loaded.moby, |_| Ok::<_, RuntimeError>(image.clone()))
        .map_err(|e| e.to_string())?;
    Ok(serde_json::from_slice(&bundles[0].config_json).unwrap())
}

/// What was asked for of a container: the YAML's key, or else the label's.
struct Asked<'a> {
    label: &'a Map<String, Value>,
    yaml: &'a Map<String, Value>,
}

impl Asked<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.yaml.get(key).or_else(|| self.label.get(key))
    }

    /// Empty text counts as absent.
    fn text(&self, key: &str) -> Option<&str> {
        let filled = |map: &'_ Map<String, Value>| {
            let text = map.get(key)?.as_str()?.to_owned();
            (!text.is_empty()).then_some(())
        };
        match filled(self.yaml) {
            Some(()) => self.yaml[key].as_str(),
            None => filled(self.label).and_then(|()| self.label[key].as_str()),
        }
    }

    /// With what is added.
    fn list(&self, key: &str) -> BTreeSet<String> {
        let add = format!("{key}.add");
        let lists = match self.yaml.get(key) {
            Some(own) => vec![Some(own), self.yaml.get(&add)],
            None => vec![
                self.label.get(key),
                self.label.get(&add),
                self.yaml.get(&add),
            ],
        };
        let lists = lists.into_iter().flatten();
        lists.flat_map(strings).collect()
    }

    fn may_have(&self, capability: &str, key: &str) -> bool {
        let list = match key {
            "ambient" => self.get(key).map(strings).unwrap_or_default(),
            key => self.list(key),
        };
        list.contains("all") || list.contains(capability)
    }
}

fn strings(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn check(asked: &Asked<'_>, got: &Value, nothing: &Value) {
    let process = &got["process"];
    for set in [
        "effective",
        "permitted",
        "bounding",
        "inheritable",
        "ambient",
    ] {
        for capability in strings(&process["capabilities"][set]) {
            let own = asked.may_have(&capability, "capabilities");
            let ambient = asked.may_have(&capability, "ambient");
            let may = match set {
                "effective" => own,
                "ambient" => ambient,
                _ => own || ambient,
            };
            assert!(may, "{set}: {capability}");
        }
    }
    for (key, asked_key) in [("uid", "uid"), ("gid", "gid")] {
        let wanted = asked.get(asked_key).cloned().unwrap_or(json!(0));
        assert_eq!(process["user"][key], wanted, "{key}");
    }
    let groups = asked.get("additionalGids").cloned().unwrap_or(Value::Null);
    assert_eq!(process["user"]["additionalGids"], groups);
    if asked.get("noNewPrivileges") == Some(&json!(true)) {
        assert_eq!(process["noNewPrivileges"], true);
    }
    if asked.get("readonly") == Some(&json!(true)) {
        assert_eq!(got["root"]["readonly"], true);
    }
    let usual = nothing["mounts"].as_array().unwrap();
    let binds = asked.list("binds");
    let own = asked.get("mounts").and_then(Value::as_array);
    for mount in got["mounts"].as_array().unwrap() {
        let source = mount["source"].as_str().unwrap_or_default();
        let destination = mount["destination"].as_str().unwrap();
        let bind = binds
            .iter()
            .find(|bind| bind.starts_with(&format!("{source}:{destination}")));
        let of_own = own.into_iter().flatten().any(|m| m["source"] == source);
        // A read-only root turns nothing writable; what is usual is mounted as usual.
        let is_usual = usual
            .iter()
            .any(|m| m["destination"] == mount["destination"] && m["type"] == mount["type"]);
        assert!(is_usual || bind.is_some() || of_own, "{mount}");
        if let Some(bind) = bind.filter(|bind| bind.ends_with(":ro")) {
            assert!(strings(&mount["options"]).contains("ro"), "{bind}: {mount}");
        }
        if strings(&mount["options"])
            .iter()
            .any(|o| o.ends_with("bind"))
        {
            assert!(bind.is_some() || of_own, "{mount}");
        }
    }
    let linux = &got["linux"];
    let devices = asked.get("devices").and_then(Value::as_array);
    for device in linux["devices"].as_array().into_iter().flatten() {
        let wanted = devices.into_iter().flatten();
        let mut found = wanted.filter(|d| d["path"] == device["path"]);
        assert!(found.any(|d| d["minor"] == device["minor"]), "{device}");
    }
    for rule in linux["resources"]["devices"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let wanted = devices.into_iter().flatten();
        let mut found = wanted.filter(|d| d["minor"] == rule["minor"]);
        assert!(rule["allow"] == false || found.next().is_some(), "{rule}");
    }
    let namespace = |config: &Value, kind: &str| {
        let list = config["linux"]["namespaces"].as_array().unwrap();
        list.iter().find(|n| n["type"] == kind).cloned()
    };
    assert!(namespace(got, "mount").is_some());
    for (key, kind) in NAMESPACES
        .into_iter()
        .zip(["network", "ipc", "pid", "uts", "user"])
    {
        let usual = namespace(nothing, kind);
        match (namespace(got, kind), asked.text(key)) {
            (found, None) => assert_eq!(found, usual, "{kind}"),
            (None, Some(text)) => assert_eq!(text, "host", "{kind}"),
            (Some(found), Some(text)) => {
                let path = (text != "new").then_some(text);
                assert_eq!(found["path"].as_str(), path, "{kind}");
            }
        }
    }
    let sysctl = asked.get("sysctl").cloned().unwrap_or(Value::Null);
    assert_eq!(linux["sysctl"], sysctl);
    for (key, got) in [
        ("cgroupsPath", &linux["cgroupsPath"]),
        ("rootfsPropagation", &linux["rootfsPropagation"]),
    ] {
        assert_eq!(
            got,
            &asked.get(key).cloned().unwrap_or(Value::Null),
            "{key}"
        );
    }
    let masked = asked.get("maskedPaths").map(strings).unwrap_or_default();
    assert_eq!(strings(&linux["maskedPaths"]), masked);
}

#[test]
fn config_json_never_has_more_rights_than_yaml_and_label_ask_for() {
    let mut random = Prng::new(1);
    let nothing = config_json(&Map::new(), &ImageConfig::default()).unwrap();
    let mut refused = 0;
    for case in 0..1500 {
        let (label, yaml) = (settings(&mut random), settings(&mut random));
        let image = image(&mut random, &label);
        let asked = Asked {
            label: &label,
            yaml: &yaml,
        };
        match config_json(&yaml, &image) {
            Ok(got) => {
                // Shown with the test's failure.
                println!("{}", json!({"case": case, "label": label, "yaml": yaml}));
                check(&asked, &got, &nothing);
            }
            // For instance two mounts at one place.
            Err(_) => refused += 1,
        }
    }
    assert!(refused < 900, "{refused} refused");
}

/// An image without a label gets nothing, whatever else it says.
#[test]
fn an_image_s_own_config_grants_nothing() {
    let mut random = Prng::new(2);
    let nothing = config_json(&Map::new(), &ImageConfig::default()).unwrap();
    for _ in 0..50 {
        let image = image(&mut random, &Map::new());
        let mut got = config_json(&Map::new(), &image).unwrap();
        let process = got["process"].as_object_mut().unwrap();
        process.retain(|key, _| nothing["process"].get(key).is_some());
        process.insert("cwd".into(), nothing["process"]["cwd"].clone());
        assert_eq!(got, nothing);
    }
}
