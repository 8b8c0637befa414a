//! Many builds on one store, killed at random moments while packs are evicted: those that end give
//! the bytes of a build that was alone, and the store is good afterwards. `LKBUILD_KILLS` says how
//! many are killed (`make soak`: 120).

use std::process::{Child, Stdio};
use std::time::Duration;

use testdata::Prng;

use crate::program::{Bench, files};
use crate::system;

const AT_ONCE: usize = 8;

#[test]
fn builds_at_once_on_one_store_survive_kills_and_eviction() {
    let kills: usize = std::env::var("LKBUILD_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(8);
    let images = system::images();
    let other = system::YAML
        .replace("test/sshd:1", "test/sshd:2")
        .replace("test/dhcp:1", "test/dhcp:2");
    let yamls = [system::YAML.to_owned(), other];
    let expected = yamls
        .each_ref()
        .map(|yaml| Bench::new(&images).must_build(yaml, &[]));
    let bench = Bench::new(&images);
    let mut random = Prng::new(7);
    let mut killed = 0;
    let mut finished = 0;
    while killed < kills {
        let mut builds: Vec<Child> = (0..AT_ONCE)
            .map(|n| {
                let yaml = bench.path(&format!("{n}.yml"));
                std::fs::write(&yaml, &yamls[n % 2]).unwrap();
                // Some keep few packs, some many, some none.
                let size = ["100k", "4M", "0", "none"][n % 4];
                bench
                    .command()
                    .args([
                        "--offline",
                        "--no-sbom",
                        "--name",
                        "os",
                        "--cache-size",
                        size,
                        "--dir",
                    ])
                    .arg(bench.path(&format!("out-{n}")))
                    .arg(yaml)
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for victim in &mut builds[..AT_ONCE / 2] {
            std::thread::sleep(Duration::from_millis(random.below(250) as u64));
            victim.kill().unwrap();
        }
        for (n, build) in builds.into_iter().enumerate() {
            let output = build.wait_with_output().unwrap();
            let was_killed = output.status.code().is_none();
            killed += usize::from(was_killed);
            if was_killed {
                assert!(n < AT_ONCE / 2);
                continue;
            }
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "build {n}: {text}");
            let out = bench.path(&format!("out-{n}"));
            assert!(files(&out) == expected[n % 2], "build {n} gave other bytes");
            finished += 1;
        }
        bench.assert_store_is_good();
    }
    assert!(finished >= AT_ONCE / 2);
    println!("faults: {killed}");
    bench.must_run(&["cache", "verify", "--offline"]);
    assert!(bench.must_build(&yamls[0], &["--offline"]) == expected[0]);
}
