//! How patient a session is.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::http::{Proxy, Times};

/// Times, numbers of attempts and the way there; the default suits servers far away that are
/// reached without a proxy.
#[derive(Clone, Debug)]
pub struct Options {
    /// To reach the server and complete the TLS handshake.
    pub connect_timeout: Duration,
    /// From the end of a request to its answer.
    pub answer_timeout: Duration,
    /// How long a transfer may stand still.
    pub stall_timeout: Duration,
    /// How long the session may go unused during an upload before it is kept alive.
    pub keep_alive: Duration,
    /// Attempts at what fails in passing: the network, a busy server, a cut upload.
    pub attempts: NonZeroU32,
    /// The pause before the second attempt; it doubles each time.
    pub first_pause: Duration,
    /// The longest pause, also where the server asks for a longer one.
    pub longest_pause: Duration,
    /// How long one of the server's tasks may take.
    pub task_timeout: Duration,
    /// Through what the server, and hosts that it names, are reached.
    pub proxy: Proxy,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            connect_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(300),
            stall_timeout: Duration::from_secs(60),
            keep_alive: Duration::from_secs(120),
            attempts: NonZeroU32::MIN.saturating_add(4),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(120),
            task_timeout: Duration::from_secs(3600),
            proxy: Proxy::none(),
        }
    }
}

impl Options {
    pub(crate) fn times(&self) -> Times {
        Times {
            connect: self.connect_timeout,
            answer: self.answer_timeout,
            stall: self.stall_timeout,
        }
    }

    /// The pause after the attempt of that number (from 1), or what the server asked for.
    pub(crate) fn pause(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let doubled = self
            .first_pause
            .saturating_mul(1 << attempt.saturating_sub(1).min(16));
        asked.unwrap_or(doubled).min(self.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let options = Options::default();
        let seconds = |attempt, asked| options.pause(attempt, asked).as_secs();
        assert_eq!([1, 2, 3, 4].map(|n| seconds(n, None)), [1, 2, 4, 8]);
        assert_eq!(seconds(u32::MAX, None), 120);
        assert_eq!(seconds(1, Some(Duration::from_secs(7))), 7);
        assert_eq!(seconds(1, Some(Duration::from_secs(7000))), 120);
    }
}
