//! `testdata/minimal.yml`, built by the program, and what it says when it has come up whole.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;
use testdata::qemu::{Guest, Outcome};
use testdata::{guest_images, workspace_dir};

/// What `testdata/minimal.yml` calls the registry of its images; the layout has them without.
const REGISTRY: &str = "localhost:5000/";

/// What the guest says after its containers compared every file with what the layers mean.
const WHOLE: [&str; 2] = [
    "onboot 000-check | check ok",
    "onboot 001-check-readonly | check ok",
];

/// What a guest says that is not whole.
const BROKEN: [&str; 3] = ["WRONG", "FAILED", "Kernel panic"];

/// Long enough for software emulation on a busy machine.
const SECONDS: u64 = 600;

pub(crate) fn shown(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// A folder to build the minimal system in; it goes when this is dropped.
pub(crate) struct System {
    images: PathBuf,
    dir: tempfile::TempDir,
}

impl System {
    /// `None` where there are no parts to build from.
    pub(crate) fn new() -> Option<Self> {
        let images = guest_images()?;
        let dir = tempfile::tempdir().unwrap();
        Some(Self { images, dir })
    }

    /// A file in the folder. The program's outputs are called `os-kernel`, `os.iso` and so on.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Builds it with more arguments, and more entries for the YAML's last section, `files`; gives
    /// the program's last JSON event.
    pub(crate) fn build(&self, arguments: &[&str], files: &str) -> Value {
        let dir = self.dir.path().display().to_string();
        let named = ["--name", "os", "--dir", &dir];
        let output = self.run(&[&named[..], arguments].concat(), files, &[]);
        assert!(output.status.success(), "{}", shown(&output));
        let events = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(events.lines().next_back().unwrap()).unwrap()
    }

    /// Runs the program on it with these arguments, which say where the outputs go and may name more
    /// YAML files, with more entries for `files` and variables of the environment.
    pub(crate) fn run(
        &self,
        arguments: &[&str],
        files: &str,
        environment: &[(&str, &str)],
    ) -> Output {
        let yaml = workspace_dir().join("testdata/minimal.yml");
        let text = std::fs::read_to_string(yaml).unwrap();
        let yaml = self.file("minimal.yml");
        std::fs::write(&yaml, text.replace(REGISTRY, "") + files).unwrap();
        Command::new(env!("CARGO_BIN_EXE_lkbuild"))
            .args(["build", "--json", "--offline", "--no-sbom"])
            .args(["--arch", "amd64", "--images"])
            .arg(&self.images)
            .arg("--cache")
            .arg(self.file("cache"))
            .arg(yaml)
            .args(arguments)
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    /// The command line that was built.
    pub(crate) fn cmdline(&self) -> String {
        std::fs::read_to_string(self.file("os-cmdline")).unwrap()
    }
}

/// The system as kernel and initrd, built once.
pub(crate) fn shared() -> Option<&'static System> {
    static SYSTEM: OnceLock<Option<System>> = OnceLock::new();
    let built = SYSTEM.get_or_init(|| {
        let system = System::new()?;
        system.build(&[], "");
        Some(system)
    });
    built.as_ref()
}

/// Waits until the guest has checked its files and switched itself off; gives its console's log.
///
/// # Panics
/// If it does not come to that.
pub(crate) fn expect_whole(mut guest: Guest) -> String {
    guest.expect(&WHOLE, &BROKEN, SECONDS);
    // It ends when it has turned itself off.
    guest.expect(&[], &BROKEN, SECONDS)
}

/// Whether the guest came up whole.
pub(crate) fn is_whole(mut guest: Guest) -> bool {
    guest.wait_for(&WHOLE, &BROKEN, SECONDS) == Outcome::Seen
}

/// A file of bytes that no compression makes smaller.
pub(crate) fn incompressible(path: &Path, bytes: usize) {
    std::fs::write(path, testdata::Prng::new(7).bytes(bytes)).unwrap();
}
