//! Where events go.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::event::Event;

/// How much is said, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Warnings and errors only, as plain lines.
    Quiet,
    /// Bars on a terminal, plain lines elsewhere; with `verbose` more of them.
    Human {
        /// Details too.
        verbose: bool,
    },
    /// One JSON object a line, on standard output, or on standard error where that is taken.
    Json {
        /// Whether standard output is free.
        to_stdout: bool,
    },
}

pub(super) struct Sink {
    style: Style,
    bars: Option<MultiProgress>,
    writing: Mutex<()>,
}

impl Sink {
    pub(super) fn new(style: Style) -> Self {
        let human = matches!(style, Style::Human { .. });
        let bars = (human && io::stderr().is_terminal()).then(MultiProgress::new);
        Sink {
            style,
            bars,
            writing: Mutex::new(()),
        }
    }

    pub(super) fn is_json(&self) -> bool {
        matches!(self.style, Style::Json { .. })
    }

    pub(super) fn bar(&self, name: &str, total_bytes: Option<u64>) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let bar = bars.add(match total_bytes {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        });
        let template = match total_bytes {
            Some(_) => "{spinner} {msg:40!} {bar:24} {decimal_bytes}/{decimal_total_bytes}",
            None => "{spinner} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(printable(name));
        bar.enable_steady_tick(Duration::from_millis(120));
        Some(bar)
    }

    pub(super) fn emit(&self, event: &Event) {
        let urgent = matches!(
            event,
            Event::Warning { .. } | Event::Error { .. } | Event::Damage { .. }
        );
        let verbose = match self.style {
            Style::Json { to_stdout } => return self.json(event, to_stdout),
            Style::Quiet if urgent => false,
            Style::Quiet => return,
            Style::Human { verbose } => verbose,
        };
        let shown = match event {
            Event::Detail { .. } | Event::Part(_) | Event::Step { .. } => verbose,
            // A bar shows it, and a log has no use for the end of it.
            Event::Start { .. } => self.bars.is_none(),
            _ => true,
        };
        let Some(line) = event.line().filter(|_| shown) else {
            return;
        };
        // Each line of a message is cleaned on its own: its line ends are meant.
        let text: String = line.lines().map(|l| printable(l) + "\n").collect();
        match &self.bars {
            Some(bars) => bars.suspend(|| self.write(&mut io::stderr(), &text)),
            None => self.write(&mut io::stderr(), &text),
        }
    }

    fn json(&self, event: &Event, to_stdout: bool) {
        if let Ok(line) = serde_json::to_string(event) {
            let line = printable_json(&line) + "\n";
            if to_stdout {
                self.write(&mut io::stdout(), &line);
            } else {
                self.write(&mut io::stderr(), &line);
            }
        }
    }

    /// A build does not fail because nobody reads what it says.
    fn write(&self, to: &mut dyn Write, text: &str) {
        let _guard = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    }
}

/// JSON that says the same, with escapes for what would steer a terminal: JSON itself wants them for
/// ASCII's control characters only.
pub(crate) fn printable_json(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for c in json.chars() {
        match crate::layer::path::misleads(c) {
            // All of them are in the basic plane.
            true => plain += &format!("\\u{:04x}", u32::from(c)),
            false => plain.push(c),
        }
    }
    plain
}

/// Names come from images and YAMLs: what would steer a terminal is escaped.
pub(super) fn printable(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    crate::layer::Escaped(text.as_bytes()).to_string()
}
