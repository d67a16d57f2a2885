//! That every provider's limits can be kept, name each call that we make, and keep accounts apart.

use domain::{
    AccountId,
    call::{
        Micros,
        limit::{Applies, Bucket, CredentialMode, Limit, Rates},
        rate::LocalReservation,
    },
};

use super::*;

/// A valid input of every action.
pub(super) const INPUTS: &[(&str, &str, &str)] = &[
    ("slack", "post_message", r#"{"channel":"C1","text":"x"}"#),
    ("slack", "list_channels", "{}"),
    ("stripe", "create_subscription", r#"{"customer":"cus_1","price":"price_1"}"#),
    ("stripe", "cancel_subscription", r#"{"subscription":"sub_1"}"#),
    (
        "google-calendar",
        "list_events",
        r#"{"calendar_id":"c","time_min":"2026-11-01T00:00:00Z","time_max":"2026-12-01T00:00:00Z"}"#,
    ),
    ("gmail", "send_email", r#"{"to":"ada@example.com","subject":"x","body":"x"}"#),
];

/// Provider, method and path, whether the credential is one for testing, and what the call takes from which limits, the
/// narrowest first.
type Taken = (&'static str, &'static str, bool, &'static [(&'static str, u32)]);

const TAKEN: &[Taken] = &[
    ("slack", "POST /conversations.list", false, &[("tier2", 1)]),
    ("slack", "POST /users.list", false, &[("tier2", 1)]),
    ("slack", "POST /auth.revoke", false, &[("tier3", 1)]),
    ("slack", "GET /conversations.history?channel=C1", false, &[("tier3", 1)]),
    ("slack", "GET /auth.test", false, &[("auth_test", 1)]),
    ("slack", "POST /chat.postMessage", false, &[("channel", 1)]),
    ("slack", "GET /users.info?user=U1", false, &[("tier4", 1)]),
    ("slack", "POST /what.nobody.knows", false, &[("tier3", 1)]),
    ("stripe", "GET /v1/account", false, &[("operation", 1), ("account", 1)]),
    ("stripe", "POST /v1/subscriptions/sub_1", false, &[("operation", 1), ("account", 1)]),
    ("stripe", "POST /v1/subscriptions/sub_1", true, &[("test", 1)]),
    ("google-calendar", "GET /calendars/primary", false, &[("user", 1), ("project", 1)]),
    ("google-calendar", "POST /channels/stop", false, &[("user", 1), ("project", 1)]),
    ("gmail", "GET /users/me/profile", false, &[("user", 1), ("project", 1)]),
    ("gmail", "GET /users/me/history?startHistoryId=1", false, &[("user", 2), ("project", 2)]),
    ("gmail", "GET /users/me/messages?maxResults=100", false, &[("user", 5), ("project", 5)]),
    ("gmail", "GET /users/me/messages/m1?format=metadata", false, &[("user", 20), ("project", 20)]),
    ("gmail", "GET /users/me/messages/m1/attachments/a1", false, &[("user", 20), ("project", 20)]),
    ("gmail", "POST /users/me/messages/m1/trash", false, &[("user", 20), ("project", 20)]),
    ("gmail", "POST /users/me/messages", false, &[("user", 25), ("project", 25)]),
    ("gmail", "POST /users/me/messages/import", false, &[("user", 25), ("project", 25)]),
    ("gmail", "POST /users/me/messages/send", false, &[("user", 100), ("project", 100)]),
    ("gmail", "POST /users/me/drafts/send", false, &[("user", 100), ("project", 100)]),
    ("gmail", "POST /users/me/messages/batchModify", false, &[("user", 50), ("project", 50)]),
    ("gmail", "POST /users/me/messages/batchDelete", false, &[("user", 50), ("project", 50)]),
    ("gmail", "POST /users/me/watch", false, &[("user", 100), ("project", 100)]),
    ("gmail", "POST /users/me/stop", false, &[("user", 50), ("project", 50)]),
    ("gmail", "GET /users/me/threads/t1", false, &[("user", 40), ("project", 40)]),
    ("gmail", "GET /users/me/labels", false, &[("user", 1), ("project", 1)]),
    ("gmail", "GET /users/me/labels/l1", false, &[("user", 1), ("project", 1)]),
    ("gmail", "POST /users/me/labels", false, &[("user", 5), ("project", 5)]),
];

/// Provider, whether the credential is one for testing, header, body: the limit that the answer closes, and for how
/// many seconds.
type Closed = (&'static str, bool, &'static str, &'static str, Option<(&'static str, u64)>);

const CLOSED: &[Closed] = &[
    ("slack", false, "retry-after: 30", r#"{"ok":false,"error":"ratelimited"}"#, Some(("tier3", 30))),
    ("slack", false, "retry-after: 86400", r#"{"ok":false,"error":"ratelimited"}"#, None),
    ("stripe", false, "stripe-rate-limited-reason: endpoint-rate", RATE, Some(("operation", 1))),
    ("stripe", false, "stripe-rate-limited-reason: global-rate", RATE, Some(("account", 1))),
    ("stripe", true, "stripe-rate-limited-reason: endpoint-rate", RATE, Some(("test", 1))),
    ("stripe", true, "stripe-rate-limited-reason: global-rate", RATE, Some(("test", 1))),
    // Waiting does not help against what is limited at the same time, or of one object.
    ("stripe", false, "stripe-rate-limited-reason: endpoint-concurrency", RATE, None),
    ("stripe", false, "stripe-rate-limited-reason: global-concurrency", RATE, None),
    ("stripe", false, "stripe-rate-limited-reason: resource-specific", RATE, None),
    ("stripe", false, "", r#"{"error":{"type":"invalid_request_error","code":"lock_timeout"}}"#, None),
    ("google-calendar", false, "", r#"{"error":{"errors":[{"reason":"rateLimitExceeded"}]}}"#, Some(("user", 1))),
    ("google-calendar", false, "", r#"{"error":{"errors":[{"reason":"userRateLimitExceeded"}]}}"#, Some(("user", 1))),
    // Of invitations, for hours: reading goes on.
    ("google-calendar", false, "", r#"{"error":{"errors":[{"reason":"quotaExceeded"}]}}"#, None),
    ("gmail", false, "", r#"{"error":{"errors":[{"reason":"quotaExceeded"}]}}"#, None),
    // Of sending: the mailbox can be read all the same.
    (
        "gmail",
        false,
        "",
        r#"{"error":{"errors":[{"reason":"rateLimitExceeded"}],"message":"Retry after 2026-11-23T15:30:00Z (Mail sending)"}}"#,
        None,
    ),
    ("google-calendar", false, "", r#"{"error":{"errors":[{"reason":"dailyLimitExceeded"}]}}"#, Some(("project", 900))),
    ("gmail", false, "", r#"{"error":{"errors":[{"reason":"rateLimitExceeded"}]}}"#, Some(("user", 1))),
    ("gmail", false, "", r#"{"error":{"errors":[{"reason":"dailyLimitExceeded"}]}}"#, Some(("project", 900))),
    ("gmail", false, "", r#"{"error":{"message":"Retry after 2026-11-23T10:00:09Z"}}"#, Some(("user", 9))),
];

const RATE: &str = r#"{"error":{"type":"invalid_request_error","code":"rate_limit"}}"#;

fn limits() -> impl Iterator<Item = (&'static Spec, &'static Limit)> {
    REGISTRY.iter().map(Provider::spec).flat_map(|spec| spec.api.limits.iter().map(move |limit| (spec, limit)))
}

fn call(spec: &Spec, method_and_path: &str) -> Request {
    let (method, path) = method_and_path.split_once(' ').unwrap();
    let url = format!("{}{path}", spec.api.base);
    if method == "GET" { Request::get("x", url) } else { Request::post("x", url) }
}

fn buckets(spec: &Spec, account: &str, request: &Request, test: bool) -> Vec<Bucket> {
    spec.api.buckets((&spec.id, &AccountId::parse(account).unwrap()), request, test, &Rates::default())
}

/// The limit that a bucket is of.
fn name(bucket: &Bucket) -> &str {
    bucket.key.limit().split_once('/').unwrap().1
}

/// Every call that we make of our own accord.
fn calls(provider: &dyn Provider) -> Vec<Request> {
    let spec = provider.spec();
    let mut calls = Vec::new();
    for stream in spec.streams {
        let cursors = [json!({"since": NOW.as_second() - 1}), json!({"calendars": {}}), json!({"history_id": "1"})];
        let begun = cursors.iter().map(Some).chain([None]).filter_map(|it| provider.begin(stream.name, it, NOW));
        calls.extend(begun.map(|position| provider.page_request(stream.name, &position).unwrap()));
    }
    if let AccountSource::Get(path) = spec.identity.place {
        calls.push(spec.get(path, ""));
    }
    calls.extend(spec.identity.service.iter().map(|service| spec.get(service.path, "")));
    for action in spec.actions {
        let input = INPUTS.iter().find(|(id, name, _)| spec.id == *id && name == action);
        let (_, _, input) = input.unwrap_or_else(|| panic!("{} {action} has no input here", spec.id));
        calls.push(provider.action(action, &serde_json::from_str(input).unwrap(), &"user-1".parse().unwrap()).unwrap());
    }
    let (resource, channel_id, address, token) = ("r", "ch_1", "https://intertie.example/", "t");
    let plan = WatchPlan { resource, channel_id, address, token, topic: Some("t"), expires_at: NOW };
    calls.extend(provider.watch(&plan));
    let watch = Watch {
        resource: "r".to_owned(),
        channel_id: "c".to_owned(),
        expires_at: NOW,
        handle: json!({"resource_id": "x"}),
    };
    calls.extend(provider.unwatch(&watch));
    calls
}

#[test]
fn names_are_unique_and_can_be_set_by_a_deployment() {
    let mut seen = HashSet::new();
    for (spec, limit) in limits() {
        assert!(seen.insert((&spec.id, limit.name)), "{} has {} twice", spec.id, limit.name);
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        assert!(!limit.name.is_empty() && limit.name.bytes().all(legal), "{}/{}", spec.id, limit.name);
        let set = format!("{}/{}=7/s:3", spec.id, limit.name);
        assert_eq!(Rates::parse(&set).unwrap().unknown(|name| REGISTRY.has_limit(name)), [""; 0], "{set}");
    }
    assert!(!REGISTRY.has_limit("slack/tier9") && !REGISTRY.has_limit("slack") && !REGISTRY.has_limit("tier2"));
}

#[test]
fn every_rate_can_be_kept_and_every_call_can_go_at_once_after_a_pause() {
    for (spec, limit) in limits() {
        let name = format!("{}/{}", spec.id, limit.name);
        assert!(limit.rate.is_usable(), "{name}");
        // How far an idle bucket's TAT is behind the clock is what goes out at once: half the burst.
        let idle = LocalReservation::default().reservation(limit.rate, 1, Micros::default(), std::time::Duration::ZERO);
        let at_once = 1 - idle.floor.get() / limit.rate.interval().get();
        for (pattern, cost) in limit.costs.iter().chain(&[("/**", 1)]) {
            assert!(*cost > 0 && i64::from(*cost) <= at_once, "{name}: {pattern} costs {cost} of {at_once}");
        }
    }
}

#[test]
fn every_pattern_is_a_path_and_none_hides_behind_an_earlier_one() {
    const METHODS: &[&str] = &["DELETE", "GET", "PATCH", "POST", "PUT"];
    for (spec, limit) in limits() {
        let named = if let Applies::Of(patterns) = limit.applies { patterns } else { &[] };
        for pattern in limit.costs.iter().map(|(pattern, _)| pattern).chain(named) {
            let (method, path) = pattern.split_once(' ').unwrap_or(("GET", pattern));
            assert!(path.starts_with('/') && !path.contains(['?', '#', ' ']), "{}: {pattern}", spec.id);
            assert!(METHODS.contains(&method), "{}: {pattern}", spec.id);
            assert!(!path.trim_end_matches("/**").contains("**"), "{}: {pattern} has its rest in the middle", spec.id);
        }
        for (pattern, cost) in limit.costs {
            let (method, path) = pattern.split_once(' ').unwrap_or(("PUT", pattern));
            // A call that is as the pattern says, and no more.
            let url = format!("{}{}", spec.api.base, path.replace("**", "x").replace('*', "x"));
            let request = Request { method: method.parse().unwrap(), ..Request::get("x", url) };
            let taken = buckets(spec, "A1", &request, limit.credential_mode == CredentialMode::Test);
            let taken = taken.iter().find(|bucket| name(bucket) == limit.name).map(|bucket| bucket.cost);
            assert_eq!(taken, Some(*cost), "{}/{}: {pattern}", spec.id, limit.name);
        }
    }
}

#[test]
fn a_reason_names_one_limit_of_a_credential() {
    for spec in REGISTRY.iter().map(Provider::spec) {
        for other in [CredentialMode::Live, CredentialMode::Test] {
            let mut seen = HashSet::new();
            for limit in spec.api.limits.iter().filter(|limit| limit.credential_mode != other) {
                for reason in limit.reasons {
                    assert!(seen.insert(reason), "{}: {reason} names {} and another one", spec.id, limit.name);
                }
            }
        }
    }
}

#[test]
fn every_call_that_we_make_falls_under_a_limit_and_accounts_share_no_narrowest_one() {
    for provider in REGISTRY.iter() {
        let spec = provider.spec();
        for request in calls(provider) {
            for test in [false, true] {
                let (one, other) = (buckets(spec, "A1", &request, test), buckets(spec, "A2", &request, test));
                assert!(!one.is_empty(), "{} {} is not limited", spec.id, request.endpoint);
                assert_ne!(one[0].key, other[0].key, "{} {}", spec.id, request.endpoint);
                assert!(one.iter().all(|it| it.key.as_str().starts_with(&format!("{}/", spec.id))), "{one:?}");
            }
        }
        let elsewhere = Request::get("x", "https://evil.example/v1/account");
        assert!(buckets(spec, "A1", &elsewhere, false).is_empty(), "{}", spec.id);
    }
}

#[test]
fn a_call_takes_what_the_documentation_says_from_the_limits_it_names() {
    for (id, request, test, expected) in TAKEN {
        let spec = REGISTRY.find(id).unwrap().spec();
        let taken = buckets(spec, "A1", &call(spec, request), *test);
        let taken: Vec<_> = taken.iter().map(|it| (name(it), it.cost)).collect();
        assert_eq!(taken, *expected, "{id} {request}");
    }
}

#[test]
fn an_answer_closes_the_limit_that_it_names_and_no_other() {
    for (id, test, header, body, expected) in CLOSED {
        let spec = REGISTRY.find(id).unwrap().spec();
        let buckets = buckets(spec, "A1", &call(spec, "GET /x"), *test);
        let mut reply = Reply { status: 429, body: (*body).into(), ..Reply::default() };
        if let Some((name, value)) = header.split_once(": ") {
            reply.headers.insert(name, value.parse().unwrap());
        }
        let failure = spec.api.meaning(&reply, NOW).unwrap_err();
        let closed = spec.api.closes(&reply, Some(&failure), &buckets, NOW);
        assert_eq!(closed.map(|(bucket, wait)| (name(bucket), wait.as_secs())), *expected, "{id} {header} {body}");
    }
}

#[test]
fn keys_for_testing_spend_nothing_of_those_in_use() {
    let stripe = REGISTRY.find("stripe").unwrap().spec();
    for (key, test) in [("sk_test_1", true), ("rk_test_1", true), ("sk_live_1", false), ("rk_live_1", false)] {
        assert_eq!(stripe.api.is_test(key), test, "{key}");
    }
    let request = call(stripe, "POST /v1/subscriptions");
    let keys = |test| buckets(stripe, "acct_1", &request, test).into_iter().map(|it| it.key).collect::<HashSet<_>>();
    assert!(keys(true).is_disjoint(&keys(false)));
}
