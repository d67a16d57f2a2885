//! What a provider documents as no event is answered with 200, queues nothing and rings no alarm; whatever else is genuine and no
//! event still does.

use http::Method;
use local_base::web::Web;
use local_cli::{sign::sign, stores::Item};
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, Running, depth, logs, published, stack};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Posts to Slack's address. Status and body.
async fn post(stack: &Running, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let url = format!("{}/webhooks/slack", stack.url);
    let answer = Web::new().call(Method::POST, &url, headers, body.to_owned()).await.unwrap();
    (answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned())
}

async fn send(guest: &Guest<'_>, kind: &str, event: Value) -> (Value, Value) {
    let answer = guest.admin("slack", Method::POST, "send", &json!({ "kind": kind, "event": event })).await;
    (answer["status"].clone(), answer["body"].clone())
}

/// How often the counter of probes was written.
fn probes(stack: &Running) -> usize {
    let text = logs(stack);
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.get(line.find('{')?..)?).ok());
    lines.filter(|line| line["DeliveriesProbed"].is_array() && line["service"] == "slack").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn slacks_check_of_a_certificate_is_answered_signed_or_not_and_queues_nothing() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    for kind in ["ssl_check", "signed_ssl_check"] {
        assert_eq!(send(&ada, kind, Value::Null).await, (json!(200), json!("")), "{kind}");
    }
    let counted = async || (probes(&stack) == 2).then_some(());
    stack.until(PATIENCE, counted).await.expect("the checks are counted");
    assert_eq!((depth(&stack, "webhooks"), depth(&stack, "webhooks-dead")), (0, 0));
    assert_eq!(ada.look.items("idempotency").await.unwrap(), Vec::<Item>::new());
    let log = logs(&stack);
    for line in ["accepted", "refused", "deprecated-verification-token"] {
        assert!(!log.contains(&format!("\"{line}\"")), "{line} is logged");
    }

    // Nothing can come in along with it.
    let event = "%7B%22type%22%3A%22event_callback%22%2C%22event_id%22%3A%22Ev1%22%7D";
    for body in [
        format!("ssl_check=1&payload={event}"),
        "ssl_check=1&command=%2Fsandbox&trigger_id=1.2".to_owned(),
        "ssl_check=0&token=xxx".to_owned(),
        format!("ssl_check=1&token={}", "x".repeat(10_000)),
    ] {
        assert_eq!(post(&stack, &[FORM], &body).await.0, 400, "{body:.60}");
    }
    assert_eq!(post(&stack, &[("content-type", "application/json")], r#"{"ssl_check":"1"}"#).await.0, 400);
    assert_eq!((depth(&stack, "webhooks"), depth(&stack, "webhooks-dead")), (0, 0));

    // A command is one, whatever it carries besides.
    let answer = send(&ada, "slash", json!({ "ssl_check": "1", "trigger_id": "13345224609.1" })).await;
    assert_eq!(answer, (json!(200), json!("")));
    ada.settled("webhooks").await;
    assert!(ada.look.items("idempotency").await.unwrap().len() == 1, "the command is an event");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_message_of_a_channel_queues_nothing_and_a_genuine_body_that_is_no_event_is_dead_lettered() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("google-calendar").await;
    let answered = async || logs(&stack).contains("answered a handshake").then_some(());
    stack.until(PATIENCE, answered).await.expect("Google's sync message comes");
    ada.settled("webhooks").await;
    assert_eq!(ada.look.items("idempotency").await.unwrap(), Vec::<Item>::new());
    assert!(!published(&stack).iter().any(|event| event["type"] == "calendar.sync"));

    let body = json!({ "type": "something_new" }).to_string();
    let headers =
        sign("slack", body.as_bytes(), &stack.webhook_secrets["slack"], platform::base::clock::now()).unwrap();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(post(&stack, &headers, &body).await, (200, "Received".to_owned()));
    let dead = async || (depth(&stack, "webhooks-dead") == 1).then_some(());
    stack.until(PATIENCE, dead).await.expect("it is dead-lettered");
    stack.shutdown().await;
}
