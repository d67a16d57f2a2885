//! A second connect fails at each of its steps: the first integration goes on working, and nothing is revoked at its provider.

use http::Method;
use local_aws::faults::{Effect, Fault};
use serde_json::{Value, json};
use tests::{FAST, Guest, Running, stack};

/// A call that the first integration makes.
const WORKS: [(&str, &str); 2] =
    [("slack", "/proxy/slack/auth.test"), ("google-calendar", "/proxy/google-calendar/calendars/primary")];
/// The SDK makes a call up to three times.
const ATTEMPTS: u64 = 3;

async fn assert_works(ada: &Guest<'_>, what: &str) {
    for (provider, call) in WORKS {
        let (status, body) = ada.api(Method::GET, call, &Value::Null).await;
        assert_eq!(status, 200, "{what}: {provider}: {body}");
        assert_eq!(ada.status(provider).await["state"], "connected", "{what}: {provider}");
        assert_eq!((ada.calls("slack", "auth.revoke").await, ada.calls("google", "/revoke").await), (0, 0), "{what}");
    }
}

/// Refuses the call to AWS at this place, however often it is repeated.
fn refuse(stack: &Running, at: u64) {
    let function = Some("oauth-callback".to_owned());
    stack.gateway.faults.arm(vec![Fault { function, at, times: ATTEMPTS, ..Fault::new(Effect::Refuse) }]);
}

fn seen(stack: &Running) -> u64 {
    stack.gateway.faults.armed()[0].seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connect_that_fails_at_any_step_leaves_the_first_integration_working() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for (provider, _) in WORKS {
        ada.connect_and_sync(provider).await;
    }
    steps_at_slack(&ada).await;
    steps_at_google(&ada).await;
    let of_family =
        [("slack", "/connect/slack"), ("google-calendar", "/connect/google-calendar"), ("gmail", "/connect/gmail")];
    for (provider, connect) in of_family {
        let mut failed = 0;
        for at in 1.. {
            let callback = ada.allow(connect).await;
            refuse(&stack, at);
            let page = ada.get(&callback).await;
            let struck = seen(&stack) >= at;
            stack.gateway.faults.arm(Vec::new());
            let what = format!("{provider}, call {at} to AWS");
            assert!([302, 500].contains(&page.status), "{what}: {}", page.body);
            failed += usize::from(!page.location.as_deref().is_some_and(|to| to.contains("success=")));
            assert_works(&ada, &what).await;
            if !struck {
                break;
            }
        }
        assert!(failed >= 5, "{provider}: of all calls only {failed} had to succeed");
        ada.settled("syncs").await;
    }
    stack.shutdown().await;
}

/// Exchange and identity.
async fn steps_at_slack(ada: &Guest<'_>) {
    let exchange = "POST /api/oauth.v2.access";
    let answer = |fields: Value| {
        let mut body = json!({ "ok": true, "access_token": "xoxb-1", "token_type": "bot", "scope": "chat:write" });
        fields.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        json!({ "status": 200, "body": body })
    };
    for (what, effect) in [
        ("the exchange is refused", json!({ "status": 200, "body": { "ok": false, "error": "invalid_code" } })),
        ("the exchange fails", json!({ "status": 503 })),
        ("the answer is lost", json!({ "close": true, "after": true })),
        ("no team", answer(json!({ "team": null }))),
        ("a malformed team", answer(json!({ "team": { "id": "T1#x" } }))),
        ("nothing was allowed", answer(json!({ "team": { "id": "T0SANDBOX" }, "scope": "" }))),
    ] {
        let callback = ada.allow("/connect/slack").await;
        ada.fault("slack", exchange, 1, effect).await;
        let to = ada.get(&callback).await.location.unwrap();
        assert!(to.contains("?error="), "{what}: {to}");
        assert_works(ada, what).await;
    }
    // Its token is another installation's, which nothing stored depends on.
    let callback = ada.allow_for("/connect/slack", "E0SANDBOX").await;
    assert!(ada.get(&callback).await.location.unwrap().ends_with("?error=organisation_install"));
    assert_eq!(ada.calls("slack", "auth.revoke").await, 1);
    ada.admin("slack", Method::DELETE, "calls", &Value::Null).await;
    assert_works(ada, "a whole organisation").await;
}

/// Exchange, identity, permissions and the service itself; of the same provider and of one that shares its grant.
async fn steps_at_google(ada: &Guest<'_>) {
    let identity = ["openid", "https://www.googleapis.com/auth/userinfo.email"];
    for provider in ["google-calendar", "gmail"] {
        let connect = format!("/connect/{provider}");
        for (what, effect) in [
            ("the exchange is refused", json!({ "status": 400, "body": { "error": "invalid_grant" } })),
            ("the exchange fails", json!({ "status": 503 })),
            ("the answer is lost", json!({ "close": true, "after": true })),
            ("no ID token", json!({ "status": 200, "body": { "access_token": "ya29.x", "expires_in": 3599 } })),
        ] {
            let callback = ada.allow(&connect).await;
            ada.fault("google", "POST /token", 1, effect).await;
            let to = ada.get(&callback).await.location.unwrap();
            assert!(to.contains("?error="), "{provider}: {what}: {to}");
            assert_works(ada, what).await;
        }
        let callback = ada.allow_only(&connect, "ada@example.com", &identity).await;
        assert!(ada.get(&callback).await.location.unwrap().ends_with("?error=scope_missing"));
        assert_works(ada, "nothing was allowed").await;
    }
    for (service, provider) in [("mail", "gmail"), ("calendar", "google-calendar")] {
        ada.admin("google", Method::POST, "account", &json!({ service: false })).await;
        let callback = ada.allow(&format!("/connect/{provider}")).await;
        assert!(ada.get(&callback).await.location.unwrap().ends_with("?error=no_service_for_account"));
        ada.admin("google", Method::POST, "account", &json!({ service: true })).await;
        assert_works(ada, service).await;
    }
}
