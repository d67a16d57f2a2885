//! Users of one account: it is read once for all of them that have equal scopes, and each has records of its own.

mod groups;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::types::{AttributeValue, StreamSpecification};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use local_aws::faults::{Effect, Fault};
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, Running, depth, stack};

/// What the sandbox's workspace has besides what is made.
const SEEDED: usize = 3;

/// How often Slack was asked for its lists.
async fn lists(guest: &Guest<'_>) -> usize {
    guest.calls("slack", "/conversations.list").await + guest.calls("slack", "/users.list").await
}

/// The records that are not deleted, by integration.
async fn records(guest: &Guest<'_>) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all = BTreeMap::<_, BTreeMap<_, _>>::new();
    for item in guest.look.items("records").await.unwrap() {
        let text = |name: &str| item[name].as_s().unwrap().clone();
        if !item["deleted"].as_bool().unwrap() {
            all.entry(text("integration_id")).or_default().insert(text("record"), text("data"));
        }
    }
    all
}

async fn guests(stack: &Running, count: usize) -> Vec<Guest<'_>> {
    let mut guests = Vec::new();
    for number in 0..count {
        guests.push(Guest::new(stack, &format!("user-{number}")).await);
    }
    guests
}

/// Lets an hour pass since the last readings of all accounts.
async fn age(stack: &Running) {
    let table = stack.table("syncs");
    let pages = stack.clients.dynamodb.scan().table_name(&table).consistent_read(true).into_paginator();
    for item in pages.items().send().collect::<Result<Vec<_>, _>>().await.unwrap() {
        let name = item["item"].as_s().unwrap();
        let attribute = if name.starts_with("stream-full#") { "state" } else { "readings" };
        let Some(Ok(text)) = item.get(attribute).map(AttributeValue::as_s) else { continue };
        let mut value: Value = serde_json::from_str(text).unwrap();
        let earlier = |time: &mut Value| {
            let at: Timestamp = time.as_str().unwrap().parse().unwrap();
            *time = json!(at - SignedDuration::from_hours(1));
        };
        if attribute == "state" {
            earlier(&mut value["full_since"]);
        } else {
            for reading in value.as_object_mut().unwrap().values_mut() {
                earlier(&mut reading["since"]);
            }
        }
        let call = stack.clients.dynamodb.update_item().table_name(&table);
        let call = call.key("integration_id", item["integration_id"].clone()).key("item", item["item"].clone());
        let call = call.update_expression("SET #it = :it").expression_attribute_names("#it", attribute);
        call.expression_attribute_values(":it", AttributeValue::S(value.to_string())).send().await.unwrap();
    }
}

/// Makes a slot of long ago the one that is due.
async fn due(stack: &Running, guest: &Guest<'_>) {
    let call = stack.clients.dynamodb.update_item().table_name(stack.table("integrations"));
    let call = call.key("user_id", AttributeValue::S(guest.user.clone()));
    let call = call.key("integration", AttributeValue::S("slack#T0SANDBOX".into()));
    let call = call.update_expression("SET due_at = :at");
    call.expression_attribute_values(":at", AttributeValue::N("1".into())).send().await.unwrap();
}

/// Fires the schedule of syncs.
async fn fire(stack: &Running) {
    let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-incremental")).unwrap();
    timer.fire().await.unwrap();
}

