//! TLS: checked by default against the system's roots; thumbprints can be pinned.

mod thumbprint;
mod trust;
mod verify;

pub use thumbprint::Thumbprint;
pub use trust::Trust;

pub(crate) use verify::{Seen, client_config, handshake_error};
