//! What identifies an account: an id that never changes; what changes is a name.

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use local_base::web::Web;
use local_cli::sign::sign;
use secrecy::SecretString;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, bootstraps_with, deliver, logs, published, stack, stack_with};

const ADA: &str = "ada@example.com";
const SUB: &str = "100000000000000000001";

/// The account gets another address at Google, or a service or not.
async fn google_account(ada: &Guest<'_>, order: Value) {
    ada.admin("gmail", Method::POST, "account", &order).await;
}

/// Google reports that this account's mailbox changed: the report as it is on the bus.
async fn pushed(ada: &Guest<'_>, account: &str, id: &str) -> Value {
    ada.admin("gmail", Method::POST, "send", &json!({ "account": account, "message_id": id })).await;
    let found = async || published(ada.stack).into_iter().find(|detail| detail["id"] == id);
    ada.stack.until(PATIENCE, found).await.unwrap_or_else(|waited| panic!("{id} is not on the bus: {waited}"))
}

async fn sync(ada: &Guest<'_>, provider: &str, kind: &str) {
    let path = format!("/integrations/{provider}/sync");
    let (status, body) = ada.api(Method::POST, &path, &json!({ "type": kind })).await;
    assert_eq!(status, 202, "{body}");
    ada.settled("syncs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_google_account_stays_one_integration_and_its_pushes_find_it_after_the_next_sync() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let gmail = ada.connect_and_sync("gmail").await;
    assert_eq!(ada.status("gmail").await["account"], json!({ "id": SUB, "name": "ada@example.com" }));
    assert_eq!(pushed(&ada, ADA, "before").await["integration_id"], gmail.as_str());

    google_account(&ada, json!({ "address": "Ada.King@example.com" })).await;
    assert_eq!(pushed(&ada, ADA, "unknown").await["integration_id"], Value::Null, "nobody has this address yet");
    sync(&ada, "gmail", "incremental").await;
    assert_eq!(ada.status("gmail").await["account"], json!({ "id": SUB, "name": "Ada.King@example.com" }));
    assert_eq!(pushed(&ada, ADA, "after").await["integration_id"], gmail.as_str());

    // Connecting again finds the same integration, and the other provider of the same account has the same id.
    assert_eq!(ada.connect("gmail").await, gmail);
    ada.connect("google-calendar").await;
    assert_eq!(ada.status("google-calendar").await["account"]["id"], SUB);
    assert_eq!(ada.holdings().await.0, 2);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_changed_hands_leads_to_who_has_it_now() {
    let stack = stack(FAST).await;
    let (ada, grace) = (Guest::new(&stack, "ada").await, Guest::new(&stack, "grace").await);
    let hers = ada.connect_and_sync("gmail").await;
    google_account(&ada, json!({ "address": "ada.king@example.com" })).await;
    google_account(&ada, json!({ "account": "grace@example.com", "address": "ada@example.com" })).await;
    let of_grace = grace.connect_account("gmail", "ada@example.com").await;
    sync(&ada, "gmail", "full").await;
    let found = pushed(&ada, "grace@example.com", "m1").await;
    assert_eq!((&found["integration_id"], &found["user_id"]), (&json!(of_grace), &json!("grace")));
    assert_eq!(pushed(&ada, ADA, "m2").await["integration_id"], hers.as_str());
    stack.shutdown().await;
}

const SHOP: &str = "acct_local";

/// The same event on the bus, for each of whom it is.
async fn heard(ada: &Guest<'_>, id: &str) -> Vec<Value> {
    let some = async || Some(of_bus(ada, id)).filter(|all| !all.is_empty());
    ada.stack.until(PATIENCE, some).await.unwrap_or_else(|waited| panic!("{id} is not on the bus: {waited}"));
    ada.settled("webhooks").await;
    of_bus(ada, id)
}

fn of_bus(ada: &Guest<'_>, id: &str) -> Vec<Value> {
    published(ada.stack).into_iter().filter(|detail| detail["id"] == id).collect()
}

/// An event as Stripe's application endpoint delivers it.
async fn reported(ada: &Guest<'_>, event: Value) -> Vec<Value> {
    let id = event["id"].as_str().unwrap().to_owned();
    assert_eq!(deliver(&Web::new(), ada.stack, &event.to_string()).await, Some(200));
    heard(ada, &id).await
}

fn payment(id: &str, live: bool) -> Value {
    let object = json!({
        "id": format!("pi_{id}"), "object": "payment_intent", "status": "succeeded", "amount_received": 2_000,
        "currency": "eur", "livemode": live,
    });
    json!({
        "id": id, "object": "event", "type": "payment_intent.succeeded", "created": platform::base::clock::now().as_second(), "livemode": live,
        "account": SHOP, "data": { "object": object },
    })
}

/// Delivers a body to an integration's own endpoint, signed with its secret.
async fn deliver_own(ada: &Guest<'_>, id: &str, secret: &str, body: &str) {
    let headers = sign("stripe", body.as_bytes(), &SecretString::from(secret), platform::base::clock::now()).unwrap();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let url = format!("{}/webhooks/stripe/{id}", ada.stack.url);
    let taken = async || {
        let answer = Web::new().call(Method::POST, &url, &headers, body.to_owned()).await.unwrap();
        (answer.status() == 200).then_some(())
    };
    // The function may believe for some seconds that there is no secret.
    ada.stack.until(PATIENCE, taken).await.unwrap();
}

async fn connect_key(ada: &Guest<'_>, key: &str) -> Value {
    let (status, body) = ada.api(Method::POST, "/connect/stripe", &json!({ "api_key": key })).await;
    assert_eq!(status, 201, "{body}");
    body
}

async fn records(ada: &Guest<'_>, account: &str, stream: &str) -> (u16, Vec<String>) {
    let path = format!("/integrations/stripe/records?stream={stream}&limit=1000&account={account}");
    let (status, body) = ada.api(Method::GET, &path, &Value::Null).await;
    let ids = body["records"].as_array().into_iter().flatten().map(|it| it["id"].as_str().unwrap().to_owned());
    (status, ids.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_event_reaches_no_live_integration_no_record_and_no_handler() {
    let stack = stack_with(bootstraps_with("webhook-handlers").await, FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    // The other user of the account, whom the tests' stack begins with, has it in test mode; she is gone.
    let gone = stack.clients.dynamodb.delete_item().table_name(stack.table("integrations"));
    let gone = gone.key("user_id", AttributeValue::S("user-1".into()));
    gone.key("integration", AttributeValue::S(format!("stripe#{SHOP}#test"))).send().await.unwrap();
    let live = connect_key(&ada, "rk_live_sandbox").await;
    assert_eq!(live["account"], json!({ "id": SHOP, "mode": "live", "name": "Sandbox Shop" }));
    ada.settled("syncs").await;

    let [detail] = &reported(&ada, payment("evt_test", false)).await[..] else { panic!("one, for nobody") };
    assert_eq!((&detail["integration_id"], &detail["livemode"]), (&Value::Null, &json!(false)));
    let [detail] = &reported(&ada, payment("evt_live", true)).await[..] else { panic!("one, for her") };
    assert_eq!((&detail["integration_id"], &detail["livemode"]), (&live["integration_id"], &json!(true)));
    assert_eq!(records(&ada, SHOP, "payment_intents").await, (200, vec!["pi_evt_live".to_owned()]));
    let handled = async || {
        let text = logs(&stack);
        let lines = || text.lines().filter(|line| line.contains("payment succeeded"));
        (lines().count() > 0).then(|| lines().all(|line| line.contains("pi_evt_live")))
    };
    assert!(stack.until(PATIENCE, handled).await.unwrap(), "the handler heard of a test payment");

    // Told at her own endpoint, it is no more hers.
    let input = json!({ "api_key": "rk_live_sandbox", "webhook_secret": "whsec_ada" });
    assert_eq!(ada.api(Method::POST, "/connect/stripe", &input).await.0, 201);
    let id = live["integration_id"].as_str().unwrap();
    for (event, mode, expected) in [("evt_own_test", false, Value::Null), ("evt_own_live", true, json!(id))] {
        deliver_own(&ada, id, "whsec_ada", &payment(event, mode).to_string()).await;
        assert_eq!(heard(&ada, event).await[0]["integration_id"], expected, "{event}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_key_over_a_live_one_is_a_second_integration_and_leaves_the_live_records_alone() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.admin("stripe", Method::POST, "customers", &json!({ "id": "cus_live", "livemode": true })).await;
    let live = connect_key(&ada, "rk_live_sandbox").await;
    ada.settled("syncs").await;
    assert_eq!(records(&ada, SHOP, "customers").await, (200, vec!["cus_live".to_owned()]));
    let test = connect_key(&ada, "rk_test_sandbox").await;
    ada.settled("syncs").await;
    assert_ne!(live["integration_id"], test["integration_id"]);
    assert_eq!(test["account"], json!({ "id": SHOP, "mode": "test", "name": "Sandbox Shop" }));

    // The id alone says no longer which.
    let (status, body) =
        ada.api(Method::GET, &format!("/integrations/stripe/records?account={SHOP}"), &Value::Null).await;
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert_eq!((status, &body["error"]["kind"]), (409, &json!("conflict")));
    assert!(message.contains("acct_local:live (Sandbox Shop)") && message.contains("acct_local:test"), "{message}");
    assert_eq!(records(&ada, "acct_local:live", "customers").await, (200, vec!["cus_live".to_owned()]));
    let (_, of_test) = records(&ada, "acct_local:test", "customers").await;
    assert!(of_test.len() > 1 && !of_test.contains(&"cus_live".to_owned()), "{of_test:?}");
    let header = [("intertie-account", "acct_local:live")];
    let (status, _, body) = ada.call(Method::GET, "/proxy/stripe/v1/customers", &header, &[]).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["data"][0]["id"], &body["data"][0]["livemode"]), (200, &json!("cus_live"), &json!(true)));

    // While one mode is connected, the id serves.
    let end = format!("/integrations/stripe/disconnect?account={SHOP}:test");
    assert_eq!(ada.api(Method::POST, &end, &json!({})).await.0, 200);
    ada.settled("syncs").await;
    assert_eq!(records(&ada, SHOP, "customers").await, (200, vec!["cus_live".to_owned()]));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_event_is_of_the_account_in_its_context_and_needs_no_object() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    for (event, more, is_hers) in [
        ("evt_context", json!({ "context": SHOP }), true),
        ("evt_path", json!({ "context": format!("acct_platform/{SHOP}") }), true),
        ("evt_other", json!({ "context": "acct_of_somebody" }), false),
        ("evt_fetched", json!({ "context": SHOP, "data": { "reason": { "error_count": 1 } }, "changes": null }), true),
        ("evt_live", json!({ "context": SHOP, "livemode": true }), false),
    ] {
        let mut order = json!({ "id": event, "object": "v2.core.event" });
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ada.admin("stripe", Method::POST, "send", &json!({ "event": order })).await;
        let reported = heard(&ada, event).await;
        assert_eq!(reported.iter().any(|it| it["integration_id"] == id.as_str()), is_hers, "{event}: {reported:?}");
        assert_eq!(reported[0]["type"], "v1.billing.meter.error_report_triggered");
        if event != "evt_fetched" {
            assert_eq!(reported[0]["data"]["id"], "mtr_sandbox", "{event}");
        }
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_named_by_its_id_or_by_a_name_that_only_one_has() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_account("gmail", ADA).await;
    ada.connect_account("gmail", "grace@example.com").await;
    ada.settled("syncs").await;
    for (account, expected) in [
        ("100000000000000000002", "grace@example.com"),
        ("grace@example.com", "grace@example.com"),
        ("GRACE@Example.com", "grace@example.com"),
        (SUB, ADA),
    ] {
        let (_, body) = ada.api(Method::GET, &format!("/integrations/gmail?account={account}"), &Value::Null).await;
        assert_eq!(body["integrations"][0]["account"]["name"], expected, "{account}: {body}");
        let header = [("intertie-account", account)];
        let (status, _, body) = ada.call(Method::GET, "/proxy/gmail/users/me/profile", &header, &[]).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &body["emailAddress"]), (200, &json!(expected)), "{account}");
    }
    let (status, body) = ada.api(Method::POST, "/integrations/gmail/sync", &json!({ "type": "full" })).await;
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert!(status == 409 && message.contains("100000000000000000001 (ada@example.com)"), "{status} {body}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_the_service_is_not_connected_and_one_without_its_permission_is_named_by_its_address() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for (provider, service) in [("gmail", "mail"), ("google-calendar", "calendar")] {
        google_account(&ada, json!({ service: false })).await;
        let callback = ada.allow(&format!("/connect/{provider}")).await;
        let back = ada.get(&callback).await.location.unwrap();
        assert!(back.contains("?error="), "{provider}: {back}");
        google_account(&ada, json!({ service: true })).await;
    }
    assert_eq!(ada.holdings().await, (0, 0));
    // Sending was allowed, and not to read, which the call needs that tells the name.
    let scopes = ["openid", "email", "https://www.googleapis.com/auth/gmail.send"];
    let callback = ada.allow_only("/connect/gmail", ADA, &scopes).await;
    let back = ada.get(&callback).await.location.unwrap();
    assert!(back.contains("?success=gmail"), "{back}");
    let found = ada.status("gmail").await;
    assert_eq!(found["account"], json!({ "id": SUB, "name": ADA }));
    assert_eq!(found["scopes"]["missing"], json!(["https://www.googleapis.com/auth/gmail.readonly"]));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slacks_deliveries_in_an_organisation_find_the_workspace_that_the_app_is_installed_in() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    let envelope = json!({
        "event_id": "EvORG", "team_id": "T0PARTNER", "context_team_id": "T0SANDBOX", "context_enterprise_id": "E0ORG",
        "authorizations": [{ "enterprise_id": "E0ORG", "team_id": null, "is_bot": true, "is_enterprise_install": true }],
    });
    let organisation = json!({ "enterprise_id": "E0ORG", "is_enterprise_install": "true", "trigger_id": "1.SLASH" });
    let view = json!({ "id": "V1", "team_id": "T0SANDBOX2", "app_installed_team_id": "T0SANDBOX" });
    for (event, order) in [
        ("EvORG", json!({ "kind": "event", "event": { "type": "app_mention", "envelope": envelope } })),
        ("1.SLASH", json!({ "kind": "slash", "event": organisation })),
        (
            "1.VIEW",
            json!({ "kind": "interactive", "team": "T0SANDBOX2", "event": { "trigger_id": "1.VIEW", "view": view } }),
        ),
    ] {
        ada.admin("slack", Method::POST, "send", &order).await;
        assert_eq!(heard(&ada, event).await[0]["integration_id"], id.as_str(), "{event}");
    }
    stack.shutdown().await;
}
