//! What a deployment's settings must hold to, as two tables: the form of each, and the pairs that must fit together.
//!
//! Every function compares its own environment with them at init, and `cargo local` and `cargo local check` the template's
//! parameters. *Invariant:* a pair is compared wherever both of its values are known, and nowhere else.

use std::time::Duration;

use domain::{Offered, call::limit::Rates};

use crate::base::rewrites::Rewrites;

/// The longest call to a token endpoint: while one is under way its lease must not end.
pub const TOKEN_CALL: Duration = Duration::from_secs(10);

/// A setting, by the two names it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its parameter in template.yaml.
    pub parameter: &'static str,
    /// The environment variable that the template sets to it.
    pub variable: &'static str,
}

/// A setting with a form of its own.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The setting that has it.
    pub setting: Setting,
    /// Reads a value as the functions do, or says what it must be. An empty value is no value, and is not read.
    pub read: fn(&str) -> Result<(), String>,
}

/// A number of seconds, and the least that it may be because of another.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// The number that is bounded.
    pub setting: Setting,
    /// The bound that the other setting gives it.
    pub must_be: Bound,
    /// The consequence of a smaller number, as a clause.
    pub because: &'static str,
}

/// What a number must be, measured by another.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// More than another setting.
    MoreThan(Setting),
    /// At least six times another setting: what AWS asks of a queue's visibility timeout beside its function's timeout
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>, read in November 2026).
    AtLeastSixTimes(Setting),
    /// More than a span that no setting changes.
    MoreThanFixed(Duration, &'static str),
}

/// A setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingProblem {
    /// It has the wrong form.
    #[error("{parameter} is `{value}`: {rule}")]
    Form {
        /// The parameter's name.
        parameter: &'static str,
        /// As it is set.
        value: String,
        /// The form that it must have.
        rule: String,
    },
    /// It does not fit another.
    #[error("{parameter} is {value} and must be {rule}: {because}")]
    Pair {
        /// The parameter's name.
        parameter: &'static str,
        /// As it is set, in seconds.
        value: u64,
        /// What it must be, with the name and the value of the other setting.
        rule: String,
        /// The consequence otherwise, as a clause.
        because: &'static str,
    },
}

const fn setting(parameter: &'static str, variable: &'static str) -> Setting {
    Setting { parameter, variable }
}

const CLAIM_LEASE: Setting = setting("ClaimLeaseSeconds", "CLAIM_LEASE_SECONDS");
const SYNC_LEASE: Setting = setting("SyncLeaseSeconds", "SYNC_LEASE_SECONDS");
const REFRESH_LEASE: Setting = setting("RefreshLeaseSeconds", "REFRESH_LEASE_SECONDS");
const PROXY_TIMEOUT: Setting = setting("ProxyTimeoutSeconds", "PROXY_TIMEOUT_SECONDS");
const PROCESS_TIMEOUT: Setting = setting("ProcessTimeoutSeconds", "PROCESS_TIMEOUT_SECONDS");
const SYNC_TIMEOUT: Setting = setting("SyncTimeoutSeconds", "SYNC_TIMEOUT_SECONDS");
const SCHEDULE_TIMEOUT: Setting = setting("ScheduleTimeoutSeconds", "SCHEDULE_TIMEOUT_SECONDS");
const REFRESH_TIMEOUT: Setting = setting("RefreshTimeoutSeconds", "REFRESH_TIMEOUT_SECONDS");
const WEBHOOKS_VISIBILITY: Setting = setting("WebhooksVisibilitySeconds", "WEBHOOKS_VISIBILITY_SECONDS");
const SYNCS_VISIBILITY: Setting = setting("SyncsVisibilitySeconds", "SYNCS_VISIBILITY_SECONDS");
const REFRESHES_VISIBILITY: Setting = setting("RefreshesVisibilitySeconds", "REFRESHES_VISIBILITY_SECONDS");
const SCHEDULES_VISIBILITY: Setting = setting("SchedulesVisibilitySeconds", "SCHEDULES_VISIBILITY_SECONDS");

const VISIBLE_TOO_EARLY: &str = "a message that is still worked on would be delivered to another invocation";

/// Every pair of settings that must fit together.
pub const PAIRS: &[Pair] = &[
    Pair {
        setting: CLAIM_LEASE,
        must_be: Bound::MoreThan(PROCESS_TIMEOUT),
        because: "a second invocation would apply an event that the first still works on",
    },
    Pair {
        setting: CLAIM_LEASE,
        must_be: Bound::MoreThan(PROXY_TIMEOUT),
        because: "a second request would carry out an action that the first still carries out",
    },
    Pair {
        setting: SYNC_LEASE,
        must_be: Bound::MoreThan(SYNC_TIMEOUT),
        because: "a second sync of an integration would begin while the first still runs",
    },
    Pair {
        setting: REFRESH_LEASE,
        must_be: Bound::MoreThanFixed(TOKEN_CALL, "the longest call to a token endpoint"),
        because: "a second caller would refresh a token that the first still refreshes",
    },
    Pair { setting: WEBHOOKS_VISIBILITY, must_be: Bound::AtLeastSixTimes(PROCESS_TIMEOUT), because: VISIBLE_TOO_EARLY },
    Pair { setting: SYNCS_VISIBILITY, must_be: Bound::AtLeastSixTimes(SYNC_TIMEOUT), because: VISIBLE_TOO_EARLY },
    Pair {
        setting: REFRESHES_VISIBILITY,
        must_be: Bound::AtLeastSixTimes(REFRESH_TIMEOUT),
        because: VISIBLE_TOO_EARLY,
    },
    Pair {
        setting: SCHEDULES_VISIBILITY,
        must_be: Bound::AtLeastSixTimes(SCHEDULE_TIMEOUT),
        because: VISIBLE_TOO_EARLY,
    },
];

