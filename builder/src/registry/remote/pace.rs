//! Connections that bring next to nothing.

use std::time::Duration;

use super::super::error::RegistryErrorKind;
use super::endpoint::Endpoint;
use super::failure::Failure;

/// As much must come in the time that a connection may be silent: with the default of 60 s less
/// than a modem brought. It is also what counts as progress between two attempts.
pub(super) const LEAST_BYTES: u64 = 16 << 10;

/// Watches that bytes do not just drip in.
pub(super) struct Pace {
    window: Duration,
    /// Since a fair number of bytes came last.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(window: Duration) -> Self {
        Pace {
            window,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Takes the next bytes and how long they were waited for; if too few came in the time that
    /// is given them, it is time to try again.
    pub(super) fn check(
        &mut self,
        endpoint: &Endpoint,
        bytes: usize,
        waited: Duration,
    ) -> Result<(), Failure> {
        self.bytes += bytes as u64;
        self.waited += waited;
        if self.bytes >= LEAST_BYTES {
            (self.waited, self.bytes) = (Duration::ZERO, 0);
        } else if self.waited > self.window {
            return Err(Failure {
                kind: RegistryErrorKind::Unreachable {
                    host: endpoint.host.clone(),
                    reason: format!(
                        "only {} bytes came in {} s",
                        self.bytes,
                        self.window.as_secs_f32()
                    ),
                    hint: String::new(),
                },
                retry_after: Some(Duration::ZERO),
            });
        }
        Ok(())
    }
}
