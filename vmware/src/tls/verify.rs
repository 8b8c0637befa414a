//! Checks a server's certificate when the connection is made.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};

use super::{Thumbprint, Trust};
use crate::error::{Error, Kind, Result};

/// Checks the certificate of one server, and remembers it for the message.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    pinned: Option<Thumbprint>,
    chains: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    seen: Arc<Seen>,
}

/// The certificate that a server showed.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Option<CertificateDer<'static>>>);

impl Seen {
    fn set(&self, certificate: &CertificateDer<'_>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Some(certificate.clone().into_owned());
    }

    fn get(&self) -> Option<CertificateDer<'static>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// How to speak TLS with one server; `pin` is a thumbprint that someone trusted vouches for.
pub(crate) fn client_config(
    trust: &Trust,
    host: &str,
    port: u16,
    pin: Option<Thumbprint>,
) -> Result<(Arc<ClientConfig>, Arc<Seen>)> {
    let setup = |e: &dyn std::fmt::Display| {
        Error::new(Kind::Certificate, format!("TLS can't be set up: {e}"))
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chains = if trust.roots.is_empty() {
        None
    } else {
        let builder =
            WebPkiServerVerifier::builder_with_provider(trust.roots.clone(), provider.clone());
        Some(builder.build().map_err(|e| setup(&e))?)
    };
    let seen = Arc::new(Seen::default());
    let verifier = Verifier {
        pinned: trust.pinned(host, port).or(pin),
        trust: trust.clone(),
        chains,
        provider: provider.clone(),
        seen: seen.clone(),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| setup(&e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), seen))
}

/// The error of a handshake that failed: with the thumbprint to pin, if it was the certificate.
pub(crate) fn handshake_error(server: &str, error: &rustls::Error, seen: &Seen) -> Error {
    let rustls::Error::InvalidCertificate(reason) = error else {
        return Error::new(Kind::Certificate, format!("no TLS with {server}: {error}"));
    };
    let why = match reason {
        CertificateError::UnknownIssuer => "is signed by no one trusted".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet (is this machine's clock right?)".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name".into()
        }
        CertificateError::ApplicationVerificationFailure => {
            "is not the pinned one: it was renewed, or someone is between".into()
        }
        other => format!("can't be accepted ({other})"),
    };
    let advice = seen.get().map_or_else(String::new, |certificate| {
        format!(
            "\n  SHA-256 {}\n  SHA-1   {}\nif that is the server's (compare it at the server), pin it with \
             --thumbprint or a line \"{server} THUMBPRINT\" in the file of GOVC_TLS_KNOWN_HOSTS, or name its CA with --ca",
            Thumbprint::sha256(&certificate),
            Thumbprint::sha1(&certificate),
        )
    });
    Error::new(
        Kind::Certificate,
        format!("the certificate of {server} {why}{advice}"),
    )
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        self.seen.set(end_entity);
        if let Some(pinned) = self.pinned {
            return match pinned.matches(end_entity) {
                true => Ok(ServerCertVerified::assertion()),
                false if self.trust.insecure => Ok(ServerCertVerified::assertion()),
                false => Err(CertificateError::ApplicationVerificationFailure.into()),
            };
        }
        if self.trust.insecure {
            return Ok(ServerCertVerified::assertion());
        }
        let Some(chains) = &self.chains else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let checked =
            chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        // Self-signed server certificates often call themselves a CA, which webpki refuses in a
        // server. One that the caller named is meant; its name must be right all the same.
        match checked {
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.trust.named.iter().any(|own| own == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
