//! What providers answer: errors, waits, tokens, pages, watches and actions of all of them.
//!
//! An input is a status, header lines, an empty line, and bodies with `---` lines between them, which are the answers one
//! after the other, over and over.

#![no_main]

use std::time::Duration;

use domain::{AccountId, Reply, Request, call::{Idempotent, retry::{FailedCall, MAX_PAUSE}, retry_after, limit::Rates}};
use fuzz::{NOW, headers, parts, split};
use libfuzzer_sys::fuzz_target;
use providers::{Next, Provider, Step, WatchPlan};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

/// The longest wait that is believed, and the longest life of a token.
const DAY: Duration = Duration::from_hours(24);
const TEN_YEARS: Duration = Duration::from_hours(24 * 366 * 10);
/// More pages of one list than any action reads.
const MANY: usize = 32;

fn replies(input: &[u8]) -> Vec<Reply> {
    let (lines, mut rest) = split(input);
    let (status, lines) = lines.split_first().map_or((&b""[..], &[][..]), |(first, rest)| (*first, rest));
    let status = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let headers = headers(lines.iter().copied());
    let mut replies = Vec::new();
    while replies.is_empty() || (!rest.is_empty() && replies.len() < 8) {
        let (body, more) = parts(rest, b"\n---\n");
        replies.push(Reply { status, headers: headers.clone(), body: body.to_vec() });
        rest = more;
    }
    replies
}

/// A call stays under the provider's base, and leads where it seems to.
fn check(provider: &dyn Provider, request: &Request) {
    let base = provider.spec().api.base;
    let rest = request.url.strip_prefix(base);
    assert!(rest.is_some_and(|rest| rest.starts_with('/')), "{} is not under {base}", request.url);
    assert_eq!(Url::parse(&request.url).unwrap().as_str(), request.url, "the HTTP client calls another address");
}

fn meaning(provider: &dyn Provider, reply: &Reply) {
    assert!(retry_after(reply, NOW).is_none_or(|wait| wait <= DAY));
    let spec = provider.spec();
    let failure = spec.api.meaning(reply, NOW).err();
    for stream in spec.streams {
        let start = provider.begin(stream.name, None, NOW).unwrap();
        let request = provider.page_request(stream.name, &start).unwrap();
        let buckets = spec.api.buckets((&spec.id, &AccountId::parse("a").unwrap()), &request, false, &Rates::default());
        if let Some((bucket, wait)) = spec.api.closes(reply, failure.as_ref(), &buckets, NOW) {
            assert!(wait <= bucket.closes, "closed for {wait:?}");
        }
    }
    let Some(failure) = failure else { return };
    assert!(failure.wait().is_none_or(|wait| wait <= DAY), "{failure:?}");
    let problem = failure.problem(spec.name, NOW);
    assert!(problem.message.ends_with('.') && problem.retry_at.is_none_or(|at| at <= NOW + DAY), "{problem:?}");
    assert!(failure.operator(spec.name).ends_with('.'));
    let retry_hint = spec.api.retry_hint(reply);
    let attempt = FailedCall { number: 1, failure: &failure, retry_hint, idempotent: Idempotent::Yes };
    assert!(attempt.next(1.0).is_none_or(|pause| pause <= MAX_PAUSE));
}

fn tokens(provider: &dyn Provider, reply: &Reply) {
    let Some(oauth) = provider.spec().auth.oauth() else { return };
    let _ = oauth.answered(reply, NOW);
    let all = oauth.read(reply).map(|(all, _)| all).unwrap_or_default();
    for issued in all.into_iter().chain(oauth.read_refreshed(&oauth.access.name, reply)) {
        let texts = [Some(&issued.access), issued.refresh.as_ref()];
        for token in texts.into_iter().flatten().map(SecretString::expose_secret) {
            assert!(!token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()), "{token:?} is no header's value");
        }
        assert!(issued.life.is_none_or(|life| life <= TEN_YEARS), "{:?}", issued.life);
    }
}

/// A run over a stream, wherever the answers lead.
fn run(provider: &dyn Provider, stream: &str, cursor: Option<&Value>, replies: &[Reply]) -> Option<Value> {
    let mut position = provider.begin(stream, cursor, NOW)?;
    for reply in replies.iter().cycle().take(2 * replies.len() + 2) {
        check(provider, &provider.page_request(stream, &position).unwrap());
        let _ = provider.about(stream, &position);
        let page = provider.page(stream, &position, reply, NOW).ok()?;
        for (request, change) in &page.details {
            check(provider, request);
            assert!(change.is_deleted());
        }
        for reply in replies {
            let _ = provider.detail(stream, reply, NOW);
        }
        let mut keys: Vec<_> = page.changes.iter().map(domain::Change::key).collect();
        keys.sort_unstable();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "two states of one object on a page");
        match page.next {
            Next::Page(next) => {
                assert_ne!(next, position, "a page that follows itself");
                position = next;
            }
            Next::Done(cursor) => return Some(cursor),
        }
    }
    None
}

fn watches(provider: &dyn Provider, cursor: &Value, reply: &Reply) {
    for resource in provider.watched(cursor) {
        let plan = WatchPlan {
            resource: &resource,
            channel_id: "c1",
            address: "https://intertie.example/webhooks/x",
            token: "t",
            topic: Some("projects/p/topics/t"),
            expires_at: NOW + DAY,
        };
        if let Some(request) = provider.watch(&plan) {
            check(provider, &request);
        }
        if let Ok(watch) = provider.watch_started(&plan, reply)
            && let Some(request) = provider.unwatch(&watch)
        {
            check(provider, &request);
        }
    }
}

fn act(provider: &dyn Provider, action: &str, input: &Value, replies: &[Reply]) {
    let Ok(request) = provider.action(action, input, &"ada".parse().unwrap()) else { return };
    check(provider, &request);
    let mut gathered = Value::Null;
    for reply in replies.iter().cycle().take(MANY) {
        match provider.action_step(action, input, &mut gathered, reply) {
            Ok(Step::Call(request)) => check(provider, &request),
            Ok(Step::Done(_)) | Err(_) => return,
        }
    }
    panic!("{action} never ends");
}

fuzz_target!(|input: &[u8]| {
    let replies = replies(input);
    let usual = json!({"channel": "C1", "text": "x", "customer": "cus_1", "price": "price_1", "subscription": "sub_1",
        "calendar_id": "primary", "time_min": "2026-11-23T10:00:00Z", "time_max": "2026-11-24T10:00:00Z",
        "to": "ada@example.com", "subject": "x", "body": "y"});
    let given: Option<Value> = serde_json::from_slice(&replies[0].body).ok();
    for provider in providers::REGISTRY.iter() {
        for reply in &replies {
            meaning(provider, reply);
            tokens(provider, reply);
        }
        let spec = provider.spec();
        for stream in spec.streams {
            let cursor = run(provider, stream.name, None, &replies);
            if let Some(cursor) = cursor.filter(|_| stream.incremental) {
                watches(provider, &cursor, &replies[0]);
                run(provider, stream.name, Some(&cursor), &replies);
            }
        }
        for action in spec.actions {
            for input in given.iter().chain([&usual]) {
                act(provider, action, input, &replies);
            }
        }
    }
});
