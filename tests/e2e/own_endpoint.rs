//! An integration's own webhook endpoint: its secret speaks for it and for no other integration.

use futures_util::future::join;
use http::Method;
use local_aws::faults::{Effect, Fault};
use local_base::web::Web;
use local_cli::sign::sign;
use secrecy::SecretString;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, customer_event, published, stack};

/// Delivers a body to an integration's endpoint, signed with this secret: the status.
pub(crate) async fn deliver(guest: &Guest<'_>, id: &str, secret: &str, body: &str) -> u16 {
    let secret = SecretString::from(secret);
    let headers = sign("stripe", body.as_bytes(), &secret, platform::base::clock::now()).unwrap();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let url = format!("{}/webhooks/stripe/{id}", guest.stack.url);
    Web::new().call(Method::POST, &url, &headers, body.to_owned()).await.unwrap().status().as_u16()
}

/// For whom an event is on the bus.
async fn heard(guest: &Guest<'_>, event: &str) -> Vec<Value> {
    let of_it = || -> Vec<_> {
        let all = published(guest.stack).into_iter().filter(|detail| detail["id"] == event);
        all.map(|detail| detail["integration_id"].clone()).collect()
    };
    let some = async || Some(of_it()).filter(|all| !all.is_empty());
    guest.stack.until(PATIENCE, some).await.unwrap_or_else(|waited| panic!("{event} is not heard of: {waited}"));
    guest.settled("webhooks").await;
    of_it()
}

