//! The steps of a run, as the terminal shows them and `--json` writes them.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use local_base::terminal::{Failed, say, write};
use serde::Serialize;

/// The steps of a run and their outcome.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether all held.
    pub ok: bool,
    /// In the order they ran.
    pub steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
pub struct Step {
    /// What was tried.
    pub name: String,
    /// Whether it held.
    pub ok: bool,
    /// How long it took.
    pub ms: u128,
    /// What was seen, or what went wrong and where to look.
    pub detail: String,
}

impl Report {
    /// A report in which nothing failed yet.
    pub fn new() -> Self {
        Self { ok: true, steps: Vec::new() }
    }

    /// Runs one step and prints it. Its value, if it held.
    pub async fn step<T>(&mut self, name: &str, work: impl Future<Output = Result<(String, T), Failed>>) -> Option<T> {
        if std::io::stdout().is_terminal() {
            write(&format!("  … {name}\r"));
        }
        let start = Instant::now();
        let outcome = work.await;
        let took = start.elapsed();
        let (ok, detail, value) = match outcome {
            Ok((detail, value)) => (true, detail, Some(value)),
            Err(failed) => (false, failed.to_string(), None),
        };
        self.ok &= ok;
        let mark = if ok { "✓" } else { "✗" };
        say(&format!("  {mark} {name} ({}): {detail}", human(took)));
        self.steps.push(Step { name: name.to_owned(), ok, ms: took.as_millis(), detail });
        value
    }
}

fn human(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
