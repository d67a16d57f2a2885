//! Each reply of DynamoDB is lost once, and connecting and disconnecting work all the same.

use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, Running, stack};

/// Loses the first reply to each call of a function: its calls come one after the other, each of them twice.
fn lose_replies(stack: &Running, function: &str) {
    let (function, service) = (Some(function.to_owned()), Some(Service::Dynamodb));
    let fault = Fault { function, service, times: u64::MAX, every: 2, ..Fault::new(Effect::DropReply) };
    stack.gateway.faults.arm(vec![fault]);
}

fn lost(stack: &Running) -> u64 {
    stack.gateway.faults.armed()[0].seen / 2
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_and_disconnecting_come_out_the_same_though_each_reply_of_dynamodb_is_lost_once() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    lose_replies(&stack, "oauth-callback");
    for provider in ["slack", "google-calendar"] {
        let callback = ada.allow(&format!("/connect/{provider}")).await;
        for what in ["the first", "a reload"] {
            let page = ada.get(&callback).await;
            super::assert_leads(&page, &format!("?success={provider}"), what);
        }
        let status = ada.status(provider).await;
        assert_eq!((&status["state"], &status["error"]), (&json!("connected"), &Value::Null), "{status}");
    }
    let stripe = ada.connect_stripe(json!({ "webhook_secret": "whsec_of_theirs" })).await;
    assert!(lost(&stack) > 20, "{} replies were lost", lost(&stack));
    for provider in ["slack", "google-calendar", "stripe"] {
        let id = ada.status(provider).await["integration_id"].as_str().unwrap().to_owned();
        let path = format!("/integrations/{provider}/disconnect");
        let (status, body) = ada.api(Method::POST, &path, &Value::Null).await;
        assert_eq!((status, &body["disconnected"]), (200, &json!(true)), "{body}");
        assert_eq!(ada.status(provider).await["state"], "disconnected");
        let announced = |kind| ada.look.announced(kind, &id).unwrap();
        let both = async || {
            (announced("integration.connected") == 1 && announced("integration.disconnected") == 1).then_some(())
        };
        stack.until(PATIENCE, both).await.unwrap_or_else(|waited| panic!("{provider}: {waited}"));
    }
    assert_eq!((ada.holdings().await.1, stripe.is_empty()), (0, false), "no credential is left");
    stack.shutdown().await;
}
