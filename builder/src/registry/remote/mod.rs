//! Registries (OCI distribution-spec).
//!
//! [`client`] asks and retries, [`auth`] finds tokens, [`blob`] reads a blob and goes on where a
//! connection broke. oci-client's own transport is not used: it reads manifests without a bound
//! and can't resume a blob.

mod auth;
mod blob;
mod client;

pub use auth::Credentials;
pub use client::{CredentialLookup, Remote, RemoteOptions};
