//! A provider's limits on calls, as data, and the buckets that a call takes from.
//!
//! *Invariant:* the key of a bucket names provider and limit, and tells apart by a hash whoever shares it: no account spends what
//! is another's, and no log or table shows whose it is.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use http::Method;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::call::{Request, rate::Rate};

/// A limit.
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
    /// All.
    All,
    /// Those of these patterns.
    Of(&'static [&'static str]),
    /// Those that no [`Counts::Of`] of the same provider names.
    Rest,
}

/// Which credentials a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialMode {
    /// All.
    Any,
    /// Those for testing.
    Test,
    /// The others.
    Live,
}

/// What calls have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionBy {
    /// The account at the provider, whoever of our users connected it.
    Account,
    /// The method.
    Method,
    /// The path's first so many segments.
    Path(usize),
    /// A field of the body.
    Field(&'static str),
}

/// A bucket that a call takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its key.
    pub key: String,
    /// What of the key may be told: provider and limit.
    pub name: String,
    /// Its rate.
    pub rate: Rate,
    /// What the call takes.
    pub cost: u32,
    /// See [`Limit::reasons`].
    pub reasons: &'static [&'static str],
    /// See [`Limit::closes`].
    pub closes: Duration,
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

    fn of(&self, provider: &str, limit: &Limit) -> Rate {
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
    (provider, account): (&str, &str),
    (request, path): (&Request, &str),
    test: bool,
    rates: &Rates,
) -> Vec<Bucket> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let named = |patterns: &[&str]| patterns.iter().any(|pattern| matches(pattern, &request.method, path));
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
        let mut hash = Sha256::new();
        for per in limit.partition_by {
            let part = match per {
                PartitionBy::Account => Cow::Borrowed(account),
                PartitionBy::Method => request.method.as_str().into(),
                PartitionBy::Path(count) => path.split('/').skip(1).take(*count).collect::<Vec<_>>().join("/").into(),
                PartitionBy::Field(pointer) => field(request, pointer).unwrap_or_default().into(),
            };
            hash.update(part.len().to_be_bytes());
            hash.update(&*part);
        }
        let name = format!("{provider}/{}", limit.name);
        let key = format!("{name}#{}", hex::encode(&hash.finalize()[..16]));
        let cost = limit.costs.iter().find(|(pattern, _)| matches(pattern, &request.method, path));
        let cost = cost.map_or(1, |(_, cost)| *cost);
        Bucket {
            key,
            name,
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
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    const SLOW: Rate = Rate::per_second(1, 1);
    const FAST: Rate = Rate::per_second(100, 100);
    const LIMITS: &[Limit] = &[
        Limit {
            name: "channel",
            applies: Applies::Of(&["POST /chat.post"]),
            partition_by: &[PartitionBy::Account, PartitionBy::Field("/channel")],
            credential_mode: CredentialMode::Any,
            rate: SLOW,
            costs: &[],
            reasons: &[],
            max_retry_after: Duration::from_mins(1),
        },
        Limit {
            name: "rest",
            applies: Applies::Rest,
            partition_by: &[PartitionBy::Account, PartitionBy::Path(2)],
            credential_mode: CredentialMode::Any,
            rate: SLOW,
            costs: &[],
            reasons: &[],
            max_retry_after: Duration::from_mins(1),
        },
        Limit {
            name: "all",
            applies: Applies::All,
            partition_by: &[],
            credential_mode: CredentialMode::Any,
            rate: FAST,
            costs: &[("GET /v1/*/x", 5), ("/**", 2)],
            reasons: &[],
            max_retry_after: Duration::from_mins(1),
        },
        Limit {
            name: "test",
            applies: Applies::All,
            partition_by: &[PartitionBy::Method],
            credential_mode: CredentialMode::Test,
            rate: SLOW,
            costs: &[],
            reasons: &[],
            max_retry_after: Duration::from_mins(1),
        },
    ];

    fn taken(account: &str, request: &Request) -> Vec<Bucket> {
        let path = request.url.strip_prefix("https://a").unwrap();
        buckets(LIMITS, ("p", account), (request, path), false, &Rates::default())
    }

    fn names(account: &str, request: &Request) -> Vec<(String, u32)> {
        taken(account, request).into_iter().map(|bucket| (bucket.name, bucket.cost)).collect()
    }

    #[test]
    fn a_call_takes_from_every_bucket_that_counts_it_and_the_rest_from_the_rest() {
        let of =
            |names: &[(&str, u32)]| names.iter().map(|(name, cost)| ((*name).to_owned(), *cost)).collect::<Vec<_>>();
        let post = Request::post("x", "https://a/chat.post?x=1").json(&json!({"channel": "C1"}));
        assert_eq!(names("T1", &post), of(&[("p/channel", 1), ("p/all", 2)]));
        let get = Request::get("x", "https://a/v1/customers/x/y");
        assert_eq!(names("T1", &get), of(&[("p/rest", 1), ("p/all", 2)]));
        assert_eq!(names("T1", &Request::get("x", "https://a/v1/customers/x"))[1].1, 5);
        assert_eq!(names("T1", &Request::get("x", "https://a/chat.post"))[0].0, "p/rest", "the method counts");
    }

    #[test]
    fn who_shares_a_bucket_is_told_apart_whatever_they_are_called() {
        let key = |account: &str, request: &Request| taken(account, request)[0].key.clone();
        let post = |channel: &str| Request::post("x", "https://a/chat.post").json(&json!({ "channel": channel }));
        let form = Request::post("x", "https://a/chat.post").form([("channel", "C1"), ("text", "x")]);
        assert_eq!(key("T1", &post("C1")), key("T1", &form), "JSON and form are one channel");
        let all = [("T1", post("C1")), ("T1", post("C2")), ("T2", post("C1")), ("T1C", post("1")), ("", post("T1C1"))];
        let keys: BTreeSet<_> = all.iter().map(|(account, request)| key(account, request)).collect();
        assert_eq!(keys.len(), all.len());
        let long = "ada@example.com".repeat(200);
        assert!(keys.iter().chain([&key(&long, &form)]).all(|key| key.len() < 60 && !key.contains('@')));
        let get = Request::get("x", "https://a/v1/x");
        assert_eq!(taken("T1", &get)[1].key, taken("T2", &get)[1].key, "the app's own limit is everybody's");
        assert_ne!(key("T1", &get), key("T2", &get));
    }

    #[test]
    fn a_deployment_sets_other_rates_and_test_credentials_have_their_own() {
        let get = Request::get("x", "https://a/v1/x");
        let of = |test, rates: &Rates| buckets(LIMITS, ("p", "T"), (&get, "/v1/x"), test, rates);
        assert_eq!(of(false, &Rates::default()).len(), 2);
        let test = of(true, &Rates::default());
        assert_eq!((test[1].rate, test[2].rate, test[2].name.as_str()), (FAST, SLOW, "p/test"));
        let set = Rates::parse("p/all=7/s  p/rest=1/min").unwrap();
        assert_eq!(of(true, &set)[1].rate, Rate::per_second(7, 10), "room for a call of 5 units");
        assert_eq!(set.unknown(|name| name == "p/all"), ["p/rest"]);
        assert_eq!(Rates::parse("p/all=1/s p/all=2/s").unwrap_err(), "p/all is set twice");
        for wrong in ["p/all", "p/all=7", "p/all=x/s", "=", "p/all=1/s:x"] {
            assert!(Rates::parse(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }
}
