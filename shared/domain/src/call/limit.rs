//! A provider's limits on calls, as data, and the buckets that a call takes from.
//!
//! *Invariant:* the key of a bucket names provider and limit, and tells accounts apart by a hash: no account spends what is
//! another's, and no log or table shows an account.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use http::Method;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    call::{Request, rate::Rate},
    id::{AccountId, ProviderId},
};

/// A limit that the provider documents, as a token bucket.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Its name: in the keys of buckets, and where a deployment sets another rate.
    pub name: &'static str,
    /// The calls that it counts.
    pub applies: Applies,
    /// What calls must have in common to be counted together, besides the app.
    pub partition_by: &'static [PartitionBy],
    /// The credentials that it is for.
    pub credential_mode: CredentialMode,
    /// How many it lets through.
    pub rate: Rate,
    /// Units that calls cost, by pattern; the first that matches counts, and without any it is 1.
    pub costs: &'static [(&'static str, u32)],
    /// Codes or reasons with which the provider says that this limit was reached, where it has several.
    pub reasons: &'static [&'static str],
    /// The longest wait that can be about it: a provider that names a longer one speaks of something else. And the longest that it
    /// stays closed before a call finds out how it stands.
    pub max_retry_after: Duration,
}

/// Which calls a limit counts. Patterns are paths after the API's base, with `*` for any segment and `**` at the end for any
/// rest; a method and a space may stand before.
#[derive(Debug, Clone, Copy)]
pub enum Applies {
    /// Every call of the API.
    All,
    /// Those of these patterns.
    Of(&'static [&'static str]),
    /// Those that no [`Applies::Of`] of the same provider names.
    Rest,
}

/// Which credentials a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialMode {
    /// Both modes.
    Any,
    /// Credentials of the mode [`Mode::Test`](crate::Mode::Test).
    Test,
    /// Every other credential.
    Live,
}

/// What calls have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionBy {
    /// The account at the provider, for all users together that connected it.
    Account,
    /// The HTTP method.
    Method,
    /// The path's first so many segments.
    Path(usize),
    /// A field of the body.
    Field(&'static str),
}

/// A bucket that a call takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// What identifies it.
    pub key: BucketKey,
    /// The limit's rate, or the one that the deployment set.
    pub rate: Rate,
    /// What the call takes.
    pub cost: u32,
    /// See [`Limit::reasons`].
    pub reasons: &'static [&'static str],
    /// See [`Limit::max_retry_after`].
    pub closes: Duration,
}

/// The key of a bucket's item, `provider/limit#hash`: the hash is of what its calls have in common, so that it shows no account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketKey(String);

impl BucketKey {
    /// The key of the bucket for calls that have these parts in common.
    pub fn new<T: AsRef<str>>(provider: &ProviderId, limit: &str, common: impl IntoIterator<Item = T>) -> Self {
        let mut hash = Sha256::new();
        for part in common {
            let part = part.as_ref();
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        Self(format!("{provider}/{limit}#{}", hex::encode(&hash.finalize()[..16])))
    }

    /// The key as the table has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `provider/limit`, under which a deployment sets another rate.
    pub fn limit(&self) -> &str {
        self.0.split_once('#').map_or(&*self.0, |(limit, _)| limit)
    }
}

/// Rates that a deployment sets in place of the provider's documented ones, by `provider/limit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates(BTreeMap<String, Rate>);

impl Rates {
    /// Reads `slack/tier2=30/min stripe/account=500/s:500 …`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let pair = |pair: &str| {
            let (name, rate) = pair.split_once('=')?;
            Some((name.to_owned(), Rate::parse(rate)?))
        };
        let pairs = text.split_whitespace().map(|text| {
            pair(text).ok_or_else(|| format!("{text:?} is not PROVIDER/LIMIT=N/s or N/min, with :BURST if need be"))
        });
        let mut rates = BTreeMap::new();
        for pair in pairs {
            let (name, rate) = pair?;
            if rates.insert(name.clone(), rate).is_some() {
                return Err(format!("{name} is set twice"));
            }
        }
        Ok(Self(rates))
    }

    /// The names that are not known.
    pub fn unknown(&self, known: impl Fn(&str) -> bool) -> Vec<&str> {
        self.0.keys().map(String::as_str).filter(|name| !known(name)).collect()
    }

    fn of(&self, provider: &ProviderId, limit: &Limit) -> Rate {
        // Hardly ever is one set.
        if self.0.is_empty() {
            return limit.rate;
        }
        let most = limit.costs.iter().map(|(_, cost)| *cost).max().unwrap_or(1);
        let set = self.0.get(&format!("{provider}/{}", limit.name));
        set.map_or(limit.rate, |rate| rate.following(limit.rate, most))
    }
}

/// The buckets that a call takes from, the narrowest first, as the limits stand. `path` follows the API's base, and may have a
/// query; `test` says whether the credential is one for testing.
pub fn buckets(
    limits: &'static [Limit],
    (provider, account): (&ProviderId, &AccountId),
    (request, path): (&Request, &str),
    test: bool,
    rates: &Rates,
) -> Vec<Bucket> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // A slash at the end leads past no limit.
    let path = path.strip_suffix('/').unwrap_or(path);
    let method = request.effective_method();
    let named = |patterns: &[&str]| patterns.iter().any(|pattern| matches(pattern, method, path));
    let counts = |limit: &&Limit| match limit.applies {
        Applies::All => true,
        Applies::Of(patterns) => named(patterns),
        Applies::Rest => !limits.iter().any(|other| matches!(other.applies, Applies::Of(patterns) if named(patterns))),
    };
    let applies = |limit: &&Limit| match limit.credential_mode {
        CredentialMode::Any => true,
        CredentialMode::Test => test,
        CredentialMode::Live => !test,
    };
    let bucket = |limit: &'static Limit| {
        let common = limit.partition_by.iter().map(|per| match per {
            PartitionBy::Account => Cow::Borrowed(account.as_str()),
            PartitionBy::Method => method.as_str().into(),
            PartitionBy::Path(count) => path.split('/').skip(1).take(*count).collect::<Vec<_>>().join("/").into(),
            PartitionBy::Field(pointer) => field(request, pointer).unwrap_or_default().into(),
        });
        let cost = limit.costs.iter().find(|(pattern, _)| matches(pattern, method, path));
        let cost = cost.map_or(1, |(_, cost)| *cost);
        Bucket {
            key: BucketKey::new(provider, limit.name, common),
            rate: rates.of(provider, limit),
            cost,
            reasons: limit.reasons,
            closes: limit.max_retry_after,
        }
    };
    limits.iter().filter(applies).filter(counts).map(bucket).collect()
}

/// A field of a body, JSON or a form.
fn field(request: &Request, pointer: &str) -> Option<String> {
    let (kind, body) = request.body.as_ref()?;
    if kind.starts_with("application/json") {
        let body: Value = serde_json::from_slice(body).ok()?;
        return body.pointer(pointer)?.as_str().map(str::to_owned);
    }
    let name = pointer.trim_start_matches('/');
    form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn matches(pattern: &str, method: &Method, path: &str) -> bool {
    let (wanted, pattern) = pattern.split_once(' ').map_or((None, pattern), |(method, path)| (Some(method), path));
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        if wanted == "**" {
            parts.by_ref().for_each(drop);
            break;
        }
        match parts.next() {
            Some(part) if wanted == "*" || wanted == part => {}
            _ => return false,
        }
    }
    parts.next().is_none() && wanted.is_none_or(|wanted| wanted == method.as_str())
}

#[cfg(test)]
mod tests;
