//! One member of a list never stops its siblings: shards of a sweep, integrations of an account.

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use platform::stores::due::{SHARDS, shard};
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, Running, depth, stack};

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Sets an attribute of a guest's integration.
async fn set(guest: &Guest<'_>, integration: &str, name: &str, value: AttributeValue) {
    let call = guest.stack.clients.dynamodb.update_item().table_name(guest.stack.table("integrations"));
    let call = call.key("user_id", text(&guest.user)).key("integration", text(integration));
    let call = call.update_expression("SET #name = :value").expression_attribute_names("#name", name);
    call.expression_attribute_values(":value", value).send().await.unwrap();
}

/// Fires a schedule when its first shard can't be read, and returns whether it says that it failed.
async fn fails_at_its_first_shard(stack: &Running, function: &str, schedule: &str) -> bool {
    let fault = Fault {
        function: Some(function.into()),
        service: Some(Service::Dynamodb),
        operation: Some("Query".into()),
        times: 3,
        ..Fault::new(Effect::Throttle)
    };
    stack.gateway.faults.arm(vec![fault]);
    let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with(schedule)).unwrap();
    timer.fire().await.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_can_not_be_read_stops_no_other_shard_of_a_sweep() {
    let stack = stack(FAST).await;
    // An integration outside of the first shard, which the scheduler begins with.
    let mut number = 0;
    let (guest, id) = loop {
        let guest = Guest::new(&stack, &format!("user-{number}")).await;
        let id = guest.connect_and_sync("slack").await;
        if shard(&id.parse().unwrap()) > 0 {
            break (guest, id);
        }
        number += 1;
    };
    let synced = guest.status("slack").await["last_sync"].clone();
    set(&guest, "slack#T0SANDBOX", "due_at", AttributeValue::N("1".into())).await;
    assert!(fails_at_its_first_shard(&stack, "sync-scheduler", "-incremental").await, "what failed is told");
    guest.settled("syncs").await;
    assert_ne!(guest.status("slack").await["last_sync"], synced, "the other shards are swept");

    // The sweep of tokens begins with another shard each time: at most one can be the one that fails.
    guest.look.age(&id, 60).await.unwrap();
    let mut refreshed = 0;
    for _ in 0..3 {
        assert!(fails_at_its_first_shard(&stack, "token-refresh", "-refresh").await, "what failed is told");
        guest.settled("refreshes").await;
        refreshed = guest.refreshes("slack").await.0;
        if refreshed > 0 {
            break;
        }
        // Its own shard was the first; within five minutes it would be again.
        let other = AttributeValue::N(((shard(&id.parse().unwrap()) + 1) % SHARDS).to_string());
        let call = stack.clients.dynamodb.update_item().table_name(stack.table("credentials"));
        let call = call.key("integration_id", text(&id)).key("credential", text("bot"));
        let call = call.update_expression("SET due_shard = :shard").expression_attribute_values(":shard", other);
        call.send().await.unwrap();
    }
    assert_eq!(refreshed, 1);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_that_can_not_be_read_stops_no_other_of_its_account_from_hearing_that_the_grant_is_over() {
    let stack = stack(FAST).await;
    let (ada, bob) = (Guest::new(&stack, "ada").await, Guest::new(&stack, "bob").await);
    for guest in [&ada, &bob] {
        guest.connect_and_sync("slack").await;
        // Slack tells the time of an event in whole seconds.
        let minute_ago = platform::base::clock::now() - std::time::Duration::from_mins(1);
        set(guest, "slack#T0SANDBOX", "connected_at", text(&minute_ago.to_string())).await;
    }
    set(&ada, "slack#T0SANDBOX", "connected_at", text("damaged")).await;
    ada.admin("slack", Method::POST, "grants/revoke", &json!({})).await;
    // Slack sends `tokens_revoked` and `app_uninstalled`.
    let dead = async || (depth(&stack, "webhooks-dead") == 2).then_some(());
    stack.until(PATIENCE, dead).await.expect("the damage is told");
    let (_, body) = bob.api(Method::GET, "/integrations/slack", &Value::Null).await;
    assert_eq!(body["integrations"][0]["state"], "reconnect_required", "{body}");
    stack.shutdown().await;
}
