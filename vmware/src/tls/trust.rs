//! Whom to trust: system roots, certificates of one's own, pinned thumbprints.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Thumbprint;
use crate::address::host_port;
use crate::error::{Error, Kind, Result};

/// Which servers' certificates are accepted. Nothing is, unless it is said here.
#[derive(Clone, Debug)]
pub struct Trust {
    pub(super) roots: Arc<RootCertStore>,
    /// Certificates that the caller named: a server may show one of them itself.
    pub(super) named: Vec<CertificateDer<'static>>,
    pins: HashMap<String, Thumbprint>,
    pub(super) insecure: bool,
}

impl Trust {
    /// Trusts nothing yet: for servers that are pinned or whose CA is added.
    pub fn none() -> Self {
        Trust {
            roots: Arc::new(RootCertStore::empty()),
            named: Vec::new(),
            pins: HashMap::new(),
            insecure: false,
        }
    }

    /// Trusts what the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured). What can't
    /// be read is left out: a server that needs it is refused.
    pub fn system() -> Self {
        let mut trust = Trust::none();
        let found = rustls_native_certs::load_native_certs();
        Arc::make_mut(&mut trust.roots).add_parsable_certificates(found.certs);
        trust
    }

    /// Trusts the certificates of a PEM file too.
    ///
    /// # Errors
    /// [`Kind::Input`] if there is none in it, or one that can't be read.
    pub fn add_pem(&mut self, name: &str, pem: &[u8]) -> Result<()> {
        let bad = |why: String| Error::new(Kind::Input, format!("{name}: {why}"));
        let mut any = false;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|e| bad(format!("can't be read as PEM: {e}")))?;
            let added = Arc::make_mut(&mut self.roots).add(certificate.clone());
            added.map_err(|e| bad(format!("has a certificate that can't be used: {e}")))?;
            self.named.push(certificate);
            any = true;
        }
        if any {
            Ok(())
        } else {
            Err(bad(
                "has no certificate (-----BEGIN CERTIFICATE-----)".into()
            ))
        }
    }

    /// Accepts from this server only the certificate of that thumbprint, whoever signed it and
    /// whatever name it has.
    pub fn pin(&mut self, host: &str, port: u16, thumbprint: Thumbprint) {
        self.pins.insert(key(host, port), thumbprint);
    }

    /// Pins the servers of a known hosts file: lines of `HOST:PORT THUMBPRINT`, `#` comments.
    /// Servers pinned already stay as they are.
    ///
    /// # Errors
    /// [`Kind::Input`] with the line that can't be read.
    pub fn add_known_hosts(&mut self, name: &str, text: &str) -> Result<()> {
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |why: String| Error::new(Kind::Input, format!("{name}:{}: {why}", i + 1));
            let Some((server, thumbprint)) = line.split_once(char::is_whitespace) else {
                return Err(bad("a line is HOST:PORT and a thumbprint".into()));
            };
            let thumbprint = thumbprint.parse().map_err(|e: Error| bad(e.to_string()))?;
            let server = match server.rsplit_once(':') {
                Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
                    let host = host.trim_start_matches('[').trim_end_matches(']');
                    key(
                        host,
                        port.parse()
                            .map_err(|_| bad("the port is no number".into()))?,
                    )
                }
                _ => key(server, 443),
            };
            self.pins.entry(server).or_insert(thumbprint);
        }
        Ok(())
    }

    /// Accepts any certificate. Whoever is between can read the password.
    pub fn set_insecure(&mut self) {
        self.insecure = true;
    }

    /// Whether any certificate is accepted.
    pub fn is_insecure(&self) -> bool {
        self.insecure
    }

    pub(super) fn pinned(&self, host: &str, port: u16) -> Option<Thumbprint> {
        self.pins.get(&key(host, port)).copied()
    }
}

fn key(host: &str, port: u16) -> String {
    host_port(&host.to_ascii_lowercase(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hosts_pin_servers_by_name_and_port() {
        let print = Thumbprint::sha256(b"x");
        let mut trust = Trust::none();
        let text =
            format!("# mine\nVC.example:8443 {print}\n\nplain {print}\n[fe80::1]:443\t{print}\n");
        trust.add_known_hosts("known", &text).unwrap();
        for (host, port) in [("vc.example", 8443), ("PLAIN", 443), ("fe80::1", 443)] {
            assert_eq!(trust.pinned(host, port), Some(print), "{host}");
        }
        assert_eq!(trust.pinned("vc.example", 443), None);
        for bad in ["vc", "vc:443 AA", "vc:99999 AA"] {
            let error = trust.add_known_hosts("known", bad).unwrap_err().to_string();
            assert!(error.starts_with("known:1: "), "{error}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let error = Trust::none().add_pem("ca.pem", b"nothing").unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains("ca.pem"));
    }
}
