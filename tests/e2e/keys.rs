//! Tokens and webhook secrets under another KMS key than the one in force: every function reads them, and moves tokens to it.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use http::Method;
use local_aws::Service;
use local_base::web::Web;
use local_cli::rights::OTHER_KEYS;
use serde_json::{Value, json};
use tests::{FAST, Guest, Running, customer_event, stack};

use crate::own_endpoint::deliver;

/// The data key of an integration's only item in a table. It begins with the id of the KMS key that wrapped it.
async fn data_key(guest: &Guest<'_>, table: &str, id: &str) -> Vec<u8> {
    let items = guest.look.items(table).await.unwrap();
    let [item] = items.iter().filter(|item| item["integration_id"].as_s().unwrap() == id).collect::<Vec<_>>()[..]
    else {
        panic!("{table} has not one item of {id}");
    };
    item["data_key"].as_b().unwrap().clone().into_inner()
}

/// Has another KMS key wrap it, as if it had done so at the beginning.
async fn wrap(guest: &Guest<'_>, table: &str, id: &str, kms_key: &str) {
    let (purpose, range) = if table == "credentials" { ("credential", Some("bot")) } else { ("webhook_secret", None) };
    let context = [("app", "intertie"), ("purpose", purpose), ("user", &guest.user), ("integration", id)];
    let context = Some(context.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let call = guest.stack.clients.kms.re_encrypt().ciphertext_blob(Blob::new(data_key(guest, table, id).await));
    let call = call.destination_key_id(kms_key).set_source_encryption_context(context.clone());
    let wrapped = call.set_destination_encryption_context(context).send().await.unwrap().ciphertext_blob.unwrap();
    let call = guest.stack.clients.dynamodb.update_item().table_name(guest.stack.table(table));
    let call = call.key("integration_id", AttributeValue::S(id.to_owned()));
    let call = range.into_iter().fold(call, |call, range| call.key("credential", AttributeValue::S(range.to_owned())));
    let call = call.update_expression("SET data_key = :new");
    call.expression_attribute_values(":new", AttributeValue::B(wrapped)).send().await.unwrap();
    assert!(data_key(guest, table, id).await.starts_with(kms_key.as_bytes()));
}

/// How often a function had KMS re-encrypt a data key.
fn rewraps(stack: &Running, function: &str) -> u64 {
    let key = (format!("{}-{function}", stack.prefix()), Service::Kms, "ReEncrypt".to_owned());
    stack.gateway.counts().get(&key).copied().unwrap_or_default()
}

/// Has the user's token used by this function.
async fn use_token(guest: &Guest<'_>, id: &str, function: &str) {
    let (status, body) = match function {
        "api-proxy" => guest.api(Method::GET, "/proxy/slack/auth.test", &Value::Null).await,
        "sync-worker" => guest.api(Method::POST, "/integrations/slack/sync", &json!({ "type": "full" })).await,
        "oauth-callback" => guest.api(Method::POST, "/integrations/slack/disconnect", &json!({})).await,
        _ => {
            guest.look.age(id, 60).await.unwrap();
            let sweep = guest.stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-refresh")).unwrap();
            (200, sweep.fire().await.unwrap().into())
        }
    };
    assert!((200..300).contains(&status), "{function}: {body}");
    guest.settled("syncs").await;
    guest.settled("refreshes").await;
}

/// One user for each KMS key that wrapped something before.
async fn moves(stack: &Running, in_force: &str, before: &[&str]) {
    for (user, kms_key) in ["ada", "bob"].into_iter().zip(before) {
        let guest = Guest::new(stack, user).await;
        let id = guest.connect_and_sync("slack").await;
        // The last one disconnects.
        for function in ["api-proxy", "sync-worker", "token-refresh", "oauth-callback"] {
            wrap(&guest, "credentials", &id, kms_key).await;
            let earlier = rewraps(stack, function);
            use_token(&guest, &id, function).await;
            assert_eq!(rewraps(stack, function), earlier + 1, "{function} re-encrypts it once");
            if function != "oauth-callback" {
                assert!(data_key(&guest, "credentials", &id).await.starts_with(in_force.as_bytes()), "{function}");
                let earlier = rewraps(stack, "api-proxy");
                use_token(&guest, &id, "api-proxy").await;
                assert_eq!(rewraps(stack, "api-proxy"), earlier, "what the key in force wrapped stays");
            }
        }

        let [first, second] = [1, 2].map(|number| format!("whsec_{user}_{number}"));
        let id = guest.connect_stripe(json!({ "webhook_secret": first })).await;
        guest.settled("syncs").await;
        wrap(&guest, "webhook-secrets", &id, kms_key).await;
        let event = customer_event(&format!("evt_{user}"), "cus_keys", 1_795_500_000);
        assert_eq!(deliver(&guest, &id, &first, &event).await, 200);
        assert!(data_key(&guest, "webhook-secrets", &id).await.starts_with(kms_key.as_bytes()), "only read");
        guest.connect_stripe(json!({ "webhook_secret": second })).await;
        assert!(data_key(&guest, "webhook-secrets", &id).await.starts_with(in_force.as_bytes()), "posted again");
        guest.settled("syncs").await;
    }
    // What the key in force wrapped.
    let guest = Guest::new(stack, "eve").await;
    let id = guest.connect_stripe(json!({ "webhook_secret": "whsec_eve_1" })).await;
    let event = customer_event("evt_eve", "cus_keys", 1_795_500_000);
    assert_eq!(deliver(&guest, &id, "whsec_eve_1", &event).await, 200);
    guest.connect_stripe(json!({ "webhook_secret": "whsec_eve_2" })).await;
    assert_eq!(deliver(&guest, &id, "whsec_eve_1", &event).await, 200, "the one before verifies, too");
    guest.settled("syncs").await;
}

/// A kept body opens under the key in force and under those before it.
async fn bodies(stack: &Running, before: &[&str]) {
    let admin = Guest::new(stack, "admin").await;
    assert_eq!(tests::deliver(&Web::new(), stack, r#"{"no":"event"}"#).await, Some(200));
    admin.settled("webhooks").await;
    let (_, list) = admin.api(Method::GET, "/deliveries?state=dead", &Value::Null).await;
    let path = format!("/deliveries/{}", list["deliveries"][0]["id"].as_str().unwrap().replace('=', "%3D"));
    let opens = async |under: &str| {
        let (_, one) = admin.api(Method::GET, &path, &Value::Null).await;
        assert_eq!(one["body"], json!({ "no": "event" }), "{under}: {one}");
    };
    opens("the key in force").await;
    for kms_key in before {
        let items = admin.look.items("delivery-bodies").await.unwrap();
        let [item] = items.as_slice() else { panic!("{items:?}") };
        let context = [("app", "intertie"), ("purpose", "delivery_body")];
        let context = Some(context.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let call = stack.clients.kms.re_encrypt().ciphertext_blob(item["data_key"].as_b().unwrap().clone());
        let call = call.destination_key_id(*kms_key).set_source_encryption_context(context.clone());
        let wrapped = call.set_destination_encryption_context(context).send().await.unwrap().ciphertext_blob.unwrap();
        let call = stack.clients.dynamodb.update_item().table_name(stack.table("delivery-bodies"));
        let call = call.key("key", item["key"].clone()).key("part", item["part"].clone());
        let call = call.update_expression("SET data_key = :new");
        call.expression_attribute_values(":new", AttributeValue::B(wrapped)).send().await.unwrap();
        opens(kms_key).await;
    }
}

/// The id of the KMS key in force, and of a new one that the roles know as the former one.
async fn keys(stack: &Running) -> [String; 2] {
    let [_, (_, arn)] = OTHER_KEYS;
    let kms = &stack.clients.kms;
    let in_force = kms.describe_key().key_id("alias/intertie").send().await.unwrap().key_metadata.unwrap().key_id;
    let former = kms.create_key().send().await.unwrap().key_metadata.unwrap().key_id;
    stack.gateway.set_keys([(former.clone(), arn.to_owned())].into());
    [in_force, former]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_reads_what_the_stacks_own_key_or_the_former_one_wrapped_and_moves_tokens_to_the_given_one() {
    let stack = stack(&[FAST, &OTHER_KEYS].concat()).await;
    let [own] = {
        let all = stack.clients.kms.list_keys().send().await.unwrap().keys.unwrap();
        let given = stack.clients.kms.describe_key().key_id("alias/intertie").send().await.unwrap();
        let given = given.key_metadata.unwrap().key_id;
        let ids = all.into_iter().filter_map(|key| key.key_id).filter(|id| *id != given);
        <[_; 1]>::try_from(ids.collect::<Vec<_>>()).unwrap()
    };
    let [given, former] = keys(&stack).await;
    moves(&stack, &given, &[&own, &former]).await;
    bodies(&stack, &[&own, &former]).await;
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_move_back_to_the_stacks_own_key() {
    let [_, former] = OTHER_KEYS;
    let stack = stack(&[FAST, &[former]].concat()).await;
    let [own, former] = keys(&stack).await;
    moves(&stack, &own, &[&former]).await;
    stack.shutdown().await;
}
