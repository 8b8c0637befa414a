//! Every kind of damage to every kind of file in the store: healed where a registry has the image,
//! named where there is none, never wrong bytes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use testdata::{Layout, Registry, judge};

use crate::program::{Bench, files, shown};
use crate::system;

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flipped,
    Cut,
    Longer,
    Empty,
    Missing,
    Unreadable,
    OtherBytes,
}

const DAMAGES: [Damage; 7] = [
    Damage::Flipped,
    Damage::Cut,
    Damage::Longer,
    Damage::Empty,
    Damage::Missing,
    Damage::Unreadable,
    Damage::OtherBytes,
];

fn damage(path: &Path, damage: Damage) {
    let mut bytes = fs::read(path).unwrap();
    match damage {
        Damage::Flipped => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x20;
        }
        Damage::Cut => bytes.truncate(bytes.len() / 2),
        Damage::Longer => bytes.push(b'x'),
        Damage::Empty => bytes.clear(),
        Damage::Missing => return fs::remove_file(path).unwrap(),
        Damage::Unreadable => {
            return fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
        }
        Damage::OtherBytes => bytes = b"{\"manifests\": [], \"schemaVersion\": 2}".to_vec(),
    }
    fs::write(path, bytes).unwrap();
}

/// Puts back all files of the cache.
fn restore(cache: &Path, good: &BTreeMap<String, Vec<u8>>) {
    fs::remove_dir_all(cache).unwrap();
    for (name, bytes) in good {
        let path = cache.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn damage_is_healed_online_named_offline_and_never_gives_wrong_bytes() {
    let (Some(registry), Some(setpriv)) = (Registry::start(), judge("setpriv")) else {
        return;
    };
    registry.push(&system::images());
    let name = format!("{}/test/sysctl:1", registry.host());
    let yaml = format!("init:\n  - {name}\n");
    let bench = Bench::new(&Layout::new());
    let expected = bench.must_build(&yaml, &[]);
    let good = files(&bench.cache());
    let yaml = bench.yaml(&yaml);
    // Root reads everything: without these capabilities it is like anybody else.
    let capabilities = "-dac_override,-dac_read_search";
    let setpriv = setpriv.to_str().unwrap();
    let drop = [
        setpriv,
        "--bounding-set",
        capabilities,
        "--inh-caps",
        capabilities,
    ];
    let is_root =
        fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t"));
    let wrapper: &[&str] = if is_root { &drop } else { &[] };
    let mut healed = 0;
    for (file, _) in good
        .iter()
        .filter(|(file, _)| *file != "oci-layout" && *file != ".lock")
    {
        let is_pack = file.starts_with("packs/");
        for kind in DAMAGES {
            for offline in [false, true] {
                restore(&bench.cache(), &good);
                if !is_pack {
                    // A pack would do without its blob.
                    fs::remove_dir_all(bench.cache().join("packs")).unwrap();
                }
                damage(&bench.cache().join(file), kind);
                bench.clear_out();
                let mut command = bench.build_in(wrapper);
                if offline {
                    command.arg("--offline");
                }
                let output = command.arg(&yaml).output().unwrap();
                let text = format!("{file} {kind:?} offline {offline}: {}", shown(&output));
                if output.status.success() {
                    assert!(bench.outputs() == expected, "wrong bytes: {text}");
                    if !matches!(kind, Damage::Unreadable) || !offline {
                        bench.assert_store_is_good();
                    }
                    healed += 1;
                    continue;
                }
                assert!(offline, "not healed: {text}");
                let hex = file.rsplit('/').next().unwrap();
                // The file itself, or the image that can't be had because of it.
                assert!(
                    text.contains(hex) || text.contains(&name),
                    "not named: {text}"
                );
                bench.assert_failed(&output, &[]);
            }
        }
    }
    assert!(healed > 50, "{healed}");
}
