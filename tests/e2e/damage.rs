//! What is damaged, and what an operator must repair: told apart, told at once, and repaired without a trace.

use std::time::Duration;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use aws_sdk_sqs::types::Message;
use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, Running, depth, logs, stack};

const SYNC: &str = "/integrations/slack/sync";

async fn sync(guest: &Guest<'_>) {
    let (status, body) = guest.api(Method::POST, SYNC, &json!({ "type": "full" })).await;
    assert_eq!(status, 202, "{body}");
}

/// The dead letters of a queue, which stay there.
async fn dead_letters(stack: &Running, queue: &str) -> Vec<Message> {
    let url = stack.embedded.as_ref().unwrap().sqs.queue_url(&format!("intertie-{queue}"));
    let call = stack.clients.sqs.receive_message().queue_url(url).max_number_of_messages(10).visibility_timeout(0);
    call.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default()
}

fn attribute<'m>(message: &'m Message, name: &str) -> &'m str {
    message.message_attributes().unwrap()[name].string_value().unwrap()
}

/// How often the metric that rings the operators' alarm was written with this reason.
pub(crate) fn alarms(stack: &Running, reason: &str) -> usize {
    let text = logs(stack);
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.get(line.find('{')?..)?).ok());
    lines.filter(|line| line["OperatorFailures"].is_array() && line["reason"] == reason).count()
}

/// Replaces an attribute of a stored credential: what was there.
async fn replace(stack: &Running, id: &str, attribute: &str, with: Vec<u8>) -> Vec<u8> {
    let call = stack.clients.dynamodb.update_item().table_name(stack.table("credentials"));
    let call =
        call.key("integration_id", AttributeValue::S(id.to_owned())).key("credential", AttributeValue::S("bot".into()));
    let call = call.update_expression("SET #name = :value").expression_attribute_names("#name", attribute);
    let call = call.expression_attribute_values(":value", AttributeValue::B(Blob::new(with)));
    let old = call.return_values(aws_sdk_dynamodb::types::ReturnValue::UpdatedOld).send().await.unwrap();
    old.attributes().unwrap()[attribute].as_b().unwrap().clone().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_ciphertext_is_dead_lettered_once_and_a_redrive_after_the_repair_lifts_it() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    let good = replace(&stack, &id, "access", vec![7; 60]).await;

    sync(&ada).await;
    ada.settled("syncs").await;
    let dead = dead_letters(&stack, "syncs-dead").await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!((attribute(&dead[0], "Reason"), attribute(&dead[0], "Attempt")), ("corrupt", "1"));
    let rung = async || (alarms(&stack, "corrupt") == 1).then_some(());
    stack.until(PATIENCE, rung).await.unwrap();
    let status = ada.status("slack").await;
    assert_eq!(status["state"], "reconnect_required", "{status}");
    assert!(status["error"].as_str().unwrap().ends_with("Connect Slack again."), "{status}");
    assert_eq!(ada.look.announced("integration.reconnect_required", &id).unwrap(), 1);

    // Neither the schedules nor calls make another one.
    let credential = ada.look.credentials(&id).await.unwrap().remove(0);
    assert!(!credential.contains_key("due_at") && !credential.contains_key("due_shard"), "no refresh is due");
    for name in ["-incremental", "-watches", "-refresh"] {
        stack.timers.iter().find(|timer| timer.schedule.name.ends_with(name)).unwrap().fire().await.unwrap();
    }
    let (answer, body) = ada.api(Method::GET, "/proxy/slack/auth.test", &Value::Null).await;
    assert_eq!((answer, &body["error"]["kind"]), (409, &json!("reconnect_required")), "{body}");
    ada.settled("syncs").await;
    ada.settled("refreshes").await;
    assert_eq!((depth(&stack, "syncs-dead"), depth(&stack, "refreshes-dead")), (1, 0));

    // Restored from a backup, say, and redriven.
    replace(&stack, &id, "access", good).await;
    let syncs = stack.embedded.as_ref().unwrap().sqs.queue_url("intertie-syncs");
    let redrive = stack.clients.sqs.send_message().queue_url(syncs).message_body(dead[0].body().unwrap());
    redrive.message_group_id("tenant").send().await.unwrap();
    ada.settled("syncs").await;
    let status = ada.status("slack").await;
    assert_eq!((&status["state"], &status["error"]), (&json!("connected"), &Value::Null), "{status}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_key_rings_an_alarm_at_once_defers_the_work_and_needs_no_hand_after_the_repair() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("slack").await;
    let before = ada.status("slack").await["last_sync"].clone();
    let faults = &stack.gateway.faults;
    // An environment that has the data key in memory would not ask.
    while stack.function("sync-worker").unwrap().kill_one() {}
    let denied = Fault {
        service: Some(Service::Kms),
        operation: Some("Decrypt".into()),
        times: u64::MAX,
        ..Fault::new(Effect::Deny)
    };
    faults.arm(vec![denied]);
    sync(&ada).await;
    let rung = async || (alarms(&stack, "denied") > 0).then_some(());
    stack.until(PATIENCE, rung).await.unwrap();
    assert_eq!(depth(&stack, "syncs-dead"), 0);
    faults.arm(Vec::new());
    ada.settled("syncs").await;
    let status = ada.status("slack").await;
    assert_eq!((&status["state"], &status["error"]), (&json!("connected"), &Value::Null), "{status}");
    assert_ne!(status["last_sync"], before, "the work resumed by itself");
    assert_eq!(depth(&stack, "syncs-dead"), 0);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_tables_dead_letters_no_sync_however_often_it_is_tried() {
    let stack = stack(&[("MaxReceiveCount", "2")]).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("slack").await;
    let before = ada.status("slack").await["last_sync"].clone();
    let sqs = &stack.embedded.as_ref().unwrap().sqs;
    let outage = Fault {
        function: Some("sync-worker".into()),
        service: Some(Service::Dynamodb),
        times: u64::MAX,
        ..Fault::new(Effect::Refuse)
    };
    stack.gateway.faults.arm(vec![outage]);
    sync(&ada).await;
    let mut struck = 0;
    for attempt in 1..=4 {
        let tried = async || Some(stack.gateway.faults.armed()[0].seen).filter(|seen| *seen > struck);
        struck = stack.until(PATIENCE, tried).await.unwrap_or_else(|waited| panic!("attempt {attempt}: {waited}"));
        // Beyond the lease that could not be released. An attempt that is still at it ends first.
        let deferred = async || (tests::delayed(&stack, "syncs") == 1).then_some(());
        stack.until(PATIENCE, deferred).await.unwrap_or_else(|waited| panic!("attempt {attempt}: {waited}"));
        struck = stack.gateway.faults.armed()[0].seen.max(struck);
        sqs.advance(Duration::from_mins(15));
    }
    assert_eq!(depth(&stack, "syncs-dead"), 0);
    stack.gateway.faults.arm(Vec::new());
    ada.settled("syncs").await;
    assert_ne!(ada.status("slack").await["last_sync"], before, "the sync that was asked for ran");
    assert_eq!(depth(&stack, "syncs-dead"), 0);
    stack.shutdown().await;
}
