//! Tokens: refreshed once however many need it, kept while the provider is down, given up only when the grant is over, and
//! readable in their own place only.

use futures_util::{StreamExt as _, future::join, stream};
use http::Method;
use local_cli::stores::Item;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, logs, stack, stack_alone};

const TOKEN: &str = "POST /api/oauth.v2.access";

/// The status of a call through the proxy, and its answer.
async fn call(guest: &Guest<'_>, path: &str) -> (u16, Value) {
    guest.api(Method::GET, path, &Value::Null).await
}

/// The same, asked again if AWS did not answer the stack in time: fifty processes that start at once on a busy machine wait longer
/// for it than a request may. Any other failure of the stack fails the test.
async fn answered(guest: &Guest<'_>, path: &str) -> (u16, Value) {
    let answer = async || {
        let (status, body) = call(guest, path).await;
        if status != 500 {
            return Some((status, body));
        }
        let id = body["error"]["request_id"].as_str().expect("the id of the request");
        let line = || logs(guest.stack).lines().find(|it| it.contains(id) && it.contains("reason")).map(str::to_owned);
        let line =
            guest.stack.until(PATIENCE, async || line()).await.expect("the log says why, under the request's id");
        assert!(line.contains(r#""reason":"unavailable""#), "{line}");
        None
    };
    guest.stack.until(PATIENCE, answer).await.expect("an answer in the end")
}

async fn assert_works(guest: &Guest<'_>, what: &str) {
    let (status, body) = call(guest, "/proxy/slack/auth.test").await;
    assert_eq!((status, &body["ok"]), (200, &json!(true)), "{what}: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_calls_with_an_expired_token_make_one_refresh_and_all_succeed() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    // Once we know that it expired, once only Slack does.
    for (round, known) in [true, false].into_iter().enumerate() {
        if known {
            ada.look.age(&id, -10).await.unwrap();
        }
        ada.admin("slack", Method::POST, "tokens/expire", &json!({})).await;
        ada.fault("slack", TOKEN, 1, json!({ "hang_ms": 500 })).await;
        // As many at a time as there are environments; each calls and may refresh on its own.
        let calls = stream::iter(0..20).map(|_| call(&ada, "/proxy/slack/auth.test")).buffer_unordered(8);
        for (status, body) in calls.collect::<Vec<_>>().await {
            assert_eq!((status, &body["ok"]), (200, &json!(true)), "{body}");
        }
        assert_eq!(
            ada.refreshes("slack").await,
            (round as u64 + 1, false),
            "refreshes, and whether a token came twice"
        );
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_refreshes_the_tokens_of_every_provider_that_gives_refresh_tokens() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for provider in ["slack", "google-calendar", "gmail"] {
        let id = ada.connect_and_sync(provider).await;
        let (before, version) = (ada.refreshes(provider).await.0, ada.look.credential(&id).await.unwrap().version);
        ada.look.age(&id, 60).await.unwrap();
        let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-refresh")).unwrap();
        assert_eq!(timer.fire().await.unwrap(), json!({ "sent": 1 }).to_string(), "{provider}");
        ada.settled("refreshes").await;
        assert_eq!(ada.refreshes(provider).await, (before + 1, false), "{provider}");
        assert!(ada.look.credential(&id).await.unwrap().version > version, "{provider}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_processes_that_need_one_expired_token_make_one_refresh_twenty_times_over() {
    const CALLERS: usize = 50;
    let stack = stack_alone(&[("RateLimits", "slack/auth_test=6000/min:6000")]).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    for round in 1..=20 {
        ada.look.age(&id, -10).await.unwrap();
        ada.admin("slack", Method::POST, "tokens/expire", &json!({})).await;
        // Long enough for all of them to come while it is under way.
        ada.fault("slack", TOKEN, 1, json!({ "hang_ms": 300 })).await;
        let calls = (0..CALLERS).map(|_| answered(&ada, "/proxy/slack/auth.test"));
        for (status, body) in futures_util::future::join_all(calls).await {
            assert_eq!((status, &body["ok"]), (200, &json!(true)), "round {round}: {body}");
        }
        assert_eq!(ada.refreshes("slack").await, (round, false), "round {round}: refreshes, and a token used twice");
    }
    let processes = stack.function("api-proxy").unwrap().environments();
    assert!(processes >= CALLERS, "{processes} processes");
    assert_eq!(ada.look.announced("integration.reconnect_required", &id).unwrap(), 0);
    assert_eq!(ada.status("slack").await["state"], "connected");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_found_due_before_its_margin_is_refreshed_once_and_not_found_again() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    let sweep = async || {
        let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-refresh")).unwrap();
        let answer = timer.fire().await.unwrap();
        ada.settled("refreshes").await;
        answer
    };
    // Slack's tokens are refreshed two hours ahead: the spread makes a token due up to half an hour before that.
    ada.look.age(&id, 2 * 3600 + 600).await.unwrap();
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(sweep().await);
    }
    assert_eq!(sent, [r#"{"sent":1}"#, r#"{"sent":0}"#, r#"{"sent":0}"#], "what the sweeps found");
    assert_eq!(ada.refreshes("slack").await, (1, false));
    let logged = async || logs(&stack).contains(r#""message":"refreshed""#).then_some(());
    stack.until(PATIENCE, logged).await.expect("the log says that it was refreshed");
    assert_works(&ada, "afterwards").await;
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_whose_integration_never_was_or_is_over_is_not_kept_alive_for_ever() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    // As after a crash between storing the tokens and the integration.
    let key = |item: &Item| {
        ["user_id", "integration"].map(|name| (name.to_owned(), item[name].clone())).into_iter().collect::<Item>()
    };
    let integration =
        ada.look.items("integrations").await.unwrap().into_iter().find(|it| it["user_id"].as_s().unwrap() == "ada");
    let delete = stack.clients.dynamodb.delete_item().table_name(stack.table("integrations"));
    delete.set_key(Some(key(&integration.unwrap()))).send().await.unwrap();
    ada.look.age(&id, -10).await.unwrap();
    let before = ada.refreshes("slack").await;
    let sweep = async || {
        let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-refresh")).unwrap();
        timer.fire().await.unwrap();
        ada.settled("refreshes").await;
        ada.look.credentials(&id).await.unwrap().len()
    };
    assert_eq!(sweep().await, 1, "somebody may be in the middle of connecting");
    assert_eq!(ada.refreshes("slack").await, before, "it was refreshed");
    ada.look.age_grant(&id, -3_600).await.unwrap();
    assert_eq!(sweep().await, 0);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_costs_no_token_and_no_connection() {
    let stack = stack(FAST).await;
    let (ada, bob) = join(Guest::new(&stack, "ada"), Guest::new(&stack, "bob")).await;
    let eve = Guest::new(&stack, "eve").await;
    join(hanging(&bob, &eve), failing(&ada)).await;
    stack.shutdown().await;
}

/// The token endpoint does not answer in time, neither to a refresh nor to a connect.
async fn hanging(bob: &Guest<'_>, eve: &Guest<'_>) {
    let id = bob.connect_and_sync("google-calendar").await;
    let version = bob.look.credential(&id).await.unwrap().version;
    let callback = eve.allow("/connect/gmail").await;
    bob.look.age(&id, -10).await.unwrap();
    bob.fault("gmail", "POST /token", 2, json!({ "hang_ms": 20_000, "close": true })).await;
    let path = "/proxy/google-calendar/calendars/primary";
    let ((status, body), back) = join(call(bob, path), eve.get(&callback)).await;
    assert_eq!((status, &body["error"]["kind"]), (502, &json!("provider_down")), "{body}");
    assert_eq!(bob.look.credential(&id).await.unwrap().version, version);
    assert_eq!(bob.status("google-calendar").await["state"], "connected");
    assert!(back.location.is_some_and(|to| to.ends_with("?error=provider_down")), "{}", back.body);
    assert_eq!(eve.holdings().await, (0, 0));
    let (status, body) = call(bob, path).await;
    assert_eq!(status, 200, "{body}");
}

async fn failing(ada: &Guest<'_>) {
    let id = ada.connect_and_sync("slack").await;
    for (what, effect) in [
        ("an outage", json!({ "status": 503 })),
        ("an outage that talks of the grant", json!({ "status": 503, "body": { "error": "invalid_refresh_token" } })),
        ("too many calls", json!({ "status": 429, "headers": { "retry-after": "30" } })),
        ("a page", json!({ "html": true })),
        ("no answer", json!({ "close": true })),
        ("a success without a token", json!({ "status": 200, "body": { "ok": true } })),
        ("a refusal of the app", json!({ "status": 200, "body": { "ok": false, "error": "bad_client_secret" } })),
    ] {
        let version = ada.look.credential(&id).await.unwrap().version;
        // Valid for another half minute: what is there is good enough.
        ada.look.age(&id, 30).await.unwrap();
        ada.fault("slack", TOKEN, 1, effect.clone()).await;
        assert_works(ada, what).await;
        ada.look.age(&id, -10).await.unwrap();
        ada.fault("slack", TOKEN, 1, effect).await;
        let (status, body) = call(ada, "/proxy/slack/auth.test").await;
        // What the token endpoint says reaches the caller as it is.
        let expected = match what {
            "too many calls" => (429, "rate_limited"),
            "a refusal of the app" => (500, "internal"),
            _ => (502, "provider_down"),
        };
        assert_eq!((status, body["error"]["kind"].as_str().unwrap()), expected, "{what}: {body}");
        assert_eq!(ada.look.credential(&id).await.unwrap().version, version, "{what}");
        let status = ada.status("slack").await;
        assert_eq!((&status["state"], &status["error"]), (&json!("connected"), &Value::Null), "{what}");
        assert_works(ada, what).await;
    }
    assert!(!ada.refreshes("slack").await.1, "a refresh token was used twice");
    assert_eq!(ada.look.announced("integration.reconnect_required", &id).unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_was_revoked_asks_to_reconnect_once_and_reconnecting_helps() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    ada.admin("slack", Method::POST, "grants/revoke", &json!({ "silent": true })).await;
    ada.look.age(&id, -10).await.unwrap();
    for _ in 0..3 {
        let (status, body) = call(&ada, "/proxy/slack/auth.test").await;
        assert_eq!((status, &body["error"]["kind"]), (409, &json!("reconnect_required")), "{body}");
    }
    let status = ada.status("slack").await;
    assert_eq!(status["state"], "reconnect_required");
    assert!(status["error"].as_str().is_some_and(|words| words.contains("Slack")), "{status}");
    assert_eq!(ada.look.announced("integration.reconnect_required", &id).unwrap(), 1);
    assert_eq!(ada.calls("slack", TOKEN).await, 2, "one code and one refresh: a dead token is not tried again");
    assert_eq!(ada.connect("slack").await, id, "the same account is the same integration");
    assert_eq!(ada.status("slack").await["error"], Value::Null);
    assert_works(&ada, "reconnected").await;
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ciphertext_opens_in_no_other_place_and_no_other_version() {
    let stack = stack(FAST).await;
    let (ada, eve) = join(Guest::new(&stack, "ada"), Guest::new(&stack, "eve")).await;
    let (of_ada, of_eve) = (ada.connect_and_sync("slack").await, eve.connect_and_sync("slack").await);
    let read = async |id: &str| ada.look.credentials(id).await.unwrap().remove(0);
    let (own, foreign) = (read(&of_ada).await, read(&of_eve).await);
    assert_works(&eve, "before").await;
    let calls = ada.calls("slack", "/api/auth.test").await;
    let from = |other: &Item, names: &[&str]| {
        let mut item = foreign.clone();
        for name in names {
            item.insert((*name).to_owned(), other[*name].clone());
        }
        item
    };
    let mut swapped = foreign.clone();
    swapped.insert("access".to_owned(), foreign["refresh"].clone());
    let mut later = foreign.clone();
    let version: i64 = foreign["version"].as_n().unwrap().parse().unwrap();
    later.insert("version".to_owned(), aws_sdk_dynamodb::types::AttributeValue::N((version + 1).to_string()));
    let put = async |item: Item| {
        let call = stack.clients.dynamodb.put_item().table_name(stack.table("credentials"));
        call.set_item(Some(item)).send().await.unwrap();
    };
    for (what, item) in [
        ("another's token", from(&own, &["access"])),
        ("another's token under another's key", from(&own, &["access", "data_key"])),
        ("all of another's", from(&own, &["access", "refresh", "data_key", "version"])),
        ("the refresh token as access token", swapped),
        ("a token of another version", later),
    ] {
        put(item).await;
        let (status, body) = call(&eve, "/proxy/slack/auth.test").await;
        // A data key of another integration is damage to a process that has opened one, and the operator's concern to others.
        let kind = body["error"]["kind"].as_str().unwrap();
        let others = what.contains("all of") || what.contains("under another's key");
        assert!((status, kind) == (409, "reconnect_required") || others && status == 500, "{what}: {body}");
    }
    assert_eq!(
        ada.calls("slack", "/api/auth.test").await,
        calls,
        "Slack was sent what was decrypted in the wrong place"
    );
    put(foreign.clone()).await;
    assert_works(&eve, "restored").await;
    stack.shutdown().await;
}
