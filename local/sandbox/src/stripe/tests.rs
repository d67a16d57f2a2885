//! Stripe, as an app sees it.

use http::{Method, StatusCode};
use local_base::now;
use serde_json::{Value, json};

use crate::tests::{SECRET, Stage};

const KEY: &str = "sk_test_sandbox";

impl Stage {
    fn stripe(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.sandbox.url("stripe"))
    }

    async fn make(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value, bool) {
        let fixed =
            [("authorization", "Bearer sk_test_sandbox"), ("content-type", "application/x-www-form-urlencoded")];
        let headers = [&fixed, headers].concat();
        let answer = self.send(Method::POST, &self.stripe(path), &headers, body.to_owned()).await.unwrap();
        assert!(answer.headers().contains_key("request-id"));
        let replayed = answer.headers().contains_key("idempotent-replayed");
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap(), replayed)
    }
}

#[tokio::test]
async fn keys_are_checked() {
    let stage = Stage::start().await;
    let url = stage.stripe("account");
    assert_eq!(stage.get(&url, KEY).await.1["id"], "acct_local");
    assert_eq!(stage.get(&url, "rk_test_sandbox").await.0, 200);
    let basic = [("authorization", "Basic c2tfdGVzdF9zYW5kYm94Og==")];
    assert_eq!(stage.send(Method::GET, &url, &basic, String::new()).await.unwrap().status(), 200);
    let (status, refused) = stage.get(&url, "sk_test_guess").await;
    assert_eq!((status, &refused["error"]["message"]), (401, &json!("Invalid API Key provided: sk_test_****")));
    assert_eq!(stage.get(&url, "sk_test_expired").await.1["error"]["code"], "api_key_expired");
    assert_eq!(stage.get(&url, "").await.0, 401);
}

#[tokio::test]
async fn lists_are_paged_newest_first_and_filtered() {
    let stage = Stage::start().await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (_, page) = stage.get(&stage.stripe(&format!("customers?limit=2{after}")), KEY).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|customer| customer["created"].as_i64().unwrap()));
        after = format!("&starting_after={}", page["data"].as_array().unwrap().last().unwrap()["id"].as_str().unwrap());
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|newer, older| newer > older));
    let since = stage.get(&stage.stripe(&format!("customers?created%5Bgte%5D={}", seen[1])), KEY).await.1;
    assert_eq!(since["data"].as_array().unwrap().len(), 2);
    for (path, count) in [("subscriptions", 1), ("subscriptions?status=all", 2), ("payment_intents", 2)] {
        let (_, page) = stage.get(&stage.stripe(path), KEY).await;
        assert_eq!(page["data"].as_array().unwrap().len(), count, "{path}");
    }
    for wrong in ["customers?limit=101", "customers?starting_after=cus_none", "customers?cursor=x"] {
        assert_eq!(stage.get(&stage.stripe(wrong), KEY).await.0, 400, "{wrong}");
    }
    let (status, missing) = stage.get(&stage.stripe("customers/cus_none"), KEY).await;
    assert_eq!((status, &missing["error"]["code"]), (404, &json!("resource_missing")));
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_answer_and_refuses_another_question() {
    let stage = Stage::start().await;
    let key = [("idempotency-key", "k1")];
    let (status, created, replayed) = stage.make("customers", &key, "email=a%40example.com&metadata[plan]=pro").await;
    assert_eq!((status, replayed, &created["metadata"]["plan"]), (200, false, &json!("pro")));
    let again = stage.make("customers", &key, "email=a%40example.com&metadata[plan]=pro").await;
    assert_eq!(again, (200, created, true));
    let (status, refused, _) = stage.make("customers", &key, "email=b%40example.com").await;
    assert_eq!((status, &refused["error"]["type"]), (400, &json!("idempotency_error")));
}

