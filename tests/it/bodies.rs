//! Kept messages: they come back whole or not at all, and the role that opens them opens nothing else.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{ClaimState, CredentialName, Reason, oauth::grant::TokenResponse};
use jiff::{SignedDuration, Timestamp};
use platform::{
    Aws,
    aws::envelope::{Context, Vault},
    base::config::load_from,
    stores::{
        bodies::{Bodies, BodyKeeper, BodyReader, KeeperConfig, ReaderConfig},
        credentials::Credentials,
    },
};
use secrecy::ExposeSecret as _;
use tests::{Ground, integration};

const RECORD: &str = "stripe#acct_1#evt_1";
const TABLE: &str = "intertie-delivery-bodies";

fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap()
}

fn variables() -> BTreeMap<String, String> {
    [
        ("RESOURCE_PREFIX", "intertie"),
        ("VERSION", "0"),
        ("TOKEN_KEY", "alias/intertie"),
        ("DELIVERY_BODIES_TABLE", TABLE),
        ("DELIVERY_BODIES", "failed"),
        ("DELIVERY_BODY_DAYS", "7"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn keeper(aws: &Aws) -> BodyKeeper {
    BodyKeeper::new(aws, &load_from(variables(), KeeperConfig::read).unwrap())
}

fn reader(aws: &Aws) -> BodyReader {
    BodyReader::new(aws, &load_from(variables(), ReaderConfig::read).unwrap())
}

async fn keep(keeper: &BodyKeeper, text: &str) -> Option<Timestamp> {
    keeper.keep(RECORD, || Ok(text.to_owned()), ClaimState::Dead, now()).await
}

async fn opened(reader: &BodyReader, at: Timestamp) -> Option<String> {
    reader.open(RECORD, at).await.unwrap().map(|kept| kept.text.expose_secret().to_owned())
}

#[tokio::test]
async fn a_message_of_any_size_comes_back_whole_until_it_expires_and_is_ciphertext_meanwhile() {
    let ground = Ground::start().await;
    let (keeper, reader) =
        (keeper(&ground.aws_of("intertie-webhook-process")), reader(&ground.aws_of("intertie-operator-api")));
    for length in [10, 379_999, 380_000, 1_046_000] {
        let text = "canary-".repeat(length / 7 + 1);
        let until = keep(&keeper, &text).await.unwrap();
        assert_eq!(until, now() + SignedDuration::from_hours(7 * 24));
        assert_eq!(opened(&reader, until - SignedDuration::from_secs(1)).await.as_ref(), Some(&text), "{length}");
        assert_eq!(opened(&reader, until).await, None, "it has expired");
    }
    let items = ground.clients.dynamodb.scan().table_name(TABLE).send().await.unwrap().items.unwrap();
    assert_eq!(items.len(), 3);
    assert!(!format!("{items:?}").contains("canary"));
    // One data key for all, as long as it is fresh.
    let calls = ground.gateway.counts();
    let made = calls.iter().filter(|((_, _, operation), _)| operation == "GenerateDataKey").map(|(_, count)| count);
    assert_eq!(made.sum::<u64>(), 1);

    // A part of another write is no part of this one.
    let mut strange = items.into_iter().find(|item| item["part"].as_n().unwrap() == "1").unwrap();
    strange.insert("written".into(), AttributeValue::S("another".into()));
    ground.clients.dynamodb.put_item().table_name(TABLE).set_item(Some(strange)).send().await.unwrap();
    assert_eq!(opened(&reader, now()).await, None);
    keeper.drop(RECORD, ClaimState::Done).await.unwrap();
    let left = ground.clients.dynamodb.scan().table_name(TABLE).send().await.unwrap();
    assert_eq!(left.count, 0);
}

#[tokio::test]
async fn bodies_go_with_an_account_and_those_of_others_stay() {
    let ground = Ground::start().await;
    let (keeper, bodies) = (keeper(&ground.aws), Bodies::new(&ground.aws, TABLE));
    let mine = integration("ada").key;
    let (provider, account, id) = (&mine.provider, &mine.account_id, mine.id());
    let of = [account.as_str(), id.as_str(), "ada@example.com", "-", "another"];
    for scope in of {
        let record = format!("{provider}#{scope}#evt_1");
        keeper.keep(&record, || Ok("{}".to_owned()), ClaimState::Retry, now()).await.unwrap();
    }
    bodies.erase(&mine, Some("ada@example.com")).await.unwrap();
    let left = ground.clients.dynamodb.scan().table_name(TABLE).send().await.unwrap().items.unwrap();
    let mut left: Vec<_> = left.iter().map(|item| item["owner"].as_s().unwrap().clone()).collect();
    left.sort();
    assert_eq!(left, [format!("{provider}#-"), format!("{provider}#another")]);
}

#[tokio::test]
async fn the_role_that_opens_bodies_opens_no_credential_and_the_one_that_keeps_them_opens_nothing() {
    let ground = Ground::start().await;
    let vault = |aws: &Aws| Vault::new(aws, "alias/intertie", "intertie");
    let key = integration("ada").key;
    let credentials = |aws: &Aws| Credentials::new(aws, "intertie-credentials", vault(aws), Duration::from_secs(30));
    let issued = TokenResponse {
        name: CredentialName::of_data("bot"),
        access: "secret".into(),
        refresh: None,
        life: None,
        scopes: None,
    };
    credentials(&ground.aws).put(&key, &[issued], Duration::from_mins(15), now()).await.unwrap();
    assert!(keep(&keeper(&ground.aws_of("intertie-webhook-process")), "{}").await.is_some());
    let item = async |table: &str| {
        let items = ground.clients.dynamodb.scan().table_name(table).send().await.unwrap().items.unwrap();
        items[0]["data_key"].as_b().unwrap().clone().into_inner()
    };
    let (of_credential, of_body) = (item("intertie-credentials").await, item(TABLE).await);
    let id = key.id();
    let credential = Context::Integration { purpose: "credential", user_id: &key.user_id, integration_id: &id };
    let body = Context::Stack { purpose: "delivery_body" };
    for (function, context, wrapped, expected) in [
        ("operator-api", body, &of_body, None),
        ("operator-api", credential, &of_credential, Some(Reason::Denied)),
        // In the name of a body, KMS itself refuses the credential's data key.
        ("operator-api", body, &of_credential, Some(Reason::Misconfigured)),
        ("webhook-process", body, &of_body, Some(Reason::Denied)),
        ("integrations-api", body, &of_body, Some(Reason::Denied)),
        ("sync-worker", body, &of_body, Some(Reason::Denied)),
    ] {
        let vault = vault(&ground.aws_of(&format!("intertie-{function}"))).without_rewrap();
        let opened = vault.open(context, wrapped, now()).await;
        let reason = opened.err().map(|error| error.reason());
        assert_eq!(reason, expected, "{function}");
    }
    let read =
        credentials(&ground.aws_of("intertie-operator-api")).get(&id, &CredentialName::of_data("bot"), now()).await;
    assert_eq!(read.unwrap_err().reason(), Reason::Denied, "nor does it read the item");
}
