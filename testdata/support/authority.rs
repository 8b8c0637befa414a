//! Certificates of our own, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::judge;

/// An authority that nobody trusts, and a server's certificate that it signed. Both go when this is
/// dropped.
#[derive(Debug)]
pub struct Authority {
    dir: tempfile::TempDir,
}

impl Authority {
    /// Signs a certificate for these DNS names, `localhost` and 127.0.0.1; `None` where openssl is
    /// not installed.
    pub fn new(names: &[&str]) -> Option<Self> {
        let openssl = judge("openssl")?;
        let dir = tempfile::tempdir().unwrap();
        let run = |arguments: &str| {
            let output = Command::new(&openssl)
                .args(arguments.split(' '))
                .current_dir(dir.path())
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "openssl {arguments}: {errors}");
        };
        let names: String = names.iter().map(|name| format!("DNS:{name},")).collect();
        let extensions = format!(
            "subjectAltName={names}DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"
        );
        std::fs::write(dir.path().join("extensions"), extensions).unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        run(&format!(
            "req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2"
        ));
        run(&format!(
            "req -new {key} -keyout server.key -out server.csr -subj /CN=test"
        ));
        run(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile extensions -out server.pem",
        );
        Some(Authority { dir })
    }

    /// PEM file of the authority.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// PEM file of the server's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.file("server.pem")
    }

    /// PEM file of the server's key.
    pub fn key(&self) -> PathBuf {
        self.file("server.key")
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(self.dir.path()).join(name)
    }
}
