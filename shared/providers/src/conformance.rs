//! What every registered provider must hold to.

mod actions;
mod answers;
mod errors;
mod limits;

use std::{borrow::Cow, collections::HashSet};

use domain::{Proof, Reply, Request, call::Class};
use jiff::Timestamp;
use serde_json::{Value, json, value::RawValue};

use self::answers::{HOSTILE, leading, nonsense, reply};
use super::*;

const NOW: Timestamp = Timestamp::constant(1_795_428_000, 0);

/// A call goes to the provider's API, and its name holds no id.
fn check(provider: &dyn Provider, request: &Request) {
    let base = provider.spec().api.base;
    let url = request.url.strip_prefix(base).unwrap_or_else(|| panic!("{} is not under {base}", request.url));
    let path = url.split('?').next().unwrap_or_default();
    assert!(base.starts_with("https://") && path.starts_with('/'), "{}", request.url);
    let legal = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-%".contains(&b))
    };
    assert!(path.split('/').skip(1).all(legal), "{}", request.url);
    assert!(request.url.bytes().all(|b| b.is_ascii_graphic() && b != b'#'), "{}", request.url);
    let Cow::Borrowed(endpoint) = request.endpoint else { panic!("{} is not a template", request.endpoint) };
    assert!(
        endpoint.starts_with('/') && endpoint.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._{}".contains(&b)),
        "{endpoint}"
    );
}

/// Goes through the lists of tags, wherever answers lead, and checks each call on the way. Returns how many positions there were.
fn explore_tags(provider: &dyn Provider, stream: &str) -> usize {
    let (mut seen, mut open) = (HashSet::new(), vec![Value::Null]);
    let answers: Vec<_> = HOSTILE.iter().flat_map(|mark| leading(mark)).collect();
    while let Some(position) = open.pop() {
        if seen.len() == 200 || !seen.insert(position.to_string()) {
            continue;
        }
        check(provider, &provider.tags_request(stream, &position).unwrap());
        let pages = answers.iter().filter_map(|answer| provider.tags_page(stream, &position, answer).ok());
        open.extend(pages.filter_map(|page| page.next));
        for answer in nonsense() {
            let ids = provider.tags_page(stream, &position, &answer).map(|page| page.ids).unwrap_or_default();
            assert!(ids.is_empty(), "{} {stream} took {:?}", provider.spec().id, answer.body);
        }
    }
    seen.len()
}

/// Goes wherever answers lead, and checks each call on the way. Returns how many positions there were.
fn explore(provider: &dyn Provider, stream: &str) -> usize {
    let mut seen = HashSet::new();
    let mut open = vec![provider.begin(stream, None, NOW).expect("a run without a cursor always begins")];
    let cursors = [json!({"since": NOW.as_second() - 1}), json!({"calendars": {}}), json!({"history_id": "1"})];
    open.extend(cursors.iter().filter_map(|cursor| provider.begin(stream, Some(cursor), NOW)));
    let answers: Vec<_> = HOSTILE.iter().flat_map(|mark| leading(mark)).collect();
    while let Some(position) = open.pop() {
        if seen.len() == 200 || !seen.insert(position.to_string()) {
            continue;
        }
        check(provider, &provider.page_request(stream, &position).unwrap());
        for page in answers.iter().filter_map(|answer| provider.page(stream, &position, answer, NOW).ok()) {
            for (request, gone) in &page.details {
                check(provider, request);
                // What is left of a page for later is asked for by its id.
                let (again, _) = provider.again(stream, gone.key().id(), NOW).expect("a call for an object by its id");
                assert_eq!(again.url, request.url);
            }
            assert!(page.changes.iter().all(|change| change.key().stream() == stream));
            match page.next {
                Next::Page(next) => open.push(next),
                Next::Done(cursor) => drop(provider.watched(&cursor)),
            }
        }
        for answer in nonsense() {
            if let Ok(page) = provider.page(stream, &position, &answer, NOW) {
                assert!(
                    page.changes.is_empty() && page.details.is_empty(),
                    "{} {stream} took {:?}",
                    provider.spec().id,
                    answer.body
                );
            }
        }
        provider.about(stream, &position);
    }
    seen.len()
}

