//! Registries (OCI distribution-spec).
//!
//! `client` asks and retries, `token` answers challenges (`auth`), `blob` reads a blob and
//! goes on where a connection broke; `source` puts them together. oci-client's own transport is
//! not used: it reads manifests without a bound and can't resume a blob.

mod auth;
mod blob;
mod client;
mod endpoint;
mod failure;
mod options;
mod pace;
mod proxy;
mod source;
mod token;
mod upload;

pub use auth::Credentials;
pub(crate) use failure::chain;
pub use options::{CredentialLookup, RemoteOptions};
pub use proxy::Proxies;
pub use source::Remote;
pub(crate) use source::http_client;
pub use upload::PushBytes;