/// Every setting with a form of its own.
pub const FORMS: &[Form] = &[
    Form { setting: setting("Prefix", "RESOURCE_PREFIX"), read: prefix },
    Form { setting: setting("PublicUrl", "PUBLIC_URL"), read: origin },
    Form { setting: setting("AllowedOrigins", "ALLOWED_ORIGINS"), read: origins },
    Form { setting: setting("JwksUrl", "JWKS_URL"), read: https_url },
    Form { setting: setting("Providers", "PROVIDERS"), read: |text| Offered::parse(text).map(drop) },
    Form { setting: setting("RateLimits", "RATE_LIMITS"), read: |text| Rates::parse(text).map(drop) },
    Form { setting: setting("UrlRewrites", "INTERTIE_URL_REWRITES"), read: |text| Rewrites::parse(text).map(drop) },
];

/// Everything that is wrong with the settings of known values.
pub fn problems(value: impl Fn(&Setting) -> Option<String>) -> Vec<SettingProblem> {
    let number = |setting: &Setting| value(setting).and_then(|text| text.parse().ok());
    let forms = FORMS.iter().filter_map(|form| form.problem(&value(&form.setting).filter(|text| !text.is_empty())?));
    forms.chain(PAIRS.iter().filter_map(|pair| pair.problem(number))).collect()
}

impl Form {
    fn problem(&self, value: &str) -> Option<SettingProblem> {
        let rule = (self.read)(value).err()?;
        Some(SettingProblem::Form { parameter: self.setting.parameter, value: value.to_owned(), rule })
    }
}

impl Pair {
    fn problem(&self, number: impl Fn(&Setting) -> Option<u64>) -> Option<SettingProblem> {
        let value = number(&self.setting)?;
        let (least, rule) = match self.must_be {
            Bound::MoreThan(other) => {
                let bound = number(&other)?;
                (bound.saturating_add(1), format!("more than {}, which is {bound}", other.parameter))
            }
            Bound::AtLeastSixTimes(other) => {
                let bound = number(&other)?;
                (bound.saturating_mul(6), format!("at least 6 × {}, which is {bound}", other.parameter))
            }
            Bound::MoreThanFixed(span, what) => {
                (span.as_secs().saturating_add(1), format!("more than {}, {what}", span.as_secs()))
            }
        };
        let (parameter, because) = (self.setting.parameter, self.because);
        (value < least).then_some(SettingProblem::Pair { parameter, value, rule, because })
    }
}

fn must_be(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}

fn prefix(text: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let framed = text.starts_with(|first: char| first.is_ascii_lowercase()) && !text.ends_with('-');
    must_be(
        (2..=32).contains(&text.len()) && framed && text.bytes().all(legal),
        "a prefix is 2 to 32 lower-case letters, digits and hyphens, begins with a letter and does not end with a hyphen",
    )
}

fn origin(text: &str) -> Result<(), String> {
    must_be(
        is_origin(text),
        "an origin is https://HOST or https://HOST:PORT as browsers write it: lower case, without a path, a trailing slash or \
         the port 443; http is for localhost and 127.0.0.1",
    )
}

/// Several, with spaces or commas between them.
fn origins(text: &str) -> Result<(), String> {
    text.split([' ', ',']).filter(|it| !it.is_empty()).try_for_each(origin)
}

/// RFC 6454 §6.2: what a browser sends as `Origin`. Any other spelling would never equal it.
fn is_origin(text: &str) -> bool {
    let (authority, default_port, loopback_only) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(authority), _) => (authority, "443", false),
        (None, Some(authority)) => (authority, "80", true),
        (None, None) => return false,
    };
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let port_is_good = port.is_none_or(|port| {
        port != default_port && !port.starts_with('0') && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let host_is_good = !host.is_empty() && host.bytes().all(legal) && !host.starts_with(['.', '-']);
    host_is_good && port_is_good && (!loopback_only || matches!(host, "localhost" | "127.0.0.1"))
}

fn https_url(text: &str) -> Result<(), String> {
    let url = text.parse::<http::Uri>().ok().filter(|url| url.scheme_str() == Some("https") && url.host().is_some());
    must_be(url.is_some() && !text.contains('#'), "it must be an https URL")
}

#[cfg(test)]
mod tests;
