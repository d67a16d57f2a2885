//! An object that is read once for several: what fails, is asked for or is gone meanwhile.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{DeliveryId, IntegrationKey, RecordKey, messages::message::SyncMessage, sync::Scope};
use http::Method;
use local_aws::faults::{Effect, Fault};
use platform::base::clock;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, Running, logs, stack};

use super::{guests, lists, records};

const SLACK: &str = "slack#T0SANDBOX";

async fn create(guest: &Guest<'_>, id: &str) {
    guest.admin("slack", Method::POST, "channels", &json!({ "id": id, "name": id.to_lowercase() })).await;
}

/// How many integrations have the channel.
async fn having(guest: &Guest<'_>, id: &str) -> usize {
    let key = format!("channels#{id}");
    records(guest).await.values().filter(|records| records.contains_key(&key)).count()
}

/// The integrations whose syncs are leased, or whose holder is to run again.
async fn held(guest: &Guest<'_>) -> Vec<String> {
    let mut items = guest.look.items("syncs").await.unwrap();
    items.retain(|item| item["item"].as_s().is_ok_and(|item| item == "lease"));
    items.retain(|item| item.contains_key("holder") || item.contains_key("again"));
    items.iter().map(|item| item["integration_id"].as_s().unwrap().clone()).collect()
}

async fn ask(guest: &Guest<'_>) {
    let (status, body) = guest.api(Method::POST, "/integrations/slack/sync", &json!({})).await;
    assert_eq!(status, 202, "{body}");
    guest.settled("syncs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_is_asked_for_while_an_object_is_written_for_several_follows_and_the_next_runs_at_once() {
    let stack = stack(FAST).await;
    let guests = guests(&stack, 3).await;
    let mut ids = Vec::new();
    for guest in &guests {
        ids.push(guest.connect_and_sync("slack").await);
    }
    assert_eq!(held(&guests[0]).await, [""; 0]);
    // The worker tells of each record under the lease.
    let slow = Fault {
        function: Some("sync-worker".into()),
        operation: Some("PutEvents".into()),
        times: 6,
        ..Fault::new(Effect::Delay(3_000))
    };
    stack.gateway.faults.arm(vec![slow]);
    create(&guests[0], "C0NEW").await;
    let under_lease = async || held(&guests[0]).await.contains(&ids[2]).then_some(());
    stack.until(PATIENCE, under_lease).await.unwrap();
    let before = lists(&guests[0]).await;
    mark(&stack, &ids[2]).await;
    guests[0].quiet().await;
    stack.gateway.faults.arm(Vec::new());
    assert_eq!(having(&guests[0], "C0NEW").await, 3);
    assert_eq!(lists(&guests[0]).await - before, 2, "the sync that was asked for");
    assert_eq!(held(&guests[0]).await, [""; 0]);
    ask(&guests[2]).await;
    assert_eq!(lists(&guests[0]).await - before, 4, "the next one");
    stack.shutdown().await;
}

/// As a message does that finds the lease held.
async fn mark(stack: &Running, id: &str) {
    let call = stack.clients.dynamodb.update_item().table_name(stack.table("syncs"));
    let call = call.key("integration_id", AttributeValue::S(id.into())).key("item", AttributeValue::S("lease".into()));
    let call = call.update_expression("SET again = :it").condition_expression("attribute_exists(holder)");
    call.expression_attribute_values(":it", AttributeValue::S(r#""incremental""#.into())).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_aws_that_fail_for_some_of_several_leave_no_lease_and_all_have_the_object_in_the_end() {
    const USERS: usize = 12;
    // A lease that no call could give back ends soon: the message of its integration waits for that.
    let soon = [("SyncTimeoutSeconds", "10"), ("SyncLeaseSeconds", "11"), ("SyncsVisibilitySeconds", "60")];
    let stack = stack(&[FAST, &soon].concat()).await;
    let guests = guests(&stack, USERS).await;
    for guest in &guests {
        guest.connect("slack").await;
    }
    guests[0].quiet().await;
    for (number, at) in [4, 12, 20].into_iter().enumerate() {
        // Eight are written for at a time, and the SDK makes each call up to three times.
        let refuse = Fault {
            function: Some("sync-worker".into()),
            operation: Some("UpdateItem".into()),
            at,
            times: 20,
            ..Fault::new(Effect::Refuse)
        };
        stack.gateway.faults.arm(vec![refuse]);
        let id = format!("C0FAULT{number}");
        create(&guests[0], &id).await;
        guests[0].quiet().await;
        assert!(stack.gateway.faults.armed()[0].seen >= at + 20, "from update {at}");
        assert_eq!(having(&guests[0], &id).await, USERS, "from update {at}");
        assert_eq!(held(&guests[0]).await, [""; 0], "from update {at}");
    }
    let logged = async || logs(&stack).contains("not written for one of several").then_some(());
    stack.until(PATIENCE, logged).await.unwrap();
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_an_integration_that_is_gone_expires_even_if_an_object_was_to_be_written_for_it() {
    let stack = stack(FAST).await;
    let guests = guests(&stack, 3).await;
    let mut ids = Vec::new();
    for guest in &guests {
        ids.push(guest.connect_and_sync("slack").await);
    }
    let path = format!("/users/{}", guests[2].user);
    let (status, body) = guests[0].api(Method::DELETE, &path, &Value::Null).await;
    assert_eq!(status, 202, "{body}");
    guests[0].quiet().await;
    let left = async || {
        let mut items = guests[0].look.items("syncs").await.unwrap();
        items.retain(|item| item["integration_id"].as_s().is_ok_and(|id| *id == ids[2]));
        items
    };
    let before = left().await;
    assert!(!before.is_empty() && before.iter().all(|item| item.contains_key("expires_at")), "{before:?}");
    guests[0].admin("slack", Method::POST, "channels", &json!({ "id": "C0NEW", "name": "new", "silent": true })).await;
    let mut keys = guests.iter().map(|guest| IntegrationKey::parse(&guest.user, SLACK).unwrap());
    let first = keys.next().unwrap();
    let scope = Scope::Object(RecordKey::new("channels", "C0NEW").unwrap());
    let delivery = DeliveryId::new(clock::now(), "request");
    let message =
        SyncMessage { others: keys.collect(), ..SyncMessage::reported(&first, scope, &delivery, clock::now()) };
    let url = stack.embedded.as_ref().unwrap().sqs.queue_url(&format!("{}-syncs", stack.prefix()));
    let call = stack.clients.sqs.send_message().queue_url(url).message_group_id(&guests[0].user);
    call.message_body(serde_json::to_string(&message).unwrap()).send().await.unwrap();
    guests[0].quiet().await;
    assert_eq!(having(&guests[0], "C0NEW").await, 2);
    assert_eq!(left().await, before);
    stack.shutdown().await;
}