#[tokio::test]
async fn what_is_no_form_and_what_is_unknown_is_refused() {
    let stage = Stage::start().await;
    let (status, refused) = stage.json(Method::POST, &stage.stripe("customers"), KEY, &json!({ "name": "A" })).await;
    assert_eq!((status, &refused["error"]["type"]), (400, &json!("invalid_request_error")));
    let (_, unknown, _) = stage.make("customers", &[], "nmae=A").await;
    assert_eq!(unknown["error"]["code"], "parameter_unknown");
    let (_, missing, _) = stage.make("subscriptions", &[], "items[0][price]=price_1").await;
    assert_eq!(json!([missing["error"]["code"], missing["error"]["param"]]), json!(["parameter_missing", "customer"]));
}

#[tokio::test]
async fn a_subscription_carries_what_its_payment_needs_where_the_version_has_it() {
    let stage = Stage::start().await;
    let body = |inside: &str| {
        format!(
            "customer=cus_Seed0000000001&items[0][price]=price_1&payment_behavior=default_incomplete\
             &expand[]=latest_invoice.{inside}"
        )
    };
    let basil = [("stripe-version", "2025-03-31.basil")];
    let old = [("stripe-version", "2024-06-20")];
    let (_, new, _) = stage.make("subscriptions", &basil, &body("confirmation_secret")).await;
    assert_eq!(new["status"], "incomplete");
    assert!(new["latest_invoice"]["confirmation_secret"]["client_secret"].as_str().unwrap().starts_with("pi_"));
    let (_, former, _) = stage.make("subscriptions", &old, &body("payment_intent")).await;
    assert!(former["latest_invoice"]["payment_intent"]["client_secret"].is_string());
    assert_eq!(stage.make("subscriptions", &basil, &body("payment_intent")).await.0, 400);
}

#[tokio::test]
async fn a_card_can_be_declined() {
    let stage = Stage::start().await;
    let (_, customer, _) = stage.make("customers", &[], "metadata[decline]=1").await;
    let body = format!("customer={}&items[0][price]=price_1", customer["id"].as_str().unwrap());
    let (status, declined, _) = stage.make("subscriptions", &[], &body).await;
    assert_eq!((status, &declined["error"]["code"]), (402, &json!("card_declined")));
}

#[tokio::test]
async fn a_change_is_an_event_that_is_sent_signed_and_again_if_refused() {
    let mut stage = Stage::start().await;
    stage.answers(&[StatusCode::INTERNAL_SERVER_ERROR]);
    let (_, customer, _) = stage.make("customers", &[], "name=Dorothy").await;
    let (refused, accepted) = (stage.received().await, stage.received().await);
    let Some(domain::Proof::Signature(stripe)) = &providers::REGISTRY.find("stripe").unwrap().spec().webhook else {
        panic!("Stripe signs");
    };
    for received in [&refused, &accepted] {
        stripe.verify(&received.headers, &received.body, &[SECRET.into()], now()).unwrap();
    }
    assert_eq!(refused.body, accepted.body);
    assert_eq!(accepted.json()["data"]["object"], customer);
    let listed = stage.get(&stage.stripe("events?type=customer.created"), KEY).await.1;
    assert_eq!(listed["data"][0]["id"], accepted.json()["id"]);

    let url = stage.stripe(&format!("customers/{}", customer["id"].as_str().unwrap()));
    let headers = [("authorization", "Bearer sk_test_sandbox")];
    let deleted = stage.send(Method::DELETE, &url, &headers, String::new()).await.unwrap();
    assert_eq!(deleted.status(), 200);
    assert_eq!(stage.received().await.json()["type"], "customer.deleted");
}

#[tokio::test]
async fn a_change_from_the_dashboard_says_what_was_before() {
    let mut stage = Stage::start().await;
    let order = json!({ "email": "new@example.com" });
    stage.control(Method::POST, stage.sandbox.url("stripe"), "customers/cus_Seed0000000001", &order).await;
    let event = stage.received().await.json();
    assert_eq!(event["type"], "customer.updated");
    assert_eq!(event["data"]["previous_attributes"], json!({ "email": "ada.lovelace@example.com" }));
    let order = json!({ "event": { "id": "evt_mine", "type": "charge.refunded" } });
    let answer = stage.control(Method::POST, stage.sandbox.url("stripe"), "send", &order).await;
    assert_eq!(answer["status"], 200);
    assert_eq!(stage.received().await.json()["id"], "evt_mine");
}
