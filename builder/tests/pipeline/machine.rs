//! A failing machine: full and read-only file systems, too few files, signals at any moment, a
//! store that changes beneath a build. Whatever happens, no wrong and no half output has its final
//! name, and the next build is as good as ever.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testdata::{Compression, Image, Layer, Layout, Prng};

use crate::disks;
use crate::program::{Bench, files, shown};

const YAML: &str = "\
kernel:
  image: test/kernel:1
  cmdline: quiet
init:
  - test/init:1
onboot:
  - name: one
    image: test/one:1
";

/// A system small enough to be built a hundred times: some 200 kB.
fn images() -> Layout {
    let bytes = |seed, length| Prng::new(seed).bytes(length);
    let kernel = Layer::new().file("kernel", disks::bz_image()).file(
        "kernel.tar",
        Layer::new().file("lib/m.ko", bytes(2, 9000)).tar(),
    );
    let init = Layer::new()
        .file("init", bytes(3, 30_000))
        .file("etc/init.d/1", "#!/bin/sh\n");
    let base = Layer::new().file("bin/x", bytes(4, 60_000));
    let top = Layer::new()
        .file("bin/y", bytes(5, 40_000))
        .whiteout("bin/x");
    let one = Image::new().layer(&base).layer_as(&top, Compression::Zstd);
    Layout::new()
        .image("test/kernel:1", &Image::new().layer(&kernel))
        .image("test/init:1", &Image::new().layer(&init))
        .image("test/one:1", &one)
}

/// How often, for what is random; `make soak` asks for more.
fn rounds() -> u64 {
    let soak = std::env::var_os("LKBUILD_RANDOM_SEQUENCES").is_some();
    if soak { 1000 } else { 25 }
}

/// What a good build writes.
fn good() -> BTreeMap<String, Vec<u8>> {
    let outputs = Bench::new(&images()).must_build(YAML, &["--offline"]);
    assert_eq!(outputs.len(), 3, "{:?}", outputs.keys());
    outputs
}

/// Every file is whole and right, or not there.
fn assert_whole(found: &BTreeMap<String, Vec<u8>>, good: &BTreeMap<String, Vec<u8>>, what: &str) {
    for (name, bytes) in found {
        // What a killed program was about to rename.
        if name.starts_with(".lkbuild-") {
            continue;
        }
        assert!(good.get(name) == Some(bytes), "{what}: {name} is wrong");
    }
}

/// The program ended by itself, and said what is wrong if something was.
fn assert_clear(output: &Output, what: &str) {
    let shown = shown(output);
    assert!(output.status.code().is_some(), "{what}: {shown}");
    assert!(!shown.contains("panicked"), "{what}: {shown}");
    if !output.status.success() {
        assert!(shown.contains("error: "), "{what}: {shown}");
    }
}

/// Runs a script in mount namespace of its own, where it may mount; as root, or as a user who is
/// root there.
fn in_own_mounts(script: &str) -> Vec<String> {
    let mut wrapper = vec!["unshare".to_owned(), "--mount".to_owned()];
    if !rustix::process::geteuid().is_root() {
        wrapper.extend(["--user".to_owned(), "--map-root-user".to_owned()]);
    }
    wrapper.extend(["sh", "-c", script, "sh"].map(str::to_owned));
    wrapper
}

/// Whether the script could not mount: then the test is skipped, unless this is CI's root.
fn cannot_mount(output: &Output) -> bool {
    let text = shown(output);
    let refused = output.status.code() == Some(77) || text.contains("unshare failed");
    if refused {
        skip("mounting", &text);
    }
    refused
}

/// Says that a test is skipped because something is not allowed here; CI's root must be allowed it.
fn skip(what: &str, text: &str) {
    let must = std::env::var_os("CI").is_some() && rustix::process::geteuid().is_root();
    assert!(!must, "root in CI is not allowed {what}: {text}");
    println!("skipped: {what} is not allowed here");
}

/// What starts a program in a network namespace of its own: as root, or as a user who is root there.
pub(crate) fn own_network() -> Vec<&'static str> {
    let mut wrapper = vec!["unshare", "--net"];
    if !rustix::process::geteuid().is_root() {
        wrapper.extend(["--user", "--map-root-user"]);
    }
    wrapper
}

