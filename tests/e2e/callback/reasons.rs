//! Why nothing was connected, in a code for the application and in words for the person; and what was issued is over again.

use http::Method;
use serde_json::{Value, json};
use tests::{FAST, Guest, stack};

use super::{assert_leads, value};

const ADA: &str = "ada@example.com";
const SUB: &str = "100000000000000000001";
const IDENTITY: [&str; 2] = ["openid", "https://www.googleapis.com/auth/userinfo.email"];
const READ: &str = "https://www.googleapis.com/auth/gmail.readonly";
const SEND: &str = "https://www.googleapis.com/auth/gmail.send";

/// Finishes what was allowed: the browser is led back with this code, and the page says this.
async fn refused(ada: &Guest<'_>, callback: &str, code: &str, words: &[&str]) {
    let back = ada.get(callback).await;
    assert_leads(&back, &format!("?error={code}"), code);
    let page = ada.get(back.location.as_deref().unwrap()).await.body;
    for words in words {
        assert!(page.contains(words), "{code}: {words:?} is not on the page: {page}");
    }
}

/// The states of all grants that a provider knows.
async fn grants(ada: &Guest<'_>, provider: &str) -> Vec<String> {
    let grants = ada.admin(provider, Method::GET, "grants", &Value::Null).await;
    grants.as_array().unwrap().iter().map(|grant| grant["state"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_reaches_the_person_in_words_and_what_was_issued_is_revoked() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let all_revoked = async |provider: &str, count: usize| {
        assert_eq!(grants(&ada, provider).await, vec!["revoked"; count], "{provider}");
        assert_eq!(ada.holdings().await, (0, 0));
    };

    let callback = ada.allow_only("/connect/google-calendar", ADA, &IDENTITY).await;
    let words = ["Google Calendar was not connected", "the box ticked that lets the app see the calendars."];
    refused(&ada, &callback, "scope_missing", &words).await;
    all_revoked("google", 1).await;

    let service = async |mail: bool, calendar: bool| {
        ada.admin("google", Method::POST, "account", &json!({ "mail": mail, "calendar": calendar })).await;
    };
    service(false, false).await;
    for (provider, name) in [("gmail", "Gmail"), ("google-calendar", "Google Calendar")] {
        let callback = ada.allow(&format!("/connect/{provider}")).await;
        let words = [&*format!("The account that was chosen does not have {name}."), "with another account"];
        refused(&ada, &callback, "no_service_for_account", &words).await;
    }
    all_revoked("google", 3).await;
    service(true, true).await;

    let callback = ada.allow_for("/connect/slack", "E0SANDBOX").await;
    let words = ["Slack was installed for a whole organisation", "choose one workspace"];
    refused(&ada, &callback, "organisation_install", &words).await;
    all_revoked("slack", 1).await;

    for (status, code, words) in
        [(503, "provider_down", "Slack did not answer."), (429, "rate_limited", "Slack asked us to slow down.")]
    {
        let callback = ada.allow("/connect/slack").await;
        ada.fault("slack", "POST /api/oauth.v2.access", 9, json!({ "status": status })).await;
        refused(&ada, &callback, code, &[words]).await;
        ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
    }
    let callback = ada.allow("/connect/slack").await;
    ada.fault("slack", "POST /api/oauth.v2.access", 1, json!({ "status": 400 })).await;
    refused(&ada, &callback, "connect_failed", &["Connecting Slack did not work.", "try again"]).await;
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_whose_answer_is_lost_is_reported_as_one_that_may_have_left_the_access_allowed() {
    const MAY_BE: &str = "Our access may still be allowed at Slack.";
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for (effect, code, warned) in [
        (json!({ "status": 503 }), "provider_down", true),
        (json!({ "status": 200, "body": { "ok": true } }), "connect_failed", true),
        (json!({ "status": 429 }), "rate_limited", false),
    ] {
        let callback = ada.allow("/connect/slack").await;
        ada.fault("slack", "POST /api/oauth.v2.access", 9, effect).await;
        let back = ada.get(&callback).await;
        assert_leads(&back, &format!("?error={code}"), code);
        let page = ada.get(back.location.as_deref().unwrap()).await.body;
        assert_eq!(page.contains(MAY_BE), warned, "{code}: {page}");
        ada.admin("slack", Method::DELETE, "faults", &Value::Null).await;
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_revoked_is_reported_and_stays_until_the_user_removes_it() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.admin("google", Method::POST, "account", &json!({ "mail": false })).await;
    ada.fault("google", "POST /revoke", 9, json!({ "status": 503 })).await;
    let callback = ada.allow("/connect/gmail").await;
    let words = [
        "does not have Gmail",
        "may still be allowed at Gmail",
        "remove the app in the settings of your account at Gmail.",
    ];
    refused(&ada, &callback, "no_service_for_account", &words).await;
    ada.admin("google", Method::DELETE, "faults", &Value::Null).await;

    // Another user's connection of the same account is not known to be one, nor is it ended.
    ada.admin("google", Method::POST, "account", &json!({ "mail": true })).await;
    let bob = Guest::new(&stack, "bob").await;
    bob.connect_and_sync("google-calendar").await;
    let callback = ada.allow("/connect/gmail").await;
    ada.fault("google", "POST /token", 1, json!({ "status": 200, "body": { "access_token": "ya29.x" } })).await;
    refused(&ada, &callback, "connect_failed", &["another connection uses this access, or may use it"]).await;
    assert_eq!(bob.api(Method::GET, "/proxy/google-calendar/calendars/primary", &Value::Null).await.0, 200);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_grant_is_kept_and_says_what_is_missing() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for (granted, missing) in [(SEND, READ), (READ, SEND)] {
        let scopes = [IDENTITY.as_slice(), &[granted]].concat();
        let back = ada.get(&ada.allow_only("/connect/gmail", ADA, &scopes).await).await;
        assert_leads(&back, "?success=gmail", granted);
        let status = ada.status("gmail").await;
        assert_eq!((&status["state"], &status["account"]["id"]), (&json!("connected"), &json!(SUB)), "{status}");
        assert_eq!(status["scopes"]["missing"], json!([missing]), "{status}");
    }
    ada.connect("gmail").await;
    assert_eq!(ada.status("gmail").await["scopes"]["missing"], json!([]));
    assert!(!grants(&ada, "google").await.contains(&"revoked".to_owned()));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_preselected_at_the_provider_by_its_id_or_name() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect("slack").await;
    ada.connect("google-calendar").await;
    for (path, parameter, expected) in [
        ("/connect/slack?account=T0SANDBOX", "team", "T0SANDBOX"),
        ("/connect/slack?account=Acme", "team", "T0SANDBOX"),
        ("/connect/google-calendar?account=ada@example.com", "login_hint", SUB),
        ("/connect/gmail?account=ada@example.com", "login_hint", ADA),
    ] {
        assert_eq!(value(&ada.get(path).await.location.unwrap(), parameter), expected, "{path}");
    }
    assert!(!ada.get("/connect/slack").await.location.unwrap().contains("team="));
    let page = ada.get("/connect/slack?account=No%20such%20name").await;
    assert_eq!((page.status, &page.location), (422, &None), "{}", page.body);
    stack.shutdown().await;
}
