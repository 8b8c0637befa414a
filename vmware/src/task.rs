//! Tasks: what the server does in its own time.

use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::inventory::properties;
use crate::session::{Session, rest};
use crate::soap::{MoRef, Node, error_of_localized};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Session {
    /// Waits for a task and gives its result.
    pub(crate) fn wait_for_task(&self, task: &MoRef) -> Result<Option<Node>> {
        let end = Instant::now() + self.options().task_timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            let info = properties(self, task, &["info"])?;
            let info = info.need("info")?;
            match info.text_at("state") {
                Some("success") => return Ok(info.child("result").cloned()),
                Some("error") => {
                    let error = info.child("error").map(error_of_localized);
                    return Err(error.unwrap_or_else(|| {
                        Error::new(Kind::Server, "the server's task failed without a reason")
                    }));
                }
                _ if Instant::now() >= end => {
                    let waited = self.options().task_timeout.as_secs();
                    return Err(Error::new(
                        Kind::Timeout,
                        format!(
                            "the server's task {} is not done after {waited} s",
                            task.value
                        ),
                    ));
                }
                _ => {
                    rest(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}
