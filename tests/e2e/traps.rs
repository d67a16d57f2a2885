//! The mistakes that integrations are usually made with, each with what proves that it is not made here.
//!
//! - Two deliveries at once both run: `it::claims::of_many_claimants_at_once_exactly_one_wins`, `chaos`.
//! - A failed or crashed first attempt counts as processed:
//!   `it::claims::a_failed_or_dead_event_can_be_claimed_again_and_a_finished_one_cannot`, `crashes`.
//! - Attempts are not counted: `it::claims::a_claim_after_a_crash_between_effect_and_completion_does_not_apply_again`, `crashes`.
//! - An acknowledgement before the queue has it: `webhooks::a_2xx_is_given_only_when_the_queue_has_it`.
//! - Signatures of unequal length break the comparison, the time is not signed, one candidate only: `domain::webhook::signature::tests`,
//!   `webhooks::forged_stale_and_malformed_signatures_are_refused_and_nothing_is_queued`.
//! - `Retry-After` as a date, as nonsense or as years: here, and
//!   `domain::call::retry::retry_after_as_seconds_date_nonsense_negative_and_ten_years`.
//! - A rotated refresh token is dropped, refreshes race:
//!   `refresh::twenty_calls_with_an_expired_token_make_one_refresh_and_all_succeed`, `refresh_crashes`.
//! - An `ok: false` inside a success is a token or a result: `callback::answers`, `refresh`,
//!   `providers::slack::actions::a_message_that_slack_refuses_inside_a_success_is_a_failure`.
//! - A 401 is refreshed and repeated for ever, what may pass is not tried again, a POST is repeated: here.
//! - The state is stored open, compared loosely, never expires, without PKCE: `callback`,
//!   `domain::oauth::grant::a_verifier_follows_from_state_and_secret_and_meets_the_standard`.
//! - Lists are read without pages, sync tokens and 410, the next cursor is the time of the end:
//!   `syncs::changes_made_while_a_sync_runs_are_not_missed_and_calendars_are_read_to_their_end`, `providers::google_calendar::pages`.
//! - A fan-out sends one message at a time: here.
//! - The token endpoint is sent JSON: the sandbox refuses it, so every test that connects proves it; see
//!   `local_sandbox::google::calendar::a_client_must_authenticate_with_a_form`.
//! - An absent `expires_in` becomes no number: `domain::oauth::grant::hostile_answers_give_no_token_and_an_absent_life_is_no_number`.
//! - Calendar's resource is taken for an event:
//!   `providers::google_calendar::event::a_push_is_named_by_channel_and_number_never_by_the_resource`.
//! - An idle service has an error rate of 0/0: `domain::integration::status::a_service_without_calls_is_idle_and_has_no_rate`, `front`.
//! - Mail fields begin other headers: `shared/providers/tests/mail.rs`, `providers::gmail::mail`, and `tests/mail`, where Python
//!   reads the same messages.
//! - A limit on calls is kept in the memory of one instance: `pace`, `it::pace`, `domain::call::rate`.

use std::time::{Duration, Instant};

use http::Method;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use local_aws::Service;
use platform::{Aws, aws::Patience, stores::integrations::Integrations};
use serde_json::{Value, json};
use tests::{FAST, Guest, integration, stack};

const POST_MESSAGE: &str = "POST /api/chat.postMessage";

/// Posts a message to Slack: status, answer, and how often Slack was called and has the message.
async fn post(ada: &Guest<'_>) -> (u16, Value, [usize; 2]) {
    post_to(ada, "C0GENERAL01").await
}

