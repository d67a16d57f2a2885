//! A grant is revoked before its tokens are deleted, whatever fails for a while: what passes, or what an operator repairs, is told
//! to the caller, deletes nothing, and the next attempt revokes.

use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, Running, stack};

mod unfinished;

/// A failure of AWS that lasts until it is ended.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    At(Service, &'static str, Effect),
    DisabledKey,
}

impl Trouble {
    async fn begin(self, stack: &Running) {
        match self {
            Self::At(service, operation, effect) => {
                // The first secret of an invocation is the session's.
                let at = if service == Service::Secretsmanager { 2 } else { 1 };
                let fault = Fault {
                    function: Some("oauth-callback".into()),
                    service: Some(service),
                    operation: Some(operation.into()),
                    at,
                    times: 10_000,
                    ..Fault::new(effect)
                };
                stack.gateway.faults.arm(vec![fault]);
            }
            Self::DisabledKey => {
                stack.clients.kms.disable_key().key_id(key(stack).await).send().await.unwrap();
            }
        }
        // A process that has the data key or the secret in memory would not ask.
        while stack.function("oauth-callback").unwrap().kill_one() {}
    }

    async fn end(self, stack: &Running) {
        match self {
            Self::At(..) => stack.gateway.faults.arm(Vec::new()),
            Self::DisabledKey => {
                stack.clients.kms.enable_key().key_id(key(stack).await).send().await.unwrap();
            }
        }
    }
}

async fn key(stack: &Running) -> String {
    let output = stack.clients.kms.describe_key().key_id("alias/intertie").send().await.unwrap();
    output.key_metadata.unwrap().key_id
}

