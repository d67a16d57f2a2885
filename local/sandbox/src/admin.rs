//! The controls that every emulator has: faults, limits, changes between two pages; and the
//! calls it was sent.

use std::{collections::BTreeMap, time::Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use local_base::now;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    call::{Call, Reply},
    chance::Chance,
    form,
    opaque::fingerprint,
};

/// Query parameters with values that are not kept.
const SECRET: [&str; 7] = ["access_token", "client_secret", "code", "code_verifier", "refresh_token", "state", "token"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// A part of method, space and path.
    r#match: String,
    effect: Effect,
    /// How often it strikes: once, or for ever if it strikes by chance.
    times: Option<u32>,
    /// Which of the matching calls it strikes; all if absent.
    chance: Option<Chance>,
    #[serde(skip)]
    struck: u64,
}

/// Without `status`, `close` and `html` the call is answered as usual, late.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Effect {
    /// Waits this long first, in milliseconds.
    pub(super) hang_ms: Option<u64>,
    /// Ends the connection without an answer.
    pub(super) close: bool,
    /// Answers with a web page, status 200.
    html: bool,
    status: Option<u16>,
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    /// The body where it is no text.
    body_base64: Option<String>,
    /// The call is carried out first; only the answer is lost or replaced.
    pub(super) after: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    #[serde(default)]
    r#match: String,
    per_second: f64,
    burst: f64,
    /// What is left, and when that was so.
    #[serde(skip)]
    level: Option<(f64, Instant)>,
}

/// A change that happens once, after a page that is not the last.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Between {
    r#match: String,
    pub(super) then: Change,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) method: String,
    /// With or without the leading `/_admin`.
    pub(super) path: String,
    #[serde(default)]
    pub(super) body: Map<String, Value>,
}

impl Change {
    /// Its method, path below `/_admin`, and body. A method that is none is asked for nowhere.
    pub(super) fn parts(&self) -> (Method, Vec<&str>, Value) {
        let path = self.path.trim_start_matches("/_admin").split('/').filter(|part| !part.is_empty()).collect();
        let method = Method::from_bytes(self.method.as_bytes()).unwrap_or(Method::TRACE);
        (method, path, Value::Object(self.body.clone()))
    }
}

/// A call as it is listed.
#[derive(Serialize)]
struct Entry {
    n: u64,
    at: Timestamp,
    method: String,
    path: String,
    /// None while it is being answered, and if it got no answer.
    status: Option<u16>,
    token: Option<String>,
    idempotency_key: bool,
    /// Without the credential and cookies.
    headers: BTreeMap<String, String>,
    /// Of the body's bytes. Bodies hold tokens, so they are not listed.
    body_sha256: String,
}

/// The faults, limits and changes in force, and the calls so far.
#[derive(Default)]
pub(super) struct AdminState {
    pub(super) faults: Vec<Fault>,
    pub(super) limits: Vec<Limit>,
    pub(super) between: Vec<Between>,
    calls: Vec<Entry>,
    count: u64,
}

impl AdminState {
    /// Lists a call; its number is for [`answered`](Self::answered).
    pub(super) fn called(&mut self, call: &Call) -> u64 {
        self.count += 1;
        let query = call.query.pairs().map(|(name, value)| (name, if SECRET.contains(&name) { "…" } else { value }));
        let query = form::encode(query);
        let path = if query.is_empty() { call.path.clone() } else { format!("{}?{query}", call.path) };
        let token = call.bearer().map(str::to_owned).or_else(|| call.basic().map(|(user, _)| user));
        self.calls.push(Entry {
            n: self.count,
            at: now(),
            method: call.method.to_string(),
            path,
            status: None,
            token: token.as_deref().map(fingerprint),
            idempotency_key: call.headers.contains_key("idempotency-key"),
            headers: headers(&call.headers),
            body_sha256: hex::encode(Sha256::digest(&call.body)),
        });
        self.count
    }

    /// Lists the status of an answer.
    pub(super) fn answered(&mut self, number: u64, status: StatusCode) {
        // Among the latest.
        if let Some(entry) = self.calls.iter_mut().rev().find(|entry| entry.n == number) {
            entry.status = Some(status.as_u16());
        }
    }

    pub(super) fn calls(&self) -> Value {
        serde_json::to_value(&self.calls).unwrap_or_default()
    }

    /// Forgets them.
    pub(super) fn forget(&mut self) {
        self.calls.clear();
    }