async fn post_to(ada: &Guest<'_>, channel: &str) -> (u16, Value, [usize; 2]) {
    let seen = async || {
        let messages = ada.admin("slack", Method::GET, "messages", &Value::Null).await;
        [ada.calls("slack", POST_MESSAGE).await, messages.as_array().unwrap().len()]
    };
    let before = seen().await;
    let input = json!({ "channel": channel, "text": "Hello" });
    let (status, body) = ada.api(Method::POST, "/actions/slack/post_message", &input).await;
    let after = seen().await;
    (status, body, [after[0] - before[0], after[1] - before[1]])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_is_waited_for_as_seconds_or_date_and_nonsense_never_hammers() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect("slack").await;
    let limited = |after: Option<&str>| {
        let headers = after.map_or(json!({}), |after| json!({ "retry-after": after }));
        json!({ "status": 429, "headers": headers, "body": { "ok": false, "error": "ratelimited" } })
    };
    // A date counts whole seconds.
    let at = Timestamp::from_second(platform::base::clock::now().as_second() + 3).unwrap();
    let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap();
    ada.fault("slack", POST_MESSAGE, 1, limited(Some(&date))).await;
    let (status, body, seen) = post(&ada).await;
    assert_eq!((status, seen), (200, [2, 1]), "{body}");
    assert!(platform::base::clock::now() >= at, "not waited for until {date}");

    for nonsense in [None, Some("NaN"), Some("-5")] {
        let start = Instant::now();
        ada.fault("slack", POST_MESSAGE, 20, limited(nonsense)).await;
        let (status, body, seen) = post(&ada).await;
        assert_eq!((status, &body["error"]["kind"]), (429, &json!("rate_limited")), "{nonsense:?}: {body}");
        assert!(seen[0] <= 4 && seen[1] == 0, "{nonsense:?}: called {} × within {:?}", seen[0], start.elapsed());
        ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
    }

    let long = ["120", "315360000", "99999999999999999999", "Fri, 01 Jan 2100 00:00:00 GMT"];
    for (number, long) in long.into_iter().enumerate() {
        ada.fault("slack", POST_MESSAGE, 1, limited(Some(long))).await;
        let start = Instant::now();
        // Each in a channel of its own: one that has to wait so long is not called before.
        let channel = format!("C0LONG{number}");
        let (status, body, seen) = post_to(&ada, &channel).await;
        assert_eq!((status, seen), (429, [1, 0]), "{long}: {body}");
        assert!(start.elapsed() < Duration::from_secs(5), "{long}: waited for {:?}", start.elapsed());
        let retry_at: Option<Timestamp> = body["error"]["retry_at"].as_str().and_then(|at| at.parse().ok());
        let latest = platform::base::clock::now() + SignedDuration::from_hours(25);
        assert!(retry_at.is_none_or(|at| at < latest), "{long}: {retry_at:?}");
        ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
        // What a limit can ask for is kept, by all. The rest is not about a limit, and only told.
        if number == 0 {
            let (status, body, seen) = post_to(&ada, &channel).await;
            assert_eq!((status, seen), (429, [0, 0]), "{long}, and again: {body}");
        }
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_loop_ends_after_one_refresh() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for (provider, path, name, effect) in [
        (
            "slack",
            "/proxy/slack/auth.test",
            "/api/auth.test",
            json!({ "status": 200, "body": { "ok": false, "error": "invalid_auth" } }),
        ),
        ("google-calendar", "/proxy/google-calendar/calendars/primary", "/calendars/primary", json!({ "status": 401 })),
    ] {
        ada.connect_and_sync(provider).await;
        let (calls, (refreshes, _)) = (ada.calls(provider, name).await, ada.refreshes(provider).await);
        ada.fault(provider, name, 50, effect).await;
        let (status, body) = ada.api(Method::GET, path, &Value::Null).await;
        assert_eq!((status, &body["error"]["kind"]), (409, &json!("reconnect_required")), "{body}");
        assert_eq!(ada.calls(provider, name).await, calls + 2, "{provider}: refused, refreshed, refused");
        assert_eq!(ada.refreshes(provider).await, (refreshes + 1, false), "{provider}");
        assert_eq!(ada.status(provider).await["state"], "reconnect_required");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_a_post_whose_reply_was_lost_is_not() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect("slack").await;
    let (status, body) = ada.api(Method::POST, "/connect/stripe", &json!({ "api_key": "rk_test_sandbox" })).await;
    assert_eq!(status, 201, "{body}");
    let read = async |effect: Value| {
        let before = ada.calls("stripe", "GET /v1/balance").await;
        ada.fault("stripe", "GET /v1/balance", 1, effect).await;
        let (status, _) = ada.api(Method::GET, "/proxy/stripe/v1/balance", &Value::Null).await;
        (status, ada.calls("stripe", "GET /v1/balance").await - before)
    };
    for status in [408, 425, 429, 500, 503] {
        assert_eq!(read(json!({ "status": status })).await.1, 2, "{status} may pass");
    }
    assert_eq!(read(json!({ "close": true })).await.1, 2, "no answer may pass");
    for status in [400, 402, 404, 422] {
        assert_eq!(read(json!({ "status": status })).await, (status, 1), "{status} is an answer");
    }

    // Slack posts it, and the answer is lost.
    ada.fault("slack", POST_MESSAGE, 1, json!({ "close": true, "after": true })).await;
    let (status, body, seen) = post(&ada).await;
    assert_eq!((status, &body["error"]["kind"]), (502, &json!("provider_down")), "{body}");
    assert_eq!(seen, [1, 1], "called, and posted");
    // It was never connected or it was refused: nothing was posted, so that it can be.
    ada.fault("slack", POST_MESSAGE, 1, json!({ "status": 429, "headers": { "retry-after": "1" } })).await;
    let (status, body, seen) = post(&ada).await;
    assert_eq!((status, seen), (200, [2, 1]), "{body}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_out_sends_in_batches() {
    const INTEGRATIONS: usize = 200;
    let stack = stack(FAST).await;
    let aws = Aws::at(&stack.aws_url, local_aws::REGION, local_aws::clients::DEVELOPER_KEY, Patience::QUEUE);
    let integrations = Integrations::new(&aws, stack.table("integrations"));
    for user in 0..INTEGRATIONS {
        integrations.put(&integration(&format!("user-{user}")), Timestamp::UNIX_EPOCH).await.unwrap();
    }
    let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-incremental")).unwrap();
    assert_eq!(timer.fire().await.unwrap(), json!({ "sent": INTEGRATIONS }).to_string());
    let sent = |operation: &str| {
        let key = (format!("{}-sync-scheduler", stack.prefix()), Service::Sqs, operation.to_owned());
        stack.gateway.counts().get(&key).copied().unwrap_or_default()
    };
    assert_eq!(sent("SendMessage"), 0);
    let batches = usize::try_from(sent("SendMessageBatch")).unwrap();
    assert!((INTEGRATIONS / 10..INTEGRATIONS / 4).contains(&batches), "{batches} calls for {INTEGRATIONS} messages");
    stack.shutdown().await;
}
