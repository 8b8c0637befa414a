//! A server, files to push, and the program run against it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use serde_json::Value;
use testdata::{Fault, Prng, VCenter, VCenterOptions};

/// Exit codes, as `lkbuild --help` lists them.
pub(crate) mod exit {
    pub(crate) const DONE: i32 = 0;
    pub(crate) const USAGE: i32 = 2;
    pub(crate) const OUTPUT: i32 = 5;
    pub(crate) const REFUSED: i32 = 10;
    pub(crate) const NAME: i32 = 11;
    pub(crate) const IN_USE: i32 = 12;
    pub(crate) const CERTIFICATE: i32 = 13;
    pub(crate) const NETWORK: i32 = 14;
    pub(crate) const SERVER: i32 = 15;
    pub(crate) const DAMAGED: i32 = 16;
    pub(crate) const STOPPED: i32 = 130;
}

/// A server and a folder with files to push.
pub(crate) struct Lab {
    pub(crate) vcenter: VCenter,
    dir: tempfile::TempDir,
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Lab {
    /// One datacenter, `DC0`, with one datastore, `LocalDS_0`; `None` where there is no simulator.
    pub(crate) fn new() -> Option<Self> {
        Self::with(&VCenterOptions::default())
    }

    pub(crate) fn with(options: &VCenterOptions) -> Option<Self> {
        Some(Lab {
            vcenter: options.start()?,
            dir: tempfile::tempdir().unwrap(),
        })
    }

    /// Writes a file of that many bytes, which `seed` decides.
    pub(crate) fn file(&self, name: &str, seed: u64, len: usize) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content(seed, len)).unwrap();
        path
    }

    /// A path in the folder of files to push.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program with nothing of the caller's environment, and no server.
    pub(crate) fn bare(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lkbuild"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .current_dir(self.dir.path());
        command
    }

    /// The program with a server, and whom to trust and log in as, in its environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.bare();
        command.envs(self.vcenter.environment());
        command
    }

    /// `lkbuild push vcenter` with these arguments, in a hurry to try again.
    pub(crate) fn push(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command();
        command.args(["push", "vcenter", "--retry-pause", "0.05"]);
        run(command.args(arguments))
    }

    /// As [`Lab::push`], which must succeed; what became of each file.
    pub(crate) fn must_push(&self, arguments: &[&str]) -> Vec<String> {
        let ran = self.push(&[&["--json"], arguments].concat());
        assert_eq!(ran.code, exit::DONE, "{ran:?}");
        let events = ran.events().into_iter();
        let outcomes = events.filter(|event| event["event"] == "pushed");
        let outcomes = outcomes.map(|event| event["outcome"].as_str().unwrap().to_owned());
        outcomes.collect()
    }

    /// All files of `DC0`'s `LocalDS_0`.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.vcenter.files("DC0", "LocalDS_0").into_iter().collect()
    }

    /// How often a method was asked for.
    pub(crate) fn count(&self, method: &str) -> usize {
        let all = self.vcenter.requests();
        all.iter().filter(|one| one.method == method).count()
    }

    /// How many uploads were begun.
    pub(crate) fn puts(&self) -> usize {
        self.count("PUT")
    }

    /// From now on this goes wrong.
    pub(crate) fn fault(&self, fault: Fault) -> &Self {
        self.vcenter.fault(fault);
        self
    }
}

/// Bytes that `seed` decides.
pub(crate) fn content(seed: u64, len: usize) -> Vec<u8> {
    Prng::new(seed).bytes(len)
}

/// Runs a command to its end. Nothing that it says may have the password in it.
pub(crate) fn run(command: &mut Command) -> Ran {
    Ran::of(&command.output().unwrap())
}

/// As [`run`], with something on standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    Ran::of(&child.wait_with_output().unwrap())
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        let ran = Ran {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        for spelling in spellings(VCenter::PASSWORD) {
            let said = [&ran.stdout, &ran.stderr];
            let told = said.iter().any(|said| said.contains(&spelling));
            assert!(!told, "{spelling:?} is the password: {ran:?}");
        }
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        ran
    }

    /// The events of `--json`.
    pub(crate) fn events(&self) -> Vec<Value> {
        let lines = self.stdout.lines().chain(self.stderr.lines());
        let lines = lines.filter(|line| line.starts_with('{'));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Fails the test unless it ended with this code and said each of `words`.
    pub(crate) fn assert(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            let said = self.stdout.contains(word) || self.stderr.contains(word);
            assert!(said, "{word:?} is not in {self:?}");
        }
    }
}

/// A secret as it is, and as XML, JSON, a URL and basic authentication write it.
pub(crate) fn spellings(secret: &str) -> Vec<String> {
    let xml = secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;");
    let percent = |keep: &dyn Fn(u8) -> bool| -> String {
        let encode = |byte: u8| match keep(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        };
        secret.bytes().map(encode).collect()
    };
    let base64 = base64::engine::general_purpose::STANDARD;
    let pair = format!("{}:{secret}", VCenter::USER);
    let json = serde_json::to_string(secret).unwrap();
    vec![
        secret.to_owned(),
        xml.replace('\'', "&apos;"),
        xml,
        json.trim_matches('"').to_owned(),
        percent(&|byte| byte.is_ascii_alphanumeric()),
        percent(&|byte| byte.is_ascii_alphanumeric() || b"$+!*'(),&".contains(&byte)),
        format!("{secret:?}").trim_matches('"').to_owned(),
        base64.encode(secret),
        base64.encode(pair),
        // Where it was cut in pieces.
        secret[..8].to_owned(),
    ]
}
