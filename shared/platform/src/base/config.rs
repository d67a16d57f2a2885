//! A function's configuration: typed, read once at init, all problems reported together.
//!
//! *Invariant:* the names a function reads are exactly those template.yaml sets; [`names`] lets a test compare them. What it reads
//! holds to [`crate::base::settings`].

use std::{collections::BTreeMap, fmt, time::Duration};

use domain::{Offered, call::limit::Rates};

use crate::base::{
    environment::{RELEASE, ambient},
    metrics,
    rewrites::Rewrites,
    settings,
};

/// The prefix of the stack's names: every function has it.
const STACK: &str = "RESOURCE_PREFIX";

/// Reads variables and collects what is wrong with them.
#[derive(Debug)]
pub struct Env {
    source: Source,
    names: Vec<&'static str>,
    problems: Vec<String>,
}

/// The process's environment, or values that a test or `cargo local` gives.
#[derive(Debug)]
enum Source {
    Process,
    Given(BTreeMap<String, String>),
}

impl Source {
    /// An empty variable is one that is not set: that is how the template says "none".
    fn get(&self, name: &str) -> Option<String> {
        match self {
            Self::Process => ambient(name),
            Self::Given(variables) => variables.get(name).cloned().filter(|value| !value.is_empty()),
        }
    }
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
    load_source(Source::Process, |env| {
        metrics::belong_to(env.text(STACK));
        env.optional(RELEASE);
        read(env)
    })
}

/// Reads a configuration from these variables, as [`load`] would from the process's environment.
pub fn load_from<C>(variables: BTreeMap<String, String>, read: impl FnOnce(&mut Env) -> C) -> Result<C, ConfigError> {
    load_source(Source::Given(variables), |env| {
        env.text(STACK);
        env.optional(RELEASE);
        read(env)
    })
}

/// The names that `read` reads, each once.
pub fn names<C>(read: impl FnOnce(&mut Env) -> C) -> Vec<&'static str> {
    let mut env = Env::new(Source::Given(BTreeMap::new()));
    env.text(STACK);
    env.optional(RELEASE);
    read(&mut env);
    env.names.sort_unstable();
    env.names.dedup();
    env.names
}

fn load_source<C>(source: Source, read: impl FnOnce(&mut Env) -> C) -> Result<C, ConfigError> {
    let mut env = Env::new(source);
    let config = read(&mut env);
    let problems = settings::problems(|setting| {
        env.names.contains(&setting.variable).then(|| env.get(setting.variable)).flatten()
    });
    env.problems.extend(problems.iter().map(ToString::to_string));
    if env.problems.is_empty() { Ok(config) } else { Err(ConfigError(env.problems)) }
}

impl Env {
    fn new(source: Source) -> Self {
        Self { source, names: Vec::new(), problems: Vec::new() }
    }

    fn get(&self, name: &str) -> Option<String> {
        self.source.get(name)
    }

    /// A text that may not be empty.
    pub fn text(&mut self, name: &'static str) -> String {
        self.names.push(name);
        self.get(name).unwrap_or_else(|| {
            self.problems.push(format!("{name} is not set"));
            String::new()
        })
    }

    /// A text that may be empty, which means none.
    pub fn optional(&mut self, name: &'static str) -> Option<String> {
        self.names.push(name);
        self.get(name)
    }

    /// Something that is wrong with several variables together.
    pub fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Where calls to providers lead: `INTERTIE_URL_REWRITES`, empty in production. [`settings::FORMS`] tells what is wrong with it.
    pub fn rewrites(&mut self) -> Rewrites {
        Rewrites::parse(&self.optional("INTERTIE_URL_REWRITES").unwrap_or_default()).unwrap_or_default()
    }

    /// Rates in place of the providers' documented ones: `RATE_LIMITS`. [`settings::FORMS`] tells what is wrong with them.
    pub fn rates(&mut self) -> Rates {
        Rates::parse(&self.optional("RATE_LIMITS").unwrap_or_default()).unwrap_or_default()
    }

    /// The providers that the deployment offers: `PROVIDERS`. [`settings::FORMS`] tells what is wrong with it.
    pub fn offered(&mut self) -> Offered {
        Offered::parse(&self.optional("PROVIDERS").unwrap_or_default()).unwrap_or_default()
    }

    /// Numbers of seconds that are read for one reason: [`settings::PAIRS`] measures others by them.
    pub fn compared(&mut self, names: &[&'static str]) {
        for name in names {
            self.seconds(name);
        }
    }

    /// A time span in whole seconds, at least one.
    pub fn seconds(&mut self, name: &'static str) -> Duration {
        Duration::from_secs(self.count(name, "seconds"))
    }

    /// A time span in whole days, at least one.
    pub fn days(&mut self, name: &'static str) -> Duration {
        Duration::from_secs(self.count(name, "days").saturating_mul(86_400))
    }

    fn count(&mut self, name: &'static str, unit: &str) -> u64 {
        let text = self.text(name);
        match text.parse::<u32>() {
            Ok(count @ 1..) => count.into(),
            _ if text.is_empty() => 0,
            _ => {
                self.problems.push(format!("{name} is {text:?}, not a number of {unit} from 1"));
                0
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

    fn given(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        let all = variables.iter().chain(&[(STACK, "it"), (RELEASE, "1.2.3")]);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn all_problems_are_reported_together() {
        let variables = given(&[("LEASE_SECONDS", "0"), ("RATE_LIMITS", "x"), ("CLAIM_LEASE_SECONDS", "9")]);
        let all = |env: &mut Env| {
            let _ = (read(env), env.rates(), env.seconds("CLAIM_LEASE_SECONDS"));
            env.compared(&["PROCESS_TIMEOUT_SECONDS", "PROXY_TIMEOUT_SECONDS"]);
        };
        let error = load_from(variables, all).unwrap_err().to_string();
        for words in [
            "configuration: TABLE is not set; LEASE_SECONDS is \"0\", not a number of seconds from 1; ",
            "PROCESS_TIMEOUT_SECONDS is not set; ",
            "RateLimits is `x`: \"x\" is not PROVIDER/LIMIT=N/s",
            "; template.yaml sets these variables",
        ] {
            assert!(error.contains(words), "{error}");
        }
        assert!(!error.contains("must be more than"), "a pair of which one is unknown is not compared: {error}");
    }

    #[test]
    fn what_does_not_fit_together_is_a_problem_that_names_both() {
        let pair = |lease: &str| given(&[("CLAIM_LEASE_SECONDS", lease), ("PROXY_TIMEOUT_SECONDS", "29")]);
        let read = |env: &mut Env| {
            env.compared(&["PROXY_TIMEOUT_SECONDS"]);
            env.seconds("CLAIM_LEASE_SECONDS")
        };
        assert_eq!(load_from(pair("30"), read).unwrap(), Duration::from_secs(30));
        let error = load_from(pair("29"), read).unwrap_err().to_string();
        assert!(
            error.contains("ClaimLeaseSeconds is 29 and must be more than ProxyTimeoutSeconds, which is 29"),
            "{error}"
        );
    }

    #[test]
    fn the_names_read_are_known_without_an_environment() {
        assert_eq!(names(read), ["LEASE_SECONDS", "RESOURCE_PREFIX", "TABLE", "VERSION"]);
    }
}
