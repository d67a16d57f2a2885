//! A function's configuration: typed, read once at init, all problems reported together.
//!
//! *Invariant:* the names a function reads are exactly those template.yaml sets; [`names`] lets a test compare them.

use std::{fmt, time::Duration};

use domain::limit::Rates;

use crate::{metrics, outbound::Rewrites};

/// The prefix of the stack's names: every function has it.
const STACK: &str = "SECRET_PREFIX";

/// Reads variables and collects what is wrong with them.
#[derive(Debug)]
pub struct Env {
    lookup: fn(&str) -> Option<String>,
    names: Vec<&'static str>,
    problems: Vec<String>,
}

/// Everything that is wrong with the environment.
pub struct ConfigError(Vec<String>);

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration: {}; template.yaml sets these variables", self.0.join("; "))
    }
}

/// The bootstrap's `main` prints errors by `Debug`, and people read it.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads a configuration from the process's environment.
pub fn load<C>(read: impl FnOnce(&mut Env) -> C) -> Result<C, ConfigError> {
    load_from(ambient, |env| {
        metrics::belong_to(env.text(STACK));
        read(env)
    })
}

/// The names that `read` reads, each once.
pub fn names<C>(read: impl FnOnce(&mut Env) -> C) -> Vec<&'static str> {
    let mut env = Env { lookup: |_| None, names: Vec::new(), problems: Vec::new() };
    env.text(STACK);
    read(&mut env);
    env.names.sort_unstable();
    env.names.dedup();
    env.names
}

/// A variable that the Lambda runtime or the SDK defines, not the template.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(crate) fn ambient(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn load_from<C>(lookup: fn(&str) -> Option<String>, read: impl FnOnce(&mut Env) -> C) -> Result<C, ConfigError> {
    let mut env = Env { lookup, names: Vec::new(), problems: Vec::new() };
    let config = read(&mut env);
    if env.problems.is_empty() { Ok(config) } else { Err(ConfigError(env.problems)) }
}

impl Env {
    /// A text that may not be empty.
    pub fn text(&mut self, name: &'static str) -> String {
        self.names.push(name);
        (self.lookup)(name).unwrap_or_else(|| {
            self.problems.push(format!("{name} is not set"));
            String::new()
        })
    }

    /// A text that may be empty, which means none.
    pub fn optional(&mut self, name: &'static str) -> Option<String> {
        self.names.push(name);
        (self.lookup)(name)
    }

    /// Something that is wrong with several variables together.
    pub fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Where calls to providers lead: `INTERTIE_URL_REWRITES`, empty in production.
    pub fn rewrites(&mut self) -> Rewrites {
        const NAME: &str = "INTERTIE_URL_REWRITES";
        let text = self.optional(NAME).unwrap_or_default();
        Rewrites::parse(&text).unwrap_or_else(|problem| {
            self.problem(format!("{NAME}: {problem}"));
            Rewrites::default()
        })
    }

    /// Rates in place of the providers' documented ones: `RATE_LIMITS`.
    pub fn rates(&mut self) -> Rates {
        const NAME: &str = "RATE_LIMITS";
        let text = self.optional(NAME).unwrap_or_default();
        Rates::parse(&text).unwrap_or_else(|problem| {
            self.problem(format!("{NAME}: {problem}"));
            Rates::default()
        })
    }

    /// A time span in whole seconds, at least one.
    pub fn seconds(&mut self, name: &'static str) -> Duration {
        let text = self.text(name);
        match text.parse() {
            Ok(seconds @ 1..) => Duration::from_secs(seconds),
            _ if text.is_empty() => Duration::ZERO,
            _ => {
                self.problems.push(format!("{name} is {text:?}, not a number of seconds from 1"));
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(env: &mut Env) -> (String, Duration) {
        (env.text("TABLE"), env.seconds("LEASE_SECONDS"))
    }

    #[test]
    fn all_problems_are_reported_together() {
        let error = load_from(|name| (name == "LEASE_SECONDS").then(|| "0".to_owned()), read).unwrap_err();
        assert_eq!(
            error.to_string(),
            "configuration: TABLE is not set; LEASE_SECONDS is \"0\", not a number of seconds from 1; \
             template.yaml sets these variables",
        );
    }

    #[test]
    fn the_names_read_are_known_without_an_environment() {
        assert_eq!(names(read), ["LEASE_SECONDS", "SECRET_PREFIX", "TABLE"]);
    }
}
