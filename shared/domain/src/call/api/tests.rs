use http::{HeaderName, HeaderValue};

use super::*;
use crate::call::{
    limit::{Applies, CredentialMode},
    rate::Rate,
};

const fn limit(name: &'static str, reasons: &'static [&'static str]) -> Limit {
    let rate = Rate::per_second(1, 1);
    let closes = Duration::from_mins(15);
    Limit {
        name,
        applies: Applies::All,
        partition_by: &[],
        credential_mode: CredentialMode::Any,
        rate,
        costs: &[],
        reasons,
        max_retry_after: closes,
    }
}

const API: Api = Api {
    success_flag: Some(SuccessFlag { pointer: "/ok" }),
    codes: &["/error"],
    classes: &[
        ("ratelimited", Class::RateLimited),
        ("daily", Class::Exhausted(Duration::from_hours(1))),
        ("channel_not_found", Class::Rejected("There is no such channel.")),
    ],
    wait_in_text: Some(("/text", "Retry after ")),
    limited_by: Some("x-reason"),
    quota_headers: Some(QuotaHeaders { remaining: "x-left", reset: "x-reset" }),
    limits: &[limit("narrow", &["endpoint"]), limit("wide", &["global", "daily"])],
    ..Api::new("https://slack.com/api")
};
const NOW: Timestamp = Timestamp::constant(1_795_428_000, 0);

fn reply(status: u16, body: &str, headers: &[(&'static str, &'static str)]) -> Reply {
    let pair =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    Reply { status, headers: headers.iter().map(pair).collect(), body: body.into() }
}

#[test]
fn an_error_inside_a_success_is_an_error() {
    let meaning = |status, body| API.meaning(&reply(status, body, &[]), NOW);
    assert_eq!(meaning(200, r#"{"ok":true}"#), Ok(()));
    assert_eq!(meaning(200, r#"{"ok":false,"error":"ratelimited"}"#), Err(Failure::RateLimited(None)));
    let rejected = Failure::Rejected { words: Some("There is no such channel."), code: "channel_not_found".into() };
    assert_eq!(meaning(200, r#"{"ok":false,"error":"channel_not_found"}"#), Err(rejected));
    assert_eq!(meaning(200, "<html>"), Err(Failure::Unreadable));
    assert_eq!(meaning(503, "<html>"), Err(Failure::Down(None)));
    assert_eq!(meaning(401, ""), Err(Failure::TokenRefused));
    assert_eq!(meaning(304, ""), Ok(()));
    assert!(matches!(meaning(302, ""), Err(Failure::Unusable(_))));
}

#[test]
fn a_part_of_an_upload_that_has_arrived_is_no_redirect() {
    let uploads = Api { uploads: Some("https://a/upload"), ..Api::new("https://a") };
    let meaning = |api: &Api, headers: &[_]| api.meaning(&reply(308, "", headers), NOW);
    assert_eq!(meaning(&uploads, &[("range", "bytes=0-1")]), Ok(()));
    assert!(meaning(&uploads, &[("location", "/b")]).is_err());
    assert!(meaning(&Api::new("https://a"), &[]).is_err());
}

#[test]
fn a_host_for_uploads_alone_has_neither_the_flag_nor_the_limits_of_methods() {
    let api = Api { uploads: Some("https://files.slack.com/upload/v1"), ..API };
    let at = |api: &Api, url: &str| {
        let (id, account) = (ProviderId::of_data("slack"), AccountId::parse("T1").unwrap());
        let api = api.at(url);
        let buckets = api.buckets((&id, &account), &Request::get("x", url), false, &Rates::default());
        (api.meaning(&reply(200, "OK - 3", &[]), NOW).is_ok(), buckets.len())
    };
    assert_eq!(at(&api, "https://files.slack.com/upload/v1/once"), (true, 0));
    assert_eq!(at(&api, "https://slack.com/api/x"), (false, 2));
    let same_host = Api { uploads: Some("https://slack.com/upload"), ..API };
    assert_eq!(at(&same_host, "https://slack.com/upload/x"), (false, 2), "its methods, with files");
}

#[test]
fn a_wait_may_stand_in_a_text_and_a_day_that_is_used_up_is_not_tried_every_second() {
    let limited = |text: &str| {
        let body = serde_json::json!({ "text": text, "ok": false }).to_string();
        API.meaning(&reply(429, &body, &[]), NOW)
    };
    let soon = format!("Limit exceeded.  Retry after {}", NOW + Duration::from_secs(40));
    assert_eq!(limited(&soon), Err(Failure::RateLimited(Some(Duration::from_secs(40)))));
    assert_eq!(limited("Retry after lunch"), Err(Failure::RateLimited(None)));
    let day = API.meaning(&reply(403, r#"{"error":"daily"}"#, &[("retry-after", "5")]), NOW);
    assert_eq!(day, Err(Failure::RateLimited(Some(Duration::from_hours(1)))));
}

#[test]
fn the_limit_that_was_reached_is_closed_and_no_other() {
    let request = Request::get("x", "https://slack.com/api/x");
    let buckets = API.buckets(
        (&ProviderId::of_data("slack"), &AccountId::parse("T1").unwrap()),
        &request,
        false,
        &Rates::default(),
    );
    let closed = |status, body, headers: &[_]| {
        let reply = reply(status, body, headers);
        let failure = API.meaning(&reply, NOW).err();
        let closed = API.closes(&reply, failure.as_ref(), &buckets, NOW);
        closed.map(|(bucket, wait)| (bucket.key.limit().trim_start_matches("slack/").to_owned(), wait.as_secs()))
    };
    let some = |name: &str, seconds| Some((name.to_owned(), seconds));
    assert_eq!(closed(429, "", &[("retry-after", "7")]), some("narrow", 7));
    assert_eq!(closed(429, "", &[("x-reason", "global")]), some("wide", 1));
    assert_eq!(closed(429, "", &[("x-reason", "concurrency")]), None, "waiting does not help there");
    assert_eq!(closed(429, r#"{"error":"daily"}"#, &[]), some("wide", 900), "then a call finds out");
    assert_eq!(closed(429, "", &[("retry-after", "3600")]), None, "no limit by the second asks for that");
    assert_eq!(closed(200, r#"{"ok":true}"#, &[("x-left", "0"), ("x-reset", "30")]), some("narrow", 30));
    assert_eq!(closed(200, r#"{"ok":true}"#, &[("x-left", "0"), ("x-reset", "1795428009")]), some("narrow", 9));
    assert_eq!(closed(200, r#"{"ok":true}"#, &[("x-left", "1"), ("x-reset", "30")]), None);
    assert_eq!(closed(503, "", &[]), None);
}

#[test]
fn a_path_is_relative_to_the_base_or_whole_as_sdks_build_it() {
    let (base, uploads) = ("https://gmail.googleapis.com/gmail/v1", "https://gmail.googleapis.com/upload/gmail/v1");
    let api = Api { uploads: Some(uploads), ..Api::new(base) };
    for (path, expected) in [
        ("users/me/profile", (base, "users/me/profile")),
        ("gmail/v1/users/me/profile", (base, "users/me/profile")),
        ("upload/gmail/v1/users/me/messages/send", (uploads, "users/me/messages/send")),
        ("gmail/v1x/users", (base, "gmail/v1x/users")),
        ("gmail/v1", (base, "gmail/v1")),
        ("upload/drive/v3/files", (base, "upload/drive/v3/files")),
    ] {
        assert_eq!(api.located(path), expected, "{path}");
    }
    let api = Api::new("https://api.stripe.com");
    assert_eq!(api.located("v1/customers"), ("https://api.stripe.com", "v1/customers"));
}
