//! Webhook secrets of single integrations: replaced with an overlap, readable in their own place only.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::IntegrationKey;
use jiff::{SignedDuration, Timestamp};
use platform::{
    aws::secrets::Freshness,
    stores::webhook_secrets::{WebhookSecrets, WebhookSecretsConfig},
};
use secrecy::ExposeSecret as _;
use tests::{Ground, integration};

const TABLE: &str = "intertie-webhook-secrets";

fn store(ground: &Ground) -> WebhookSecrets {
    WebhookSecrets::new(&ground.aws, &WebhookSecretsConfig::new(TABLE, "alias/intertie", "intertie"))
}

fn later(hours: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap() + SignedDuration::from_hours(hours)
}

fn key(user: &str) -> IntegrationKey {
    integration(user).key
}

/// What verifies at this time, to a process that has read nothing before.
async fn verifying(ground: &Ground, user: &str, at: Timestamp) -> Vec<String> {
    let own = store(ground).get(&key(user).id(), Freshness::Cached, at).await.unwrap();
    own.map_or_else(Vec::new, |own| own.secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect())
}

#[tokio::test]
async fn a_replaced_secret_verifies_for_a_day_and_a_deleted_one_no_more() {
    let ground = Ground::start().await;
    let all = store(&ground);
    assert_eq!(verifying(&ground, "ada", later(0)).await, [""; 0]);
    all.put(&key("ada"), &"whsec_1".into(), later(0)).await.unwrap();
    assert_eq!(verifying(&ground, "ada", later(1)).await, ["whsec_1"]);
    all.put(&key("ada"), &"whsec_2".into(), later(2)).await.unwrap();
    assert_eq!(verifying(&ground, "ada", later(3)).await, ["whsec_2", "whsec_1"]);
    assert_eq!(verifying(&ground, "ada", later(2 + 25)).await, ["whsec_2"]);
    // The same once more is no replacement.
    all.put(&key("ada"), &"whsec_2".into(), later(30)).await.unwrap();
    assert_eq!(verifying(&ground, "ada", later(31)).await, ["whsec_2"]);
    all.delete(&key("ada").id()).await.unwrap();
    assert_eq!(verifying(&ground, "ada", later(31)).await, [""; 0]);
}

#[tokio::test]
async fn that_there_is_none_is_remembered_for_a_while_and_found_out_when_it_matters() {
    let ground = Ground::start().await;
    let (reader, writer) = (store(&ground), store(&ground));
    let id = key("ada").id();
    let at = |seconds| later(0) + SignedDuration::from_secs(seconds);
    assert!(reader.get(&id, Freshness::Cached, at(0)).await.unwrap().is_none());
    writer.put(&key("ada"), &"whsec_1".into(), at(0)).await.unwrap();
    assert!(reader.get(&id, Freshness::Cached, at(5)).await.unwrap().is_none(), "strangers can name any id");
    assert!(reader.get(&id, Freshness::Reread, at(5)).await.unwrap().is_none(), "and ask as often as they like");
    assert!(reader.get(&id, Freshness::Reread, at(11)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_secret_opens_in_no_other_place() {
    let ground = Ground::start().await;
    let all = store(&ground);
    for user in ["ada", "eve"] {
        all.put(&key(user), &format!("whsec_{user}").as_str().into(), later(0)).await.unwrap();
    }
    let table = &ground.clients.dynamodb;
    let read = async |user: &str| {
        let id = AttributeValue::S(key(user).id().to_string());
        table.get_item().table_name(TABLE).key("integration_id", id).send().await.unwrap().item.unwrap()
    };
    let (of_ada, of_eve) = (read("ada").await, read("eve").await);
    for names in [&["current"][..], &["current", "data_key"], &["current", "data_key", "version"]] {
        let mut item = of_eve.clone();
        for name in names {
            item.insert((*name).to_owned(), of_ada[*name].clone());
        }
        table.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
        let read = store(&ground).get(&key("eve").id(), Freshness::Cached, later(1)).await;
        assert!(read.is_err(), "{names:?} of another integration opened");
    }
}