/// Whether a program can be started by this one; if not, the test is skipped, unless this is CI's
/// root.
pub(crate) fn works(wrapper: &[&str]) -> bool {
    let output = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg("true")
        .output();
    let refused = match output {
        Ok(output) if output.status.success() => return true,
        Ok(output) => shown(&output),
        Err(error) => error.to_string(),
    };
    skip(wrapper[0], &refused);
    false
}

/// Builds into a file system of so many pages (4 KiB) and files at `$PLACE`, then gives it room
/// and builds again.
const FULL: &str = r#"
mount -t tmpfs -o "size=$((PAGES * 4096)),nr_inodes=$INODES" tmpfs "$PLACE" || exit 77
mkdir -p out kept
"$@"; code=$?
if [ $code != 0 ]; then
    [ $code -lt 128 ] || exit $code
    [ -z "$(ls -A out)" ] || { echo "left in out:" $(ls -A out); exit 78; }
    left=$(find "$PLACE" -name '.lkbuild-*')
    [ -z "$left" ] || { echo "left behind: $left"; exit 78; }
    mount -o remount,size=64m,nr_inodes=10000 "$PLACE" || exit 77
    "$@" || exit 79
    echo "failed once"
fi
cp out/* kept/
"#;

/// A file system at `place` (below the bench), larger step by step until all fits. Returns how
/// often a build failed for want of space.
fn fill(place: &str, formats: &[&str], limits: impl Iterator<Item = (u64, u64)>) -> u64 {
    // Disks as small as they can be.
    let mut options = vec!["--offline", "--size", "0"];
    options.extend(formats.iter().flat_map(|format| ["-f", format]));
    let good = Bench::new(&images()).must_build(YAML, &options);
    let mut faults = 0;
    for (pages, inodes) in limits {
        let bench = Bench::new(&Layout::new());
        let import = bench.path("import");
        images().write_dir(&import);
        std::fs::remove_dir_all(bench.path(place)).unwrap();
        std::fs::create_dir_all(bench.path(place)).unwrap();
        let wrapper = in_own_mounts(FULL);
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let output = bench
            .build_in(&wrapper)
            .env("PAGES", pages.to_string())
            .env("INODES", inodes.to_string())
            .env("PLACE", place)
            .args(&options)
            .arg("--images")
            .arg(&import)
            .arg(bench.yaml(YAML))
            .output()
            .unwrap();
        if cannot_mount(&output) {
            return 1;
        }
        let what = format!("{place}: {pages} pages, {inodes} files");
        let text = shown(&output);
        assert!(output.status.success(), "{what}: {text}");
        assert!(!text.contains("panicked"), "{what}: {text}");
        let failed = text.contains("failed once");
        if failed {
            assert!(text.contains("No space left"), "{what}: {text}");
            faults += 1;
        }
        assert!(
            files(&bench.path("kept")) == good,
            "{what}: wrong output\n{text}"
        );
        if !failed && pages > 200 {
            break;
        }
    }
    faults
}

#[test]
fn no_space_for_outputs_at_any_write() {
    let faults = fill("out", &[], (1..).step_by(6).map(|pages| (pages, 1000)));
    assert!(faults > 0, "nothing failed");
    println!("faults: {faults}");
}

/// The formats that are written by other ways than the initrd.
#[test]
fn no_space_for_disks_at_any_write() {
    let formats = ["iso", "vmdk", "qcow2", "tar", "uki", "kernel+squashfs"];
    let faults = fill(
        "out",
        &formats,
        (1..).step_by(50).map(|pages| (pages, 1000)),
    );
    assert!(faults > 0, "nothing failed");
    println!("faults: {faults}");
}

#[test]
fn no_space_in_the_store_at_any_write() {
    let faults = fill("cache", &[], (1..).step_by(8).map(|pages| (pages, 1000)));
    assert!(faults > 0, "nothing failed");
    println!("faults: {faults}");
}

#[test]
fn no_more_files_in_the_store() {
    let faults = fill(
        "cache",
        &[],
        (2..24).step_by(2).map(|inodes| (10_000, inodes)),
    );
    assert!(faults > 0, "nothing failed");
    println!("faults: {faults}");
}

/// Mounts an empty or full folder read-only and builds.
const READ_ONLY: &str = r#"
mount --bind "$PLACE" "$PLACE" && mount -o remount,bind,ro "$PLACE" || exit 77
exec "$@"
"#;

fn read_only(bench: &Bench, place: &str) -> Option<Output> {
    let wrapper = in_own_mounts(READ_ONLY);
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let mut command = bench.build_in(&wrapper);
    command
        .env("PLACE", place)
        .arg("--offline")
        .arg(bench.yaml(YAML));
    let output = command.output().unwrap();
    (!cannot_mount(&output)).then_some(output)
}

#[test]
fn a_read_only_output_folder_is_named() {
    let bench = Bench::new(&images());
    let Some(output) = read_only(&bench, "out") else {
        return;
    };
    bench.assert_failed(&output, &["out/os-", "Read-only file system"]);
    bench.assert_store_is_good();
}

#[test]
fn a_read_only_cache_is_used_if_all_is_there_and_named_if_not() {
    let bench = Bench::new(&images());
    let Some(output) = read_only(&bench, "cache") else {
        return;
    };
    bench.assert_failed(&output, &["cache/packs", "Read-only file system"]);
    let good = bench.must_build(YAML, &["--offline"]);
    bench.clear_out();
    let output = read_only(&bench, "cache").unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    assert!(bench.outputs() == good);
}

/// Makes a folder unwritable and builds without the right to overlook that, which root has.
fn unwritable(bench: &Bench, folder: &Path) -> Output {
    use std::os::unix::fs::PermissionsExt;
    let set = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder, permissions).unwrap();
    };
    set(0o555);
    let wrapper: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["setpriv", "--inh-caps=-all", "--bounding-set=-all"],
        false => &[],
    };
    let mut command = bench.build_in(wrapper);
    let output = command.arg("--offline").arg(bench.yaml(YAML)).output();
    set(0o755);
    output.unwrap()
}

#[test]
fn an_unwritable_folder_is_named() {
    let bench = Bench::new(&images());
    let output = unwritable(&bench, &bench.out());
    bench.assert_failed(&output, &["out/os-", "Permission denied"]);
    bench.assert_store_is_good();
    assert!(bench.must_build(YAML, &["--offline"]) == good());
    // No packs are there yet.
    let bench = Bench::new(&images());
    let output = unwritable(&bench, &bench.cache());
    bench.assert_failed(&output, &["cache", "Permission denied"]);
    bench.assert_store_is_good();
    assert!(bench.must_build(YAML, &["--offline"]) == good());
}

#[test]
fn too_few_open_files_are_an_error_or_no_matter() {
    let good = good();
    let mut faults = 0;
    for limit in (4..40).step_by(2) {
        let bench = Bench::new(&images());
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let output = bench
            .build_in(&["sh", "-c", &script, "sh"])
            .arg("--offline")
            .arg(bench.yaml(YAML))
            .output()
            .unwrap();
        let what = format!("{limit} files");
        // With fewer than this the dynamic loader can't start the program.
        if !output.status.success() && shown(&output).contains("shared libraries") {
            continue;
        }
        assert_clear(&output, &what);
        match output.status.success() {
            true => assert!(bench.outputs() == good, "{what}: wrong output"),
            false => {
                faults += 1;
                bench.assert_failed(&output, &[]);
                bench.assert_store_is_good();
                assert!(bench.must_build(YAML, &["--offline"]) == good, "{what}");
            }
        }
    }
    assert!(faults > 0, "nothing failed");
    println!("faults: {faults}");
}

/// The system signals what goes beyond `ulimit -f`; that would end the program without a word.
#[test]
fn files_that_may_not_grow_are_an_error() {
    let bench = Bench::new(&images());
    let output = bench
        .build_in(&["sh", "-c", "ulimit -f 1; exec \"$@\"", "sh"])
        .arg("--offline")
        .arg(bench.yaml(YAML))
        .output()
        .unwrap();
    assert_clear(&output, "ulimit -f 1");
    bench.assert_failed(&output, &["error: ", "File too large"]);
    bench.assert_store_is_good();
    assert!(bench.must_build(YAML, &["--offline"]) == good());
    println!("faults: 1");
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn signalled_at_any_moment(signal: &str, seed: u64) {
    let good = good();
    let mut random = Prng::new(seed);
    let mut usual = Duration::from_millis(500);
    let mut killed = 0;
    for round in 0..rounds() {
        let bench = Bench::new(&Layout::new());
        let import = bench.path("import");
        images().write_dir(&import);
        let yaml = bench.yaml(YAML);
        let start = Instant::now();
        let mut command = bench.build();
        command
            .args(["--offline", "--images"])
            .arg(&import)
            .arg(&yaml);
        let mut child = spawn(&mut command);
        let part = u32::try_from(random.below(1000)).unwrap();
        std::thread::sleep(usual * part / 900);
        let kill = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .output()
            .unwrap();
        let status = child.wait().unwrap();
        if status.success() {
            // It was done already: next time a little earlier.
            usual = start.elapsed().min(usual);
        } else {
            assert!(kill.status.success() && status.code().is_none(), "{status}");
            killed += 1;
        }
        let what = format!("{signal}, round {round}");
        assert_whole(&bench.outputs(), &good, &what);
        let index = bench.cache().join("index.json");
        if index.exists() {
            for path in files(&bench.cache().join("blobs")).into_keys() {
                // Whole, but not yet under its name.
                if path.contains(".lkbuild-") {
                    std::fs::remove_file(bench.cache().join("blobs").join(path)).unwrap();
                }
            }
            bench.assert_blobs_are_good();
            let index = std::fs::read(index).unwrap();
            serde_json::from_slice::<serde_json::Value>(&index).unwrap();
        }
        bench.clear_out();
        let output = command.output().unwrap();
        assert!(output.status.success(), "{what}: {}", shown(&output));
        assert!(bench.outputs() == good, "{what}: wrong output afterwards");
    }
    assert!(killed > 0, "the program was always faster");
    println!("faults: {killed}");
}

#[test]
fn kill_at_any_moment() {
    signalled_at_any_moment("-KILL", 1);
}

#[test]
fn sigterm_at_any_moment() {
    signalled_at_any_moment("-TERM", 2);
}

/// Does something bad to one file of the cache.
fn meddle(cache: &Path, random: &mut Prng) {
    let folder = match random.below(3) {
        0 => cache.join("blobs/sha256"),
        _ => cache.join("packs/sha256"),
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    let Some(path) = paths.get(random.below(paths.len().max(1))) else {
        return;
    };
    let Ok(length) = std::fs::metadata(path).map(|meta| meta.len()) else {
        return;
    };
    // The file may be gone by now: nothing here must succeed.
    let open = || std::fs::File::options().write(true).open(path);
    match random.below(4) {
        0 => drop(std::fs::remove_file(path)),
        1 => drop(open().map(|file| file.set_len(length / 2))),
        2 => drop(open().map(|file| file.set_len(length + 100))),
        _ => {
            use std::os::unix::fs::FileExt;
            let at = random.below(usize::try_from(length).unwrap().max(1)) as u64;
            drop(open().map(|file| file.write_at(b"\x55", at)));
        }
    }
}

#[test]
fn a_store_that_changes_beneath_a_build() {
    let good = good();
    let mut random = Prng::new(3);
    let mut faults = 0;
    for round in 0..rounds() {
        let bench = Bench::new(&Layout::new());
        let import = bench.path("import");
        images().write_dir(&import);
        let yaml = bench.yaml(YAML);
        let mut command = bench.build();
        command
            .args(["--offline", "--images"])
            .arg(&import)
            .arg(&yaml);
        // Half of the time the packs are there already.
        if round % 2 == 0 {
            assert!(command.output().unwrap().status.success());
            bench.clear_out();
        }
        let done = AtomicBool::new(false);
        let cache = bench.cache();
        let mut meddler = Prng::new(random.below(1 << 30) as u64);
        let output = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    meddle(&cache, &mut meddler);
                    std::thread::sleep(Duration::from_millis(meddler.below(20) as u64));
                }
            });
            let output = command.output();
            done.store(true, Ordering::Relaxed);
            output
        })
        .unwrap();
        let what = format!("round {round}");
        assert_clear(&output, &what);
        match output.status.success() {
            true => assert!(bench.outputs() == good, "{what}: wrong output"),
            false => {
                faults += 1;
                bench.assert_failed(&output, &[]);
            }
        }
        // Left alone, the store heals: it has a source for every blob.
        bench.clear_out();
        let mut again = command.output().unwrap();
        if !again.status.success() {
            // One damaged blob is named (and taken away) at a time.
            for _ in 0..4 {
                again = command.output().unwrap();
            }
        }
        assert!(again.status.success(), "{what}: {}", shown(&again));
        assert!(bench.outputs() == good, "{what}: wrong output afterwards");
    }
    println!("faults: {faults}");
}
