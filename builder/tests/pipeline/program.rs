//! A place to run `lkbuild` in: its own home, cache and output folder, no network needed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testdata::{Layout, sha256_hex};

/// A temporary folder with `cache/` (an OCI layout that holds the images), `out/` and `home/`.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    /// Starts with these images in the cache.
    pub(crate) fn new(images: &Layout) -> Self {
        let bench = Bench {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(bench.path("home")).unwrap();
        fs::create_dir(bench.out()).unwrap();
        images.write_dir(&bench.cache());
        bench
    }

    /// A path inside the bench.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The image cache.
    pub(crate) fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// Where output goes.
    pub(crate) fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// `lkbuild build`, ready for more arguments, with nothing of the caller's environment but
    /// `PATH`.
    pub(crate) fn command(&self) -> Command {
        self.wrapped(&[])
    }

    /// As [`Bench::command`], for files called `os` in the output folder and without SBOM.
    pub(crate) fn build(&self) -> Command {
        self.build_in(&[])
    }

    /// As [`Bench::build`], run by another program that takes a command as its last arguments.
    pub(crate) fn build_in(&self, wrapper: &[&str]) -> Command {
        let mut command = self.wrapped(wrapper);
        command
            .args(["--name", "os", "--no-sbom", "--dir"])
            .arg(self.out());
        command
    }

    /// `lkbuild` with other arguments, the cache's folder in its environment.
    pub(crate) fn lkbuild(&self, arguments: &[&str]) -> Command {
        self.lkbuild_in(&[], arguments)
    }

    /// As [`Bench::lkbuild`], run by another program.
    pub(crate) fn lkbuild_in(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let mut command = self.program(wrapper);
        command.args(arguments).env("LINUXKIT_CACHE", self.cache());
        command
    }

    /// Runs `lkbuild` with these arguments; it must succeed. Gives standard output.
    pub(crate) fn must_run(&self, arguments: &[&str]) -> String {
        let output = self.lkbuild(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn wrapped(&self, wrapper: &[&str]) -> Command {
        let mut command = self.program(wrapper);
        command
            .args(["build", "--arch", "amd64", "--cache"])
            .arg(self.cache());
        command
    }

    fn program(&self, wrapper: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_lkbuild");
        let (first, rest) = wrapper.split_first().unwrap_or((&program, &[]));
        let mut command = Command::new(first);
        command.args(rest);
        if !wrapper.is_empty() {
            command.arg(program);
        }
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.dir.path())
            .current_dir(self.dir.path());
        command
    }

    /// Writes `yaml` and builds it with more arguments; it must succeed. Returns the files of the
    /// output folder, which is emptied first.
    pub(crate) fn must_build(&self, yaml: &str, arguments: &[&str]) -> BTreeMap<String, Vec<u8>> {
        self.build_with(yaml, arguments).1
    }

    /// As [`Bench::must_build`], with what the program printed.
    pub(crate) fn build_with(
        &self,
        yaml: &str,
        arguments: &[&str],
    ) -> (Output, BTreeMap<String, Vec<u8>>) {
        self.clear_out();
        let file = self.yaml(yaml);
        let output = self.build().args(arguments).arg(file).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        (output, self.outputs())
    }

    /// Writes a YAML file; returns its path.
    pub(crate) fn yaml(&self, yaml: &str) -> PathBuf {
        let file = self.path("os.yml");
        fs::write(&file, yaml).unwrap();
        file
    }

    /// Empties the output folder.
    pub(crate) fn clear_out(&self) {
        fs::remove_dir_all(self.out()).unwrap();
        fs::create_dir(self.out()).unwrap();
    }

    /// Every file below the output folder.
    pub(crate) fn outputs(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.out())
    }

    /// Fails the test where a blob of the cache is not what its name says, or something half
    /// written lies about.
    pub(crate) fn assert_store_is_good(&self) {
        self.assert_blobs_are_good();
        let index = fs::read(self.cache().join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        assert!(index["manifests"].is_array(), "{index}");
    }

    /// Fails the test where a blob of the cache is not what its name says.
    pub(crate) fn assert_blobs_are_good(&self) {
        for (name, bytes) in files(&self.cache().join("blobs/sha256")) {
            assert_eq!(name, sha256_hex(&bytes), "a blob in the store is wrong");
        }
    }

    /// Fails the test unless the program failed as it should: exit code not 0, no panic, every one
    /// of `words` in its message, nothing in the output folder.
    pub(crate) fn assert_failed(&self, output: &Output, words: &[&str]) {
        let shown = shown(output);
        assert!(!output.status.success(), "it should fail: {shown}");
        assert!(output.status.code().is_some(), "killed: {shown}");
        assert!(!shown.contains("panicked"), "{shown}");
        for word in words {
            assert!(shown.contains(word), "{word:?} is not in {shown}");
        }
        let left: Vec<_> = self.outputs().into_keys().collect();
        assert!(left.is_empty(), "left behind: {left:?}\n{shown}");
    }
}

/// Exit status and everything that was printed.
pub(crate) fn shown(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Files below `root` by their path relative to it.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap();
                let bytes = fs::read(&path).unwrap();
                files.insert(name.to_str().unwrap().to_owned(), bytes);
            }
        }
    }
    files
}