async fn email(guest: &Guest<'_>, customer: &str) -> Value {
    let (_, body) =
        guest.api(Method::GET, "/integrations/stripe/records?stream=customers&limit=1000", &Value::Null).await;
    let all = body["records"].as_array().unwrap();
    all.iter().find(|record| record["id"] == customer).map_or(Value::Null, |record| record["data"]["email"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integrations_secret_speaks_for_it_alone_and_is_replaced_with_an_overlap() {
    let stack = stack(FAST).await;
    let (ada, eve) = join(Guest::new(&stack, "ada"), Guest::new(&stack, "eve")).await;
    let of_ada = ada.connect_stripe(json!({ "webhook_secret": "whsec_ada" })).await;
    let of_eve = eve.connect_stripe(json!({ "webhook_secret": "whsec_eve" })).await;
    ada.settled("syncs").await;
    let event = |id: &str| customer_event(id, "cus_own", platform::base::clock::now().as_second());

    // Genuine, and of the same Stripe account: each hears of it at their own address.
    assert_eq!(deliver(&ada, &of_ada, "whsec_ada", &event("evt_own_1")).await, 200);
    assert_eq!(heard(&ada, "evt_own_1").await, [json!(of_ada)]);
    assert_eq!(
        (email(&ada, "cus_own").await, email(&eve, "cus_own").await),
        (json!("evt_own_1@example.com"), Value::Null)
    );
    assert_eq!(deliver(&ada, &of_eve, "whsec_eve", &event("evt_own_1")).await, 200);
    let both = async || (heard(&ada, "evt_own_1").await.len() == 2).then_some(());
    stack.until(PATIENCE, both).await.unwrap();
    assert_eq!(email(&eve, "cus_own").await, json!("evt_own_1@example.com"));
    // Again: nothing more.
    assert_eq!(deliver(&ada, &of_ada, "whsec_ada", &event("evt_own_1")).await, 200);
    ada.settled("webhooks").await;
    assert_eq!(heard(&ada, "evt_own_1").await.len(), 2);

    // Another tenant's secret, the app's, none.
    let app = {
        use secrecy::ExposeSecret as _;
        stack.webhook_secrets["stripe"].expose_secret().to_owned()
    };
    for (what, id, secret, expected) in [
        ("another tenant's secret", of_ada.as_str(), "whsec_eve", 400),
        ("the app's secret", &of_ada, &app, 400),
        ("an integration that is not there", "int_00000000000000000000000000000000", "whsec_ada", 503),
        ("a path that climbs", "..%2f..%2fx", "whsec_ada", 404),
        ("somebody's key", "stripe%23acct_local", "whsec_ada", 503),
    ] {
        assert_eq!(deliver(&ada, id, secret, &event("evt_forged")).await, expected, "{what}");
    }
    let (status, _) = ada.api(Method::POST, &format!("/webhooks/slack/{of_ada}"), &json!({})).await;
    assert_eq!(status, 503, "another provider's");

    // Whatever account a body names: it is told for this integration only.
    let mut foreign: Value = serde_json::from_str(&event("evt_own_2")).unwrap();
    foreign["account"] = "acct_of_somebody".into();
    assert_eq!(deliver(&ada, &of_ada, "whsec_ada", &foreign.to_string()).await, 200);
    assert_eq!(heard(&ada, "evt_own_2").await, [json!(of_ada)]);

    // A new secret, while the old one is still in use.
    assert_eq!(ada.connect_stripe(json!({ "webhook_secret": "whsec_new" })).await, of_ada);
    let taken = async |secret: &str, event_id: &str| deliver(&ada, &of_ada, secret, &event(event_id)).await;
    // A process with the old one in memory reads the new one within seconds.
    let new = async || (taken("whsec_new", "evt_own_3").await == 200).then_some(());
    stack.until(PATIENCE, new).await.unwrap();
    assert_eq!(taken("whsec_ada", "evt_own_4").await, 200);
    assert_eq!(heard(&ada, "evt_own_4").await, [json!(of_ada)]);

    // With the integration its secret goes.
    let (status, body) = ada.api(Method::POST, "/integrations/stripe/disconnect", &json!({})).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(ada.look.items("webhook-secrets").await.unwrap().len(), 1, "eve's");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_calls_that_add_up_end_in_an_answer_in_time_and_the_next_delivery_is_taken() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_stripe(json!({ "webhook_secret": "whsec_ada" })).await;
    ada.settled("syncs").await;
    let body = customer_event("evt_slow", "cus_own", platform::base::clock::now().as_second());
    // The item, its key, the queue: each in the time that a call may take.
    let slow = Fault { function: Some("webhook-ingest".into()), times: 100, ..Fault::new(Effect::Delay(600)) };
    stack.gateway.faults.arm(vec![slow]);
    assert_eq!(deliver(&ada, &id, "whsec_ada", &body).await, 503);
    stack.gateway.faults.arm(vec![]);
    assert_eq!(deliver(&ada, &id, "whsec_ada", &body).await, 200);
    assert_eq!(heard(&ada, "evt_slow").await, [json!(id)]);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn white_space_around_what_is_pasted_goes_and_what_can_be_no_secret_is_named() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for secret in ["line\nbreak", "tab\tinside", " \r\n", &"x".repeat(2_000), "ünïcode"] {
        let input = json!({ "api_key": "rk_test_sandbox", "webhook_secret": secret });
        let (status, body) = ada.api(Method::POST, "/connect/stripe", &input).await;
        assert_eq!((status, &body["error"]["fields"][0]["field"]), (422, &json!("webhook_secret")), "{body}");
    }
    assert_eq!(ada.holdings().await, (0, 0));
    let bytes = ada.look.bytes("webhook-secrets").await.unwrap();
    assert!(bytes.is_empty());
    let (status, body) = ada.api(Method::POST, "/connect/stripe", &json!({ "api_key": "rk_test\n_sandbox" })).await;
    assert_eq!((status, &body["error"]["fields"][0]["field"]), (422, &json!("api_key")), "{body}");
    assert!(body["error"]["fields"][0]["message"].as_str().unwrap().contains("white space inside"), "{body}");

    // A person may choose a signing secret with spaces.
    let input = json!({ "api_key": "\trk_test_sandbox \r\n", "webhook_secret": " It's a Secret to Everybody\r\n" });
    let (status, body) = ada.api(Method::POST, "/connect/stripe", &input).await;
    assert_eq!(status, 201, "{body}");
    let event = customer_event("evt_pasted", "cus_own", platform::base::clock::now().as_second());
    let id = body["integration_id"].as_str().unwrap();
    assert_eq!(deliver(&ada, id, "It's a Secret to Everybody", &event).await, 200);
    stack.shutdown().await;
}