    /// How often each fault has struck.
    pub(super) fn struck(&self) -> Value {
        self.faults.iter().map(|fault| json!({ "match": fault.r#match, "struck": fault.struck })).collect()
    }

    /// The fault that a call of this name meets.
    pub(super) fn strike(&mut self, name: &str) -> Option<Effect> {
        self.faults.iter_mut().find_map(|fault| fault.strike(name))
    }

    /// Seconds after which a call of this name may be repeated, if it is one too many.
    pub(super) fn too_many(&mut self, name: &str, now: Instant) -> Option<u64> {
        let limits = self.limits.iter_mut().filter(|limit| name.contains(&limit.r#match));
        limits.filter_map(|limit| limit.take(now)).max()
    }

    /// The change that is due after a page of this name.
    pub(super) fn after_page(&mut self, name: &str) -> Option<Change> {
        let due = self.between.iter().position(|between| name.contains(&between.r#match))?;
        Some(self.between.remove(due).then)
    }
}

impl Fault {
    fn strike(&mut self, name: &str) -> Option<Effect> {
        let forever = if self.chance.is_some() { u32::MAX } else { 1 };
        let times = self.times.get_or_insert(forever);
        let struck = *times > 0 && name.contains(&self.r#match) && self.chance.as_mut().is_none_or(Chance::happens);
        struck.then(|| {
            *times -= 1;
            self.struck += 1;
            self.effect.clone()
        })
    }
}

impl Limit {
    fn take(&mut self, now: Instant) -> Option<u64> {
        let (level, at) = self.level.unwrap_or((self.burst, now));
        let level = (level + now.duration_since(at).as_secs_f64() * self.per_second).min(self.burst);
        let enough = level >= 1.0;
        self.level = Some((if enough { level - 1.0 } else { level }, now));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds: small and positive")]
        let wait = ((1.0 - level) / self.per_second).ceil().clamp(1.0, 86400.0) as u64;
        (!enough).then_some(wait)
    }
}

impl Effect {
    /// Whether it replaces the emulator's answer.
    pub(super) fn replaces(&self) -> bool {
        self.close || self.html || self.status.is_some()
    }

    /// The answer; none if the connection ends.
    pub(super) fn reply(&self) -> Option<Reply> {
        if self.close {
            return None;
        }
        let status = self.status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(if self.html { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR });
        let bytes = self.body_base64.as_ref().and_then(|text| STANDARD.decode(text).ok());
        let reply = match &self.body {
            _ if bytes.is_some() => Reply { body: bytes.unwrap_or_default().into(), ..Reply::empty(status) },
            _ if self.html => Reply::html(status, "<!doctype html><title>Sorry</title><h1>Sorry</h1>\n".to_owned()),
            None => Reply::empty(status),
            Some(body) => match body.as_str() {
                Some(text) => Reply { body: text.to_owned().into(), ..Reply::empty(status) },
                None => Reply::json(status, body),
            },
        };
        Some(self.headers.iter().fold(reply, |reply, (name, value)| reply.with(name, value)))
    }
}

fn headers(all: &HeaderMap) -> BTreeMap<String, String> {
    let shown = all.iter().filter(|(name, _)| **name != header::AUTHORIZATION && **name != header::COOKIE);
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    shown.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fault_by_chance_strikes_about_so_often_and_the_same_calls_with_the_same_seed() {
        let struck = |seed: u64| {
            let fault = json!({ "match": "GET", "effect": { "status": 500 }, "chance": { "of": 0.05, "seed": seed } });
            let mut state =
                AdminState { faults: vec![serde_json::from_value(fault).unwrap()], ..AdminState::default() };
            assert!(state.strike("POST /x").is_none());
            let struck: Vec<_> = (0..1000).filter(|_| state.strike("GET /x").is_some()).collect();
            assert_eq!(state.struck(), json!([{ "match": "GET", "struck": struck.len() }]));
            struck
        };
        let first = struck(1);
        assert!((30..70).contains(&first.len()), "{first:?}");
        assert_eq!(struck(1), first);
        assert_ne!(struck(2), first);
    }

    #[test]
    fn a_limit_lets_its_burst_through_and_then_its_rate() {
        let limit = Limit { r#match: "POST".into(), per_second: 0.5, burst: 2.0, level: None };
        let mut state = AdminState { limits: vec![limit], ..AdminState::default() };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let answers = [0, 0, 0, 1, 2, 2].map(|seconds| state.too_many("POST /x", at(seconds)));
        assert_eq!(answers, [None, None, Some(2), Some(1), None, Some(2)]);
        assert_eq!(state.too_many("GET /x", at(2)), None);
    }
}
