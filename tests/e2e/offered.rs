//! The parameter `Providers`: what it does not list is unknown to every route, is shown nowhere, and is not synced.

use std::time::Duration;

use domain::{
    Integration, IntegrationKey,
    integration::IntegrationState,
    messages::message::{Cause, SyncMessage},
    sync::SyncJob,
};
use http::Method;
use jiff::Timestamp;
use local_aws::{REGION, clients::DEVELOPER_KEY};
use local_base::web::Web;
use platform::{
    Aws,
    aws::{Patience, sync_queue::SyncQueue},
    base::clock,
    stores::integrations::Integrations,
};
use serde_json::{Value, json};
use tests::{FAST, Guest, dead_letters, stack};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_listed_is_unknown_to_every_route_and_is_not_synced() {
    let stack = stack(&[FAST, &[("Providers", "slack,stripe"), ("TokenVending", "on")]].concat()).await;
    let ada = Guest::new(&stack, "ada").await;
    let answer = Web::new().call(Method::GET, &format!("{}/providers", stack.url), &[], "").await.unwrap();
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    let ids: Vec<_> = body["providers"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!((answer.status().as_u16(), ids), (200, vec![&json!("slack"), &json!("stripe")]));
    let stripe = json!({
        "id": "stripe", "name": "Stripe", "auth": "api_key", "scopes": [], "actions": body["providers"][1]["actions"],
        "streams": ["customers", "subscriptions", "payment_intents"], "webhooks": true
    });
    assert_eq!(body["providers"][1], stripe);
    assert_eq!(
        (&body["providers"][0]["auth"], &body["providers"][0]["streams"][0]),
        (&json!("oauth"), &json!("channels"))
    );

    // One that was connected when it was listed, and is due.
    let aws = Aws::at(&stack.aws_url, REGION, DEVELOPER_KEY, Patience::QUEUE);
    let key = IntegrationKey::parse("ada", "gmail#1").unwrap();
    let connected = Integration::connected(key.clone(), "ada@example.com", Timestamp::UNIX_EPOCH);
    let integrations = Integrations::new(&aws, stack.table("integrations"));
    integrations.put(&connected, Timestamp::UNIX_EPOCH).await.unwrap();
    let before = integrations.get_with_slots(&key).await.unwrap();

    for (method, path) in [
        (Method::GET, "/connect/gmail"),
        (Method::GET, "/auth/gmail/callback?code=x&state=y"),
        (Method::GET, "/integrations/gmail"),
        (Method::GET, "/integrations/gmail/records"),
        (Method::POST, "/integrations/gmail/sync"),
        (Method::GET, "/health/gmail"),
        (Method::POST, "/actions/gmail/send_email"),
        (Method::GET, "/proxy/gmail/gmail/v1/users/me/profile"),
        (Method::POST, "/tokens/gmail"),
        (Method::POST, "/webhooks/gmail"),
    ] {
        let body = if method == Method::POST { json!({}) } else { Value::Null };
        let (status, body) = ada.api(method, path, &body).await;
        assert_eq!((status, &body["error"]["kind"]), (404, &json!("not_found")), "{path}: {body}");
    }
    let (status, body) = ada.api(Method::GET, "/changes?provider=gmail", &Value::Null).await;
    assert_eq!((status, &body["error"]["fields"][0]["field"]), (422, &json!("provider")), "{body}");
    for path in ["/integrations", "/health", "/settings/integrations"] {
        let (status, _, body) = ada.call(Method::GET, path, &[], b"").await;
        let text = String::from_utf8(body).unwrap().to_lowercase();
        assert!(status == 200 && text.contains("slack") && !text.contains("gmail"), "{path}: {text}");
    }

    // The sweep sends the two that are offered, and a message of before does nothing.
    let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-incremental")).unwrap();
    let swept: Value = serde_json::from_str(&timer.fire().await.unwrap()).unwrap();
    assert_eq!(swept["sent"], 1, "that of user-1 at Stripe");
    let queue = &stack.embedded.as_ref().unwrap().sqs.queue_url(&format!("{}-syncs", stack.prefix()));
    let asked = SyncMessage::new(&key, SyncJob::Incremental, Cause::Asked, clock::now());
    SyncQueue::new(&aws, queue).send(&asked, Duration::ZERO).await.unwrap();
    ada.settled("syncs").await;
    assert_eq!(integrations.get_with_slots(&key).await.unwrap(), before, "it stays due");
    assert_eq!(dead_letters(&stack, "syncs").await, [""; 0]);

    // A user withdraws a grant, and one that is erased is erased there, too.
    let (status, body) = ada.api(Method::POST, "/integrations/gmail/disconnect", &json!({})).await;
    assert_eq!((status, &body["disconnected"]), (200, &json!(true)), "{body}");
    let state = integrations.get(&key).await.unwrap().unwrap().state;
    assert_eq!(state, IntegrationState::Disconnected);
    integrations.put(&connected, Timestamp::UNIX_EPOCH).await.unwrap();
    let (status, body) = ada.api(Method::DELETE, "/users/ada", &Value::Null).await;
    assert_eq!((status, &body["integrations"][0]["provider"]), (202, &json!("gmail")), "{body}");
    ada.settled("syncs").await;
    assert_eq!(integrations.get(&key).await.unwrap(), None);
    stack.shutdown().await;
}