/// The slots of these users come.
async fn slots(stack: &Running, guests: &[Guest<'_>]) {
    for guest in guests {
        due(stack, guest).await;
    }
    fire(stack).await;
    guests[0].settled("syncs").await;
}

/// The records as they are stored.
async fn stored(guest: &Guest<'_>) -> Vec<String> {
    let mut all: Vec<_> = guest
        .look
        .items("records")
        .await
        .unwrap()
        .iter()
        .map(|item| {
            let of = |name: &str| item[name].as_s().unwrap();
            format!("{} {} {:?} {}", of("integration_id"), of("record"), item["changed_at"], of("data"))
        })
        .collect();
    all.sort();
    all
}

/// What so many users of a workspace cost: calls of the provider, and the time until nothing was queued any more.
#[derive(Debug)]
struct Figures {
    /// All connect, one after the other.
    first: (usize, Duration),
    /// Another one connects then.
    later: (usize, Duration),
    /// Slack reports a new channel.
    event: (usize, Duration),
}

/// Measures a workspace of so many people. The queues have their own time.
async fn measure(count: usize, people: usize) -> Figures {
    // More workers than processors would make the embedded DynamoDB late.
    let stack = stack(&[("SyncsMaximumConcurrency", "2")]).await;
    let guests = guests(&stack, count + 1).await;
    let (late, first) = guests.split_last().unwrap();
    late.admin("slack", Method::POST, "many", &json!({ "users": people - SEEDED })).await;
    // Nothing here reads the stream of the records, and the embedded DynamoDB looks through all of it at each write.
    let none = StreamSpecification::builder().stream_enabled(false).build().unwrap();
    let call = stack.clients.dynamodb.update_table().table_name(stack.table("records"));
    call.stream_specification(none).send().await.unwrap();
    let calls = async || lists(late).await + late.calls("slack", "/conversations.info").await;
    let rests = async || {
        let quiet = async || {
            let queued = ["syncs", "long-syncs", "webhooks"].map(|queue| depth(&stack, queue)).iter().sum::<usize>()
                + stack.sandbox.under_way();
            (queued == 0).then_some(())
        };
        stack.until(Duration::from_hours(2), quiet).await.unwrap();
    };
    let begun = Instant::now();
    for guest in first {
        guest.connect("slack").await;
    }
    rests().await;
    let first = (calls().await, begun.elapsed());
    let begun = Instant::now();
    late.connect("slack").await;
    rests().await;
    let later = (calls().await - first.0, begun.elapsed());
    let begun = Instant::now();
    late.admin("slack", Method::POST, "channels", &json!({ "id": "C0NEW", "name": "new" })).await;
    rests().await;
    let event = (calls().await - first.0 - later.0, begun.elapsed());
    let records = records(late).await;
    assert_eq!(records.len(), count + 1);
    let distinct: BTreeSet<_> = records.values().collect();
    assert!(distinct.len() == 1 && distinct.iter().all(|of| of.len() == people + SEEDED + 1), "all have the same");
    stack.shutdown().await;
    Figures { first, later, event }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_read_once_however_many_users_connect_it_and_a_later_one_copies() {
    let figures = measure(6, 200).await;
    assert_eq!((figures.first.0, figures.later.0, figures.event.0), (2, 0, 1), "{figures:?}");
    assert!(figures.later.1 < Duration::from_secs(10), "{figures:?}");
}

/// By hand: `cargo test -p tests --test e2e -- --ignored --nocapture sharing::`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: the embedded DynamoDB takes most of them"]
async fn forty_users_of_a_workspace_of_500_people_are_one_reading() {
    let figures = measure(40, 500).await;
    println!("{figures:?}");
    assert_eq!((figures.first.0, figures.later.0, figures.event.0), (2, 0, 1), "{figures:?}");
}

/// By hand, likewise.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "half an hour, and most of the machine: 500,000 records"]
async fn two_hundred_and_fifty_users_of_a_workspace_of_2000_people_are_one_reading() {
    let figures = measure(250, 2_000).await;
    println!("{figures:?}");
    assert_eq!((figures.first.0, figures.later.0, figures.event.0), (2, 0, 1), "{figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_other_scopes_or_another_account_get_only_what_they_read_themselves() {
    let stack = stack(FAST).await;
    let guests = guests(&stack, 4).await;
    let few = ["channels:read,groups:read,users:read"];
    guests[0].connect_and_sync("slack").await;
    for (guest, account) in [(&guests[1], "T0SANDBOX"), (&guests[2], "T0SANDBOX2")] {
        let callback = guest.allow_only("/connect/slack", account, &few).await;
        assert_eq!(guest.get(&callback).await.status, 302);
        guest.quiet().await;
    }
    assert_eq!(lists(&guests[0]).await, 6, "each has read for itself");
    let callback = guests[3].allow_only("/connect/slack", "T0SANDBOX2", &few).await;
    assert_eq!(guests[3].get(&callback).await.status, 302);
    guests[3].quiet().await;
    assert_eq!(lists(&guests[0]).await, 6, "the last one has the account and the scopes of another");
    let records = records(&guests[0]).await;
    let (mut of, mut ids) = (Vec::new(), BTreeSet::new());
    for guest in &guests {
        let id = guest.status("slack").await["integration_id"].as_str().unwrap().to_owned();
        of.push(records[&id].keys().cloned().collect::<BTreeSet<_>>());
        ids.insert(id);
    }
    assert_eq!((ids.len(), &of[0], &of[2]), (4, &of[1], &of[3]));
    assert!(of[0].is_disjoint(&of[2]) && !of[2].is_empty());
    // Their events, too: one message each.
    guests[0].admin("slack", Method::POST, "channels", &json!({ "name": "news" })).await;
    guests[0].quiet().await;
    assert_eq!(guests[0].calls("slack", "/conversations.info").await, 2);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_of_an_account_is_one_reading_and_what_changed_is_written_for_each() {
    const USERS: usize = 4;
    let stack = stack(FAST).await;
    let guests = guests(&stack, USERS).await;
    guests[0].admin("slack", Method::POST, "many", &json!({ "users": 40, "channels": 10 })).await;
    for guest in &guests {
        guest.connect("slack").await;
    }
    guests[0].quiet().await;
    age(&stack).await;
    let (before, calls) = (stored(&guests[0]).await, lists(&guests[0]).await);
    slots(&stack, &guests).await;
    assert_eq!(lists(&guests[0]).await - calls, 2);
    assert_eq!(stored(&guests[0]).await, before, "nothing is written");

    age(&stack).await;
    let quietly = |mut fields: Value| {
        fields["silent"] = true.into();
        fields
    };
    let path = "users/U0GRACE0001";
    guests[0].admin("slack", Method::POST, path, &quietly(json!({ "real_name": "Rear Admiral Hopper" }))).await;
    guests[0].admin("slack", Method::POST, "channels", &quietly(json!({ "id": "C0NEW", "name": "new" }))).await;
    guests[0].admin("slack", Method::DELETE, "channels/C0SALES0001", &quietly(json!({}))).await;
    let calls = lists(&guests[0]).await;
    slots(&stack, &guests).await;
    assert_eq!(lists(&guests[0]).await - calls, 2);
    let all = records(&guests[0]).await;
    assert_eq!((all.len(), all.values().collect::<BTreeSet<_>>().len()), (USERS, 1));
    let one = all.values().next().unwrap();
    assert!(one["users#U0GRACE0001"].contains("Rear Admiral Hopper") && one.contains_key("channels#C0NEW"));
    assert!(!one.contains_key("channels#C0SALES0001"));
    let now = stored(&guests[0]).await;
    let written = now.iter().filter(|record| !before.contains(record)).count();
    assert_eq!(written, 3 * USERS, "what changed, for each, and nothing else");

    // With N users, N reads of an index that has all N would be the dearest of all.
    age(&stack).await;
    let lookups = || {
        let name = |what: &str| format!("{}-{what}", stack.prefix());
        let key = (name("sync-worker"), name("integrations"), "Query".to_owned());
        stack.gateway.consumption().get(&key).map(|it| it.calls)
    };
    assert_eq!(lookups(), None, "they are counted from now on");
    slots(&stack, &guests[..1]).await;
    let before = lookups();
    assert!(before.is_some());
    for guest in &guests[1..] {
        slots(&stack, std::slice::from_ref(guest)).await;
    }
    assert_eq!(lookups(), before);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_dies_in_the_reading_is_replaced_by_that_of_another_user() {
    let stack = stack(FAST).await;
    let guests = guests(&stack, 3).await;
    let dead = json!({ "status": 200, "body": { "ok": false, "error": "token_revoked" } });
    // Also after a refresh.
    guests[0].fault("slack", "/users.list", 2, dead).await;
    for guest in &guests {
        guest.connect("slack").await;
    }
    guests[0].quiet().await;
    let (mut connected, mut ended) = (0, 0);
    let records = records(&guests[0]).await;
    for guest in &guests {
        let status = guest.status("slack").await;
        match status["state"].as_str().unwrap() {
            "connected" => {
                connected += 1;
                assert_eq!(records[status["integration_id"].as_str().unwrap()].len(), 2 * SEEDED);
            }
            _ => ended += 1,
        }
    }
    assert_eq!((connected, ended), (2, 1));
    // Three of the one that broke off, and of the one that took over one or two: it may have copied the channels before. That copy is of
    // a reading from before it was connected, which is no source for the third.
    let lists = lists(&guests[0]).await;
    assert!((4..=6).contains(&lists), "{lists}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_from_an_integration_that_is_erased_meanwhile_begins_anew_at_the_provider() {
    const PEOPLE: usize = 1_200;
    let stack = stack(FAST).await;
    let guests = guests(&stack, 2).await;
    let [ada, bob] = &guests[..] else { panic!("two") };
    ada.admin("slack", Method::POST, "many", &json!({ "users": PEOPLE - SEEDED })).await;
    let source = ada.connect_and_sync("slack").await;
    let calls = lists(ada).await;
    // In the middle of what bob copies.
    let slow = Fault {
        function: Some("sync-worker".into()),
        operation: Some("UpdateItem".into()),
        at: 300,
        ..Fault::new(Effect::Delay(3_000))
    };
    stack.gateway.faults.arm(vec![slow]);
    let copy = bob.connect("slack").await;
    let struck = async || (stack.gateway.faults.armed()[0].seen >= 300).then_some(());
    stack.until(PATIENCE, struck).await.unwrap();
    let (status, body) = ada.api(Method::POST, "/integrations/slack/disconnect", &json!({})).await;
    assert_eq!(status, 200, "{body}");
    bob.quiet().await;
    assert_eq!(lists(bob).await - calls, 2, "the channels were copied before; two pages of people");
    let records = records(bob).await;
    assert!(!records.contains_key(&source), "what is erased stays erased");
    assert_eq!(records[&copy].len(), PEOPLE + SEEDED);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_a_channel_is_one_call_however_many_users_there_are_and_whatever_dies() {
    const USERS: usize = 12;
    let stack = stack(FAST).await;
    let guests = guests(&stack, USERS).await;
    for guest in &guests {
        guest.connect("slack").await;
    }
    guests[0].quiet().await;
    let lists_before = lists(&guests[0]).await;
    let asked = async || guests[0].calls("slack", "/conversations.info").await;
    let has = async |id: &str| {
        let key = format!("channels#{id}");
        records(&guests[0]).await.values().filter(|records| records.contains_key(&key)).count()
    };
    let create = async |id: &str| {
        guests[0].admin("slack", Method::POST, "channels", &json!({ "id": id, "name": id.to_lowercase() })).await;
    };
    create("C0ALIVE").await;
    guests[0].quiet().await;
    assert_eq!((has("C0ALIVE").await, asked().await), (USERS, 1));
    for (number, at) in [2, 9, 20].into_iter().enumerate() {
        let before = asked().await;
        let strike = Fault {
            function: Some("sync-worker".into()),
            operation: Some("UpdateItem".into()),
            at,
            ..Fault::new(Effect::KillAfter)
        };
        stack.gateway.faults.arm(vec![strike]);
        let id = format!("C0DEAD{number}");
        create(&id).await;
        let struck = async || (stack.gateway.faults.armed()[0].seen >= at).then_some(());
        stack.until(PATIENCE, struck).await.unwrap();
        stack.embedded.as_ref().unwrap().sqs.advance(Duration::from_hours(1));
        guests[0].quiet().await;
        assert_eq!(has(&id).await, USERS, "killed after update {at}");
        assert!(asked().await - before <= 2, "killed after update {at}");
    }
    assert_eq!(lists(&guests[0]).await, lists_before);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_worker_dies_at_any_call_ends_with_what_its_source_has_and_asks_the_provider_nothing() {
    let stack = stack(FAST).await;
    let guests = guests(&stack, 2).await;
    let [ada, bob] = &guests[..] else { panic!("two") };
    for guest in &guests {
        guest.connect_and_sync("slack").await;
    }
    // Each round brings a channel and takes another away; ada reads it, and bob copies it in his slot.
    let round = async |number: usize| {
        let silent = json!({ "id": format!("C0ROUND{number:03}"), "name": "round", "silent": true });
        ada.admin("slack", Method::POST, "channels", &silent).await;
        if let Some(before) = number.checked_sub(1) {
            let path = format!("channels/C0ROUND{before:03}");
            ada.admin("slack", Method::DELETE, &path, &json!({ "silent": true })).await;
        }
        age(&stack).await;
        let (status, body) = ada.api(Method::POST, "/integrations/slack/sync", &json!({})).await;
        assert_eq!(status, 202, "{body}");
        ada.settled("syncs").await;
    };
    // Until a sync ends before it has made so many calls.
    for (number, call) in (1..).step_by(3).enumerate() {
        round(number).await;
        let calls = lists(ada).await;
        let strike = Fault { function: Some("sync-worker".into()), at: call, ..Fault::new(Effect::KillBefore) };
        stack.gateway.faults.arm(vec![strike]);
        due(&stack, bob).await;
        fire(&stack).await;
        let seen = || stack.gateway.faults.armed()[0].seen;
        let struck = async || {
            // The message waits for its slot. Once it is received, time would have it received again and again.
            let sqs = &stack.embedded.as_ref().unwrap().sqs;
            let depths = sqs.depths();
            let mut queue = depths.iter().filter(|it| it.name.ends_with("-long-syncs"));
            if queue.any(|it| it.visible + it.in_flight == 0 && it.delayed > 0) {
                sqs.advance(Duration::from_mins(15));
            }
            let has_ended = depth(&stack, "long-syncs") == 0;
            (seen() >= call || has_ended).then_some(())
        };
        stack.until(PATIENCE, struck).await.unwrap();
        let has_died = seen() >= call;
        stack.gateway.faults.arm(Vec::new());
        stack.embedded.as_ref().unwrap().sqs.advance(Duration::from_hours(1));
        bob.settled("syncs").await;
        let records = records(ada).await;
        assert_eq!(records.values().collect::<BTreeSet<_>>().len(), 1, "killed before call {call}");
        assert!(records.values().all(|of| of.contains_key(&format!("channels#C0ROUND{number:03}"))));
        assert_eq!(lists(ada).await, calls, "killed before call {call}");
        if !has_died {
            assert!(number > 10, "a copy takes {call} calls at most");
            break;
        }
    }
    stack.shutdown().await;
}
