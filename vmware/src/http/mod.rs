//! HTTP/1.1 over TLS, as much of it as vSphere needs.
//!
//! Uploads decide the shape: the server's answer is watched for while the body is sent, because
//! vSphere often answers early and then cuts the connection; a stall is noticed in either
//! direction; and `Expect: 100-continue` is waited for. One connection does one exchange at a time
//! and is used again when both sides allow it.

mod answer;
mod connection;
mod dial;
mod framing;
mod proxy;

pub use answer::{Head, parse_head};
pub use proxy::{NoProxy, Proxy};

pub(crate) use answer::Answer;
pub(crate) use connection::{Body, Connection, Request, Times};

#[cfg(test)]
mod tests;
