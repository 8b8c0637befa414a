//! Real Terraform (testdata/install-terraform), offline, against a simulated vCenter.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{VCenter, workspace_dir};

/// Who runs what was downloaded, where the tests are root: nobody.
const NOBODY: u32 = 65534;

/// A copy of the module with its examples, in which Terraform is run.
#[derive(Debug)]
pub struct Terraform {
    dir: tempfile::TempDir,
    is_root: bool,
    environment: Vec<(&'static str, String)>,
}

impl Terraform {
    /// Copies the module; `None` where Terraform was not fetched.
    pub fn new() -> Option<Self> {
        let from = workspace_dir().join("target/tools/terraform");
        if !from.join("packages").is_file() {
            assert!(
                std::env::var_os("CI").is_none(),
                "judge terraform missing: run testdata/install-terraform"
            );
            eprintln!("skipped: no Terraform (testdata/install-terraform fetches it)");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        // What others may not reach in the workspace, nobody may not either.
        copy(&from, &dir.path().join("tools"));
        copy(
            &workspace_dir().join("vmware/terraform"),
            &dir.path().join("module"),
        );
        let terraform = Terraform {
            is_root: fs::metadata("/proc/self").is_ok_and(|own| is_owned_by_root(&own)),
            dir,
            environment: Vec::new(),
        };
        terraform.hand_over();
        Some(terraform)
    }

    /// Lets Terraform reach a server, whose certificate it checks.
    pub fn with_server(mut self, vcenter: &VCenter) -> Self {
        let ca = self.dir.path().join("ca.pem");
        fs::copy(vcenter.ca(), &ca).unwrap();
        fs::set_permissions(&ca, fs::Permissions::from_mode(0o644)).unwrap();
        self.environment = vec![
            ("VSPHERE_SERVER", vcenter.address().into()),
            ("VSPHERE_USER", VCenter::USER.into()),
            ("VSPHERE_PASSWORD", VCenter::PASSWORD.into()),
            ("SSL_CERT_FILE", ca.to_str().unwrap().into()),
        ];
        self
    }

    /// The copy of `vmware/terraform`.
    pub fn module(&self) -> PathBuf {
        self.dir.path().join("module")
    }

    /// Writes a file of the copy.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.module().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self.hand_over();
    }

    /// Initialises a folder of the copy with the provider that is here.
    pub fn init(&self, folder: &str) {
        let plugins = self.dir.path().join("tools/plugins");
        let plugins = format!("-plugin-dir={}", plugins.display());
        self.run(folder, &["init", "-input=false", "-no-color", &plugins]);
    }

    /// Runs Terraform in a folder of the copy; it must succeed. Returns what it printed.
    pub fn run(&self, folder: &str, arguments: &[&str]) -> String {
        let output = self.output(folder, arguments);
        assert!(
            output.status.success(),
            "terraform {arguments:?}: {output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs Terraform in a folder of the copy.
    pub fn output(&self, folder: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.dir.path().join("tools/terraform"));
        command
            .args(arguments)
            .current_dir(self.module().join(folder))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.dir.path())
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().unwrap()
    }

    /// Gives all that root wrote to who runs Terraform.
    fn hand_over(&self) {
        if self.is_root {
            walk(self.dir.path(), &|path| {
                lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            });
        }
    }
}

fn is_owned_by_root(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(metadata) == 0
}

fn walk(path: &Path, visit: &dyn Fn(&Path)) {
    visit(path);
    if path.is_symlink() || !path.is_dir() {
        return;
    }
    for entry in fs::read_dir(path).unwrap() {
        walk(&entry.unwrap().path(), visit);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        // What a run by hand left there.
        if name.to_string_lossy().starts_with(".terraform") {
            continue;
        }
        let (from, to) = (entry.path(), to.join(name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}