#[test]
fn ids_are_unique_and_fit_into_urls_and_keys() {
    let mut seen = HashSet::new();
    for id in REGISTRY.ids() {
        assert!(seen.insert(id), "{id} is registered twice");
        assert!(id.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{id}");
        assert_eq!(&REGISTRY.find(id).unwrap().spec().id, id);
    }
    assert!(REGISTRY.find("../slack").is_none());
    assert!(REGISTRY.find("").is_none());
}

#[test]
fn scopes_are_named_once_and_known_ones_say_what_they_allow() {
    for spec in REGISTRY.iter().map(Provider::spec) {
        let Some(oauth) = spec.auth.oauth() else { continue };
        let all: Vec<_> = oauth.scopes.iter().chain(oauth.further_scopes).copied().collect();
        let once: HashSet<_> = all.iter().collect();
        assert_eq!(once.len(), all.len(), "{}: a scope is listed twice", spec.id);
        for scope in all {
            // What separates scopes in `?scopes=` and in the provider's own lists.
            let plain = scope.bytes().all(|b| b.is_ascii_graphic() && b != b',');
            assert!(plain && oauth.scope(scope) == Some(scope), "{}: {scope}", spec.id);
        }
        assert!(oauth.scopes.iter().any(|scope| oauth.allowed_by(scope) != *scope), "{}: no words", spec.id);
    }
}

#[test]
fn what_integrations_share_is_read_whole_and_not_with_a_key_of_a_user() {
    for spec in REGISTRY.iter().map(Provider::spec) {
        for stream in spec.streams.iter().filter(|stream| stream.shared_by.is_some()) {
            assert!(spec.auth.oauth().is_some() && !stream.incremental, "{} {}", spec.id, stream.name);
            assert!(spec.watching.as_ref().is_none_or(|it| it.stream != stream.name), "{} {}", spec.id, stream.name);
        }
    }
}

#[test]
fn header_names_are_lower_case_and_every_scheme_signs_the_body() {
    for proof in REGISTRY.iter().filter_map(|provider| provider.spec().webhook.as_ref()) {
        let Proof::Signature(scheme) = proof else { continue };
        assert_eq!(scheme.header, scheme.header.to_lowercase());
        assert!(scheme.content.contains(&domain::webhook::signature::SignedPart::Body));
    }
}

#[test]
fn hostile_bodies_are_not_events_and_never_panic() {
    for provider in REGISTRY.iter() {
        for body in ["null", "[]", "{}", "1e999999", "\"\"", "{\"id\":1}", "{\"id\":{\"id\":[]},\"type\":null}"] {
            let raw: &RawValue = serde_json::from_str(body).unwrap();
            assert!(provider.event(raw, Timestamp::UNIX_EPOCH).is_err(), "{} took {body}", provider.spec().id);
        }
    }
}

#[test]
fn wherever_answers_lead_calls_stay_within_the_providers_api() {
    for provider in REGISTRY.iter() {
        for stream in provider.spec().streams {
            let positions = explore(provider, stream.name);
            assert!(positions > HOSTILE.len() / 2, "{} {}: {positions}", provider.spec().id, stream.name);
            if stream.skips_known {
                let positions = explore_tags(provider, stream.name);
                assert!(positions > HOSTILE.len() / 2, "{} {}: {positions}", provider.spec().id, stream.name);
            }
        }
    }
}

#[test]
fn positions_and_cursors_of_another_shape_never_panic() {
    let strange = [
        json!(null),
        json!([]),
        json!(1),
        json!("x"),
        json!({"cursor": 1}),
        json!({"since": i64::MIN, "started": i64::MIN}),
    ];
    for (provider, stream) in REGISTRY.iter().flat_map(|it| it.spec().streams.iter().map(move |stream| (it, stream))) {
        for position in &strange {
            drop(provider.page_request(stream.name, position));
            drop(provider.begin(stream.name, Some(position), NOW));
            provider.about(stream.name, position);
            drop(provider.again(stream.name, "x", NOW));
            provider.watched(position);
            for answer in nonsense().iter().chain(&leading("x")) {
                drop(provider.page(stream.name, position, answer, NOW));
                drop(provider.detail(stream.name, answer, NOW));
            }
        }
    }
}

#[test]
fn watches_stay_within_the_providers_api_and_end_when_planned() {
    for provider in REGISTRY.iter().filter(|provider| provider.spec().watching.is_some()) {
        let spec = provider.spec();
        let watched = spec.watching.as_ref().map(|it| it.stream);
        assert!(spec.streams.iter().any(|stream| Some(stream.name) == watched), "{}", spec.id);
        for resource in HOSTILE {
            let (channel_id, address, token) = ("ch_1", "https://intertie.example/", "t");
            let plan =
                WatchPlan { resource, channel_id, address, token, topic: Some("projects/p/topics/t"), expires_at: NOW };
            check(provider, &provider.watch(&plan).expect("a watch"));
            for started in nonsense().iter().filter_map(|answer| provider.watch_started(&plan, answer).ok()) {
                assert!(started.resource == *resource && started.expires_at <= NOW, "{}: {started:?}", spec.id);
            }
            let handle = Value::Null;
            let watch = Watch {
                resource: plan.resource.to_owned(),
                channel_id: channel_id.to_owned(),
                expires_at: NOW,
                handle,
            };
            check(provider, &provider.unwatch(&watch).expect("a way to stop it"));
        }
    }
}

#[test]
fn what_is_declared_can_be_asked_for() {
    for spec in REGISTRY.iter().map(Provider::spec) {
        // Without incremental runs nothing would tell of a change in what full runs skip.
        assert!(spec.streams.iter().all(|stream| stream.incremental || !stream.skips_known), "{}", spec.id);
        assert!(!spec.api.base.ends_with('/'), "{}", spec.id);
        if let AccountSource::Get(path) = spec.identity.place {
            assert!(path.starts_with('/'), "{}", spec.id);
        }
        if let Some(service) = &spec.identity.service {
            assert!(service.path.starts_with('/') && service.name.starts_with('/'), "{}", spec.id);
        }
        if let Some(oauth) = spec.auth.oauth() {
            for scope in oauth.scopes {
                assert_ne!(oauth.allowed_by(scope), *scope, "{}: {scope} has no words", spec.id);
            }
            let revoke = oauth.revoke.map(|revoke| revoke.url);
            assert!(
                [Some(oauth.authorize), Some(oauth.token), revoke]
                    .iter()
                    .flatten()
                    .all(|url| url.starts_with("https://"))
            );
        }
    }
}

#[test]
fn every_code_means_one_thing_and_its_words_are_sentences() {
    for spec in REGISTRY.iter().map(Provider::spec) {
        let mut seen = HashSet::new();
        for (code, class) in spec.api.classes {
            assert!(seen.insert(code), "{}: {code} stands twice", spec.id);
            if let Class::Rejected(words) = class {
                assert!(words.ends_with('.') && !words.contains(code), "{}: {words}", spec.id);
            }
        }
    }
}

#[test]
fn questions_and_accounts_in_strange_bodies_are_none() {
    for provider in REGISTRY.iter() {
        for body in ["", "null", "[]", "{}", "{\"team_id\":1,\"account\":{},\"message\":[]}", &"[".repeat(100_000)] {
            assert_eq!((provider.handshake(body), provider.account(body)), (None, None), "{}", provider.spec().id);
        }
    }
}
