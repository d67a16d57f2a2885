//! The terminal, and errors that are a sentence for it.

use std::io::Write as _;

/// A failure as a sentence for the terminal: what was expected, what was there, and where to look.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub String);

impl Failed {
    /// Keeps the text of an error alone.
    pub fn from<E: std::fmt::Display>(error: E) -> Self {
        Self(error.to_string())
    }
}

pub fn say(line: &str) {
    write(&format!("{line}\n"));
}

pub fn complain(line: &str) {
    // Without a standard error there is nowhere to report to.
    let _ = writeln!(std::io::stderr(), "{line}");
}

pub fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe must not stop the stack.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