/// Whether all grants of a provider are revoked.
async fn all_revoked(guest: &Guest<'_>, provider: &str) -> bool {
    let grants = guest.admin(provider, Method::GET, "grants", &Value::Null).await;
    grants.as_array().unwrap().iter().all(|grant| grant["state"] == "revoked")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_that_aws_fails_for_a_while_deletes_no_token_and_asking_again_revokes_it() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let kms = |effect| Trouble::At(Service::Kms, "Decrypt", effect);
    for (provider, trouble) in [
        ("slack", kms(Effect::Throttle)),
        ("slack", kms(Effect::Deny)),
        ("slack", kms(Effect::Refuse)),
        ("slack", kms(Effect::Delay(60_000))),
        ("slack", Trouble::DisabledKey),
        ("slack", Trouble::At(Service::Dynamodb, "Query", Effect::Throttle)),
        ("gmail", kms(Effect::Throttle)),
        ("gmail", Trouble::At(Service::Secretsmanager, "GetSecretValue", Effect::Throttle)),
        ("gmail", Trouble::At(Service::Secretsmanager, "GetSecretValue", Effect::Deny)),
    ] {
        let what = format!("{provider}, {trouble:?}");
        ada.connect_and_sync(provider).await;
        let before = ada.holdings().await;
        let path = format!("/integrations/{provider}/disconnect");
        trouble.begin(&stack).await;
        for _ in 0..2 {
            let (status, body) = ada.api(Method::POST, &path, &json!({})).await;
            assert_eq!((status, &body["error"]["kind"]), (500, &json!("internal")), "{what}: {body}");
            assert!(body["error"]["retry_at"].is_string(), "{what}: {body}");
        }
        trouble.end(&stack).await;
        assert_eq!(ada.holdings().await, before, "{what}: something was deleted");
        assert!(!all_revoked(&ada, provider).await, "{what}");
        let (status, body) = ada.api(Method::POST, &path, &json!({})).await;
        assert_eq!((status, &body["revoked"]), (200, &json!("yes")), "{what}: {body}");
        assert!(all_revoked(&ada, provider).await, "{what}");
        assert_eq!(ada.holdings().await.1, 0, "{what}: tokens are left");
        ada.settled("syncs").await;
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_goes_on_with_the_other_integrations_tells_what_is_left_and_a_repeat_ends_it() {
    let stack = stack(FAST).await;
    let (ada, admin) = (Guest::new(&stack, "ada").await, Guest::new(&stack, "admin").await);
    let gmail = ada.connect("gmail").await;
    for provider in ["google-calendar", "slack"] {
        ada.connect(provider).await;
    }
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    while stack.function("oauth-callback").unwrap().kill_one() {}
    // The attempts at the first integration's data key, of Gmail.
    let fault = Fault {
        function: Some("oauth-callback".into()),
        service: Some(Service::Kms),
        operation: Some("Decrypt".into()),
        times: 3,
        ..Fault::new(Effect::Throttle)
    };
    stack.gateway.faults.arm(vec![fault]);
    let (status, body) = admin.api(Method::DELETE, "/users/ada", &Value::Null).await;
    assert_eq!((status, &body["error"]["kind"]), (500, &json!("internal")), "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("gmail ({gmail})")) && !message.contains("slack"), "{message}");
    assert!(body["error"]["retry_at"].is_string(), "{body}");
    assert!(all_revoked(&ada, "slack").await, "the others are ended");
    ada.settled("syncs").await;
    let (_, body) = admin.api(Method::GET, "/users/ada", &Value::Null).await;
    assert_eq!(body["state"], "erasing", "{body}");
    let left: Vec<_> = body["integrations"].as_array().unwrap().iter().map(|it| it["provider"].clone()).collect();
    assert_eq!(left, ["gmail"], "{body}");
    assert_eq!(ada.holdings().await, (1, 1), "what is left keeps its token");

    let (status, body) = admin.api(Method::DELETE, "/users/ada", &Value::Null).await;
    assert_eq!((status, &body["integrations"][0]["revoked"]), (202, &json!("yes")), "{body}");
    assert!(all_revoked(&ada, "gmail").await);
    let erased = async || {
        let (_, body) = admin.api(Method::GET, "/users/ada", &Value::Null).await;
        (body["state"] == "erased").then_some(())
    };
    stack.until(PATIENCE, erased).await.expect("the repeat ends it");
    assert_eq!(ada.holdings().await, (0, 0));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_a_failed_disconnect_left_is_revoked_by_a_sweep_and_an_expired_one_at_once() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    let trouble = Trouble::At(Service::Kms, "Decrypt", Effect::Deny);
    trouble.begin(&stack).await;
    assert_eq!(ada.api(Method::POST, "/integrations/slack/disconnect", &json!({})).await.0, 500);
    trouble.end(&stack).await;
    ada.look.age(&id, 3_600).await.unwrap();
    ada.look.age_grant(&id, -3_600).await.unwrap();
    stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-refresh")).unwrap().fire().await.unwrap();
    ada.settled("refreshes").await;
    assert!(all_revoked(&ada, "slack").await, "nobody asked again");
    assert_eq!(ada.holdings().await, (1, 0));

    // A key that no provider revokes is never due, but for this.
    let id = ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    trouble.begin(&stack).await;
    assert_eq!(ada.api(Method::POST, "/integrations/stripe/disconnect", &json!({})).await.0, 500);
    trouble.end(&stack).await;
    assert!(ada.look.credential(&id).await.unwrap().due, "the sweep will find it");
    ada.look.age(&id, 3_600).await.unwrap();
    ada.look.age_grant(&id, -3_600).await.unwrap();
    stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-refresh")).unwrap().fire().await.unwrap();
    ada.settled("refreshes").await;
    assert_eq!(ada.holdings().await, (2, 0));

    let id = ada.connect_and_sync("slack").await;
    ada.look.age(&id, -10).await.unwrap();
    ada.admin("slack", Method::POST, "tokens/expire", &json!({})).await;
    let (status, body) = ada.api(Method::POST, "/integrations/slack/disconnect", &json!({})).await;
    assert_eq!((status, &body["revoked"]), (200, &json!("yes")), "{body}");
    assert!(all_revoked(&ada, "slack").await, "an access token that has expired revokes nothing");
    stack.shutdown().await;
}
