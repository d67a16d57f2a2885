//! What broke off in the middle of a disconnect or a connect: it is shown and finished, and takes nothing from what is in use.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::*;

const SETTINGS: &str = "/settings/integrations";

/// Makes an integration's credential an hour old and due, and lets the sweep find it.
async fn sweep(guest: &Guest<'_>, id: &str) {
    guest.look.age(id, 3_600).await.unwrap();
    guest.look.age_grant(id, -3_600).await.unwrap();
    fire(guest).await;
    guest.settled("refreshes").await;
}

async fn fire(guest: &Guest<'_>) {
    let timer = guest.stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-refresh")).unwrap();
    timer.fire().await.unwrap();
}

/// Disconnects while KMS refuses to open the token.
async fn break_off(guest: &Guest<'_>, stack: &Running, provider: &str, body: &Value) {
    let trouble = Trouble::At(Service::Kms, "Decrypt", Effect::Deny);
    trouble.begin(stack).await;
    let path = format!("/integrations/{provider}/disconnect");
    assert_eq!(guest.api(Method::POST, &path, body).await.0, 500);
    trouble.end(stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_that_broke_off_is_offered_until_a_repeat_has_erased_and_reported_all_of_it() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    let records = async || {
        let items = ada.look.items("records").await.unwrap();
        items.iter().filter(|item| item["integration_id"].as_s().is_ok_and(|it| *it == id)).count()
    };
    let offered = async || {
        let page = ada.get(SETTINGS).await.body;
        (page.contains("Disconnecting Slack did not finish."), page.contains("Disconnect Acme</button>"))
    };
    break_off(&ada, &stack, "slack", &json!({})).await;
    assert_eq!(offered().await, (true, true));
    let status = ada.status("slack").await;
    assert_eq!((&status["state"], &status["connected"]), (&json!("disconnected"), &json!(false)), "{status}");
    assert!(status["error"].as_str().unwrap().contains("did not finish"), "{status}");

    // The sweep takes the tokens alone.
    sweep(&ada, &id).await;
    assert!(all_revoked(&ada, "slack").await);
    assert_eq!(ada.holdings().await, (1, 0));
    assert_eq!((offered().await, records().await > 0), ((true, true), true));
    assert_eq!(ada.look.announced("integration.disconnected", &id).unwrap(), 0);

    assert_eq!(ada.api(Method::POST, "/integrations/slack/disconnect", &json!({})).await.0, 200);
    let announced = async || (ada.look.announced("integration.disconnected", &id).unwrap() == 1).then_some(());
    stack.until(PATIENCE, announced).await.expect("it is told");
    ada.settled("syncs").await;
    assert_eq!((offered().await, records().await), ((false, false), 0));
    assert_eq!(ada.status("slack").await["error"], Value::Null);

    // What was to stay is not erased by the button as it is offered.
    ada.connect_and_sync("slack").await;
    break_off(&ada, &stack, "slack", &json!({ "keep_records": true })).await;
    let page = ada.get(SETTINGS).await.body;
    assert!(page.contains("name=\"keep_records\" value=\"true\" checked>"), "{page}");
    ada.connect("slack").await;
    let page = ada.get(SETTINGS).await.body;
    assert!(!page.contains("did not finish") && !page.contains(" checked>"), "connected again: {page}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_whose_integration_was_never_stored_is_swept_even_if_nothing_refreshes_it() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    // After the reservation and the credential comes the integration.
    let fault = Fault {
        function: Some("oauth-callback".into()),
        service: Some(Service::Dynamodb),
        operation: Some("PutItem".into()),
        at: 3,
        times: 100,
        ..Fault::new(Effect::Deny)
    };
    stack.gateway.faults.arm(vec![fault]);
    let key = json!({ "api_key": "rk_test_sandbox" });
    let (status, body) = ada.api(Method::POST, "/connect/stripe", &key).await;
    assert_eq!(status, 500, "{body}");
    stack.gateway.faults.arm(Vec::new());
    assert_eq!(ada.holdings().await, (1, 1));
    let id = ada.status("stripe").await["integration_id"].as_str().unwrap().to_owned();
    assert!(ada.look.credential(&id).await.unwrap().due);
    sweep(&ada, &id).await;
    assert_eq!(ada.holdings().await, (1, 0), "the key is gone");

    // One that is in use is found once.
    let id = ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    sweep(&ada, &id).await;
    assert_eq!((ada.holdings().await, ada.look.credential(&id).await.unwrap().due), ((1, 1), false));
    assert_eq!(ada.status("stripe").await["state"], "connected");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_that_is_connected_again_while_the_sweep_looks_at_it_keeps_its_grant() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    let id = ada.connect_and_sync("slack").await;
    break_off(&ada, &stack, "slack", &json!({})).await;
    ada.look.age(&id, 3_600).await.unwrap();
    // The sweep asks for each shard; then what it found, after it read that the integration is disconnected.
    let fault = Fault {
        function: Some("token-refresh".into()),
        service: Some(Service::Dynamodb),
        operation: Some("Query".into()),
        at: 1 + u64::from(platform::stores::due::SHARDS),
        ..Fault::new(Effect::Delay(5_000))
    };
    stack.gateway.faults.arm(vec![fault]);
    fire(&ada).await;
    let looks =
        async || (stack.gateway.faults.armed()[0].seen > u64::from(platform::stores::due::SHARDS)).then_some(());
    stack.until(PATIENCE, looks).await.expect("the sweep looks at it");
    ada.connect("slack").await;
    // As old as the sweep wants it: what it must not go by alone.
    ada.look.age_grant(&id, -3_600).await.unwrap();
    ada.settled("refreshes").await;
    assert_eq!((ada.holdings().await, all_revoked(&ada, "slack").await), ((1, 1), false));
    assert_eq!(ada.api(Method::GET, "/proxy/slack/auth.test", &Value::Null).await.0, 200);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_stays_while_an_integration_needs_it_that_was_set_aside_and_may_come_back() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("gmail").await;
    let id = ada.connect_and_sync("google-calendar").await;
    let credential = ada.look.credentials(&id).await.unwrap().remove(0);
    let set = async |value: AttributeValue| {
        let call = stack.clients.dynamodb.update_item().table_name(stack.table("credentials"));
        let call = call.key("integration_id", credential["integration_id"].clone());
        let call = call.key("credential", credential["credential"].clone());
        let call = call.update_expression("SET #name = :value").expression_attribute_names("#name", "access");
        call.expression_attribute_values(":value", value).send().await.unwrap();
    };
    set(AttributeValue::B(Blob::new(vec![7; 60]))).await;
    let call = async || ada.api(Method::GET, "/proxy/google-calendar/calendars/primary", &Value::Null).await.0;
    assert_ne!(call().await, 200);
    assert_eq!(ada.status("google-calendar").await["state"], "reconnect_required");
    let (status, body) = ada.api(Method::POST, "/integrations/gmail/disconnect", &json!({})).await;
    assert_eq!((status, &body["revoked"]), (200, &json!("still_needed")), "{body}");
    set(credential["access"].clone()).await;
    let full = json!({ "type": "full" });
    let restored = async || {
        ada.api(Method::POST, "/integrations/google-calendar/sync", &full).await;
        (call().await == 200).then_some(())
    };
    stack.until(PATIENCE, restored).await.expect("it is back in use, and its grant lives");
    stack.shutdown().await;
}
