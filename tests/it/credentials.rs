//! Credentials: replaced by newer versions only, refreshed by one at a time, and never brought back.

use std::time::Duration;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use domain::{CredentialName, IntegrationKey, Reason, oauth::grant::TokenResponse};
use jiff::{SignedDuration, Timestamp};
use platform::{
    aws::envelope::Vault,
    stores::credentials::{Credential, Credentials, Leasing},
};
use proptest::{
    prelude::{Just, Strategy},
    prop_oneof,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use secrecy::ExposeSecret as _;
use tests::{Ground, integration};

static BOT: CredentialName = CredentialName::of_data("bot");
static USER: CredentialName = CredentialName::of_data("user");

const MARGIN: Duration = Duration::from_mins(15);

fn credentials(ground: &Ground) -> Credentials {
    let vault = Vault::new(&ground.aws, "alias/intertie", "intertie");
    Credentials::new(&ground.aws, "intertie-credentials", vault, Duration::from_secs(30))
}

fn owner() -> IntegrationKey {
    integration("ada").key
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn issued(name: &'static str, access: &str, refresh: Option<&str>) -> TokenResponse {
    let refresh = refresh.map(Into::into);
    TokenResponse {
        name: CredentialName::of_data(name),
        access: access.into(),
        refresh,
        life: Some(Duration::from_hours(1)),
        scopes: None,
    }
}

async fn granted(all: &Credentials, at: Timestamp) -> Credential {
    all.put(&owner(), &[issued("user", "a1", Some("r1"))], MARGIN, at).await.unwrap();
    read(all).await.unwrap()
}

async fn read(all: &Credentials) -> Option<Credential> {
    all.get(&owner().id(), &USER, later(0)).await.unwrap()
}

async fn leased(all: &Credentials, version: i64, holder: &str, at: Timestamp) -> Option<Credential> {
    match all.lease(&owner().id(), &USER, version, holder, at).await.unwrap() {
        Leasing::Won(held) => Some(*held),
        Leasing::Lost => None,
    }
}

fn secrets(found: &Credential) -> [&str; 2] {
    [found.access.expose_secret(), found.refresh.as_ref().map_or("", |refresh| refresh.expose_secret())]
}

#[tokio::test]
async fn a_lease_goes_to_one_until_it_ends_and_only_for_the_version_that_was_read() {
    let ground = Ground::start().await;
    let all = credentials(&ground);
    let found = granted(&all, later(0)).await;
    let first = leased(&all, found.version, "one", later(0)).await.unwrap();
    assert_eq!(first.refreshing_since, Some(later(0)));
    assert!(leased(&all, found.version, "two", later(29)).await.is_none(), "it is held");
    assert!(leased(&all, found.version, "one", later(29)).await.is_some(), "its holder asks again: a reply was lost");
    let second = leased(&all, found.version, "two", later(60)).await.unwrap();
    assert_eq!(second.refreshing_since, Some(later(0)), "since the refresh whose end nobody knows");
    assert!(leased(&all, found.version - 1, "three", later(200)).await.is_none(), "an older version");
    all.release(&first, None, false).await.unwrap();
    assert!(
        leased(&all, found.version, "three", later(61)).await.is_none(),
        "a late holder gave a new one's lease back"
    );
    all.release(&second, None, false).await.unwrap();
    assert!(leased(&all, found.version, "three", later(61)).await.is_some());
}

#[tokio::test]
async fn a_late_refresh_is_refused_and_an_absent_refresh_token_replaces_none() {
    let ground = Ground::start().await;
    let all = credentials(&ground);
    let old = granted(&all, later(0)).await;
    let fresh = all.rotate(&old, &issued("user", "a2", None), MARGIN, later(1)).await.unwrap().unwrap();
    assert_eq!(secrets(&fresh), ["a2", "r1"]);
    assert_eq!(secrets(&read(&all).await.unwrap()), ["a2", "r1"], "the old refresh token is kept");
    assert!(all.rotate(&old, &issued("user", "late", Some("late")), MARGIN, later(2)).await.unwrap().is_none());
    let fresh = all.rotate(&fresh, &issued("user", "a3", Some("r3")), MARGIN, later(3)).await.unwrap().unwrap();
    let stored = read(&all).await.unwrap();
    assert_eq!((secrets(&stored), stored.version), (["a3", "r3"], old.version + 2));
    assert_eq!((fresh.version, stored.failures, stored.refreshing_since), (stored.version, 0, None));
    assert_eq!(stored.expires_at, Some(later(3 + 3600)));
}

#[tokio::test]
async fn a_refresh_that_ends_after_a_disconnect_or_a_new_grant_brings_nothing_back() {
    let ground = Ground::start().await;
    let all = credentials(&ground);
    let old = granted(&all, later(0)).await;
    all.delete(&owner().id(), later(1)).await.unwrap();
    assert!(all.rotate(&old, &issued("user", "late", None), MARGIN, later(2)).await.unwrap().is_none());
    all.release(&old, Some(later(3)), false).await.unwrap();
    assert!(leased(&all, old.version, "late", later(2)).await.is_none());
    assert!(read(&all).await.is_none(), "it is back");

    let new = granted(&all, later(10)).await;
    assert!(new.version > old.version);
    assert!(all.rotate(&old, &issued("user", "late", None), MARGIN, later(11)).await.unwrap().is_none());
    all.delete(&owner().id(), later(5)).await.unwrap();
    assert_eq!(secrets(&read(&all).await.unwrap()), ["a1", "r1"], "an earlier disconnect deletes no later grant");
}

#[tokio::test]
async fn a_new_grant_takes_the_place_of_all_of_the_old_one_and_an_older_one_of_nothing() {
    let ground = Ground::start().await;
    let all = credentials(&ground);
    let both = [issued("bot", "b1", None), issued("user", "u1", None)];
    all.put(&owner(), &both, MARGIN, later(0)).await.unwrap();
    all.put(&owner(), &[issued("bot", "b2", None)], MARGIN, later(60)).await.unwrap();
    let names = async || {
        all.all(&owner().id(), later(60)).await.unwrap().credentials.into_iter().map(|it| it.name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, std::slice::from_ref(&BOT));
    assert!(all.put(&owner(), &[issued("bot", "b0", None)], MARGIN, later(30)).await.is_err(), "an older grant");
    let found = all.get(&owner().id(), &BOT, later(60)).await.unwrap().unwrap();
    assert_eq!(found.access.expose_secret(), "b2");
    let soon = later(60) + SignedDuration::from_hours(1);
    assert_eq!(found.expires_at, Some(soon));
}

#[tokio::test]
async fn tokens_longer_than_kms_takes_come_back_whole() {
    let ground = Ground::start().await;
    let all = credentials(&ground);
    let (access, refresh) = ("a".repeat(16_000), "r".repeat(9_000));
    all.put(&owner(), &[issued("user", &access, Some(&refresh))], MARGIN, later(0)).await.unwrap();
    assert_eq!(secrets(&read(&all).await.unwrap()), [access, refresh]);
}

#[tokio::test]
async fn under_another_kms_key_tokens_stay_readable_and_move_to_it_when_they_are_used() {
    let ground = Ground::start().await;
    let kms = &ground.clients.kms;
    let former = kms.describe_key().key_id("alias/intertie").send().await.unwrap().key_metadata.unwrap().key_id;
    granted(&credentials(&ground), later(0)).await;
    let current = kms.create_key().send().await.unwrap().key_metadata.unwrap().key_id;
    kms.update_alias().alias_name("alias/intertie").target_key_id(&current).send().await.unwrap();
    // Another process, which has neither key in memory.
    let all = credentials(&ground);
    let version = read(&all).await.unwrap().version;
    assert_eq!(secrets(&read(&all).await.unwrap()), ["a1", "r1"]);
    kms.disable_key().key_id(&former).send().await.unwrap();
    let all = credentials(&ground);
    let found = read(&all).await.unwrap();
    assert_eq!((secrets(&found), found.version), (["a1", "r1"], version), "only the wrapping changed");
    // What a refresh writes afterwards is under the current one, too.
    all.rotate(&found, &issued("user", "a2", Some("r2")), MARGIN, later(1)).await.unwrap().unwrap();
    assert_eq!(secrets(&read(&credentials(&ground)).await.unwrap()), ["a2", "r2"]);
}

#[tokio::test]
async fn without_kms_a_key_in_memory_goes_on_and_without_one_there_is_a_failure() {
    let ground = Ground::start().await;
    let all = credentials(&ground);
    granted(&all, later(0)).await;
    assert!(read(&all).await.is_some());
    let kms = &ground.clients.kms;
    let key = kms.describe_key().key_id("alias/intertie").send().await.unwrap().key_metadata.unwrap().key_id;
    kms.disable_key().key_id(&key).send().await.unwrap();
    assert_eq!(secrets(&read(&all).await.unwrap()), ["a1", "r1"], "the data key is in memory");
    let fresh = credentials(&ground);
    assert!(fresh.get(&owner().id(), &USER, later(0)).await.is_err(), "opened without KMS");
    assert!(fresh.put(&owner(), &[issued("user", "a2", None)], MARGIN, later(1)).await.is_err(), "stored in the clear");
    assert_eq!(secrets(&read(&all).await.unwrap()), ["a1", "r1"], "what was there is kept");
}

/// A step of a process with a credential.
#[derive(Debug, Clone)]
enum Step {
    Lease(usize),
    Rotate(usize),
    GiveBack(usize),
    Wait(i64),
    Grant,
    Delete,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3usize).prop_map(Step::Lease),
        3 => (0..3usize).prop_map(Step::Rotate),
        2 => (0..3usize).prop_map(Step::GiveBack),
        2 => (1..40i64).prop_map(Step::Wait),
        1 => Just(Step::Grant),
        1 => Just(Step::Delete),
    ]
}

/// Whatever three holders do in whatever order: one holds the lease at a time, versions only grow, a rotation counts once and
/// only on the version that it was made from, and nothing that was deleted comes back.
#[tokio::test]
async fn no_interleaving_of_holders_loses_or_revives_a_token() {
    let ground = Ground::start().await;
    let runner = &mut TestRunner::new(Config { cases: 60, ..Config::default() });
    let strategy = proptest::collection::vec(step(), 1..25);
    for case in 0..60 {
        let steps = strategy.new_tree(runner).unwrap().current();
        let owner = integration(&format!("user-{case}")).key;
        check(&credentials(&ground), &owner, &steps).await;
    }
}

async fn check(all: &Credentials, owner: &IntegrationKey, steps: &[Step]) {
    let id = owner.id();
    let mut now = 0;
    // What the model knows: the version that is stored, the number of the last token, and the lease: its holder and its end.
    let mut stored: Option<(i64, usize)> = None;
    let mut lease: Option<(usize, i64)> = None;
    let mut held: [Option<(Credential, usize)>; 3] = [None, None, None];
    let (mut tokens, mut newest) = (0, 0);
    for step in steps {
        match *step {
            Step::Wait(seconds) => now += seconds,
            Step::Grant => {
                now += 1;
                tokens += 1;
                let token = [issued("user", &format!("a{tokens}"), Some("r"))];
                all.put(owner, &token, MARGIN, later(now)).await.unwrap();
                stored = Some((later(now).as_millisecond(), tokens));
                lease = None;
            }
            Step::Delete => {
                now += 1;
                all.delete(&id, later(now)).await.unwrap();
                (stored, lease) = (None, None);
            }
            Step::Lease(holder) => {
                let Some((version, token)) = stored else { continue };
                let won = match all.lease(&id, &USER, version, &format!("h{holder}"), later(now)).await.unwrap() {
                    Leasing::Won(credential) => Some(*credential),
                    Leasing::Lost => None,
                };
                let free = lease.is_none_or(|(by, until)| until <= now || by == holder);
                assert_eq!(won.is_some(), free, "{holder} at {now}: {steps:?}");
                if let Some(credential) = won {
                    lease = Some((holder, now + 30));
                    held[holder] = Some((credential, token));
                }
            }
            Step::Rotate(holder) => {
                let Some((credential, _)) = &held[holder] else { continue };
                tokens += 1;
                let token = issued("user", &format!("a{tokens}"), None);
                let rotated = all.rotate(credential, &token, MARGIN, later(now)).await.unwrap();
                let expected = stored.is_some_and(|(version, _)| version == credential.version);
                assert_eq!(rotated.is_some(), expected, "{holder} at {now}: {steps:?}");
                if expected {
                    stored = Some((credential.version + 1, tokens));
                    lease = None;
                }
                held[holder] = None;
            }
            Step::GiveBack(holder) => {
                let Some((credential, _)) = held[holder].take() else { continue };
                all.release(&credential, None, false).await.unwrap();
                let current = stored.is_some_and(|(version, _)| version == credential.version);
                if current && lease.is_some_and(|(by, _)| by == holder) {
                    lease = None;
                }
            }
        }
        let found = all.get(&id, &USER, later(now)).await.unwrap();
        let seen = found.as_ref().map(|it| (it.version, it.access.expose_secret().to_owned()));
        assert_eq!(seen, stored.map(|(version, token)| (version, format!("a{token}"))), "after {step:?} of {steps:?}");
        if let Some((version, _)) = stored {
            assert!(version >= newest, "versions went back: {steps:?}");
            newest = version;
        }
    }
}

#[tokio::test]
async fn a_data_key_that_kms_calls_invalid_is_the_operators_until_another_one_opened() {
    let ground = Ground::start().await;
    let all = credentials(&ground);
    granted(&all, later(0)).await;
    let other = IntegrationKey { user_id: "bob".parse().unwrap(), ..owner() };
    all.put(&other, &[issued("user", "b1", None)], MARGIN, later(0)).await.unwrap();
    let name = |name: &str, value: &str| (name.to_owned(), AttributeValue::S(value.to_owned()));
    let key = [name("integration_id", owner().id().as_str()), name("credential", "user")];
    let dynamodb = &ground.clients.dynamodb;
    let read = dynamodb.get_item().table_name("intertie-credentials").set_key(Some(key.clone().into()));
    let mut altered = read.send().await.unwrap().item().unwrap()["data_key"].as_b().unwrap().clone().into_inner();
    *altered.last_mut().unwrap() ^= 1;
    let write = dynamodb.update_item().table_name("intertie-credentials").set_key(Some(key.into()));
    let write = write.update_expression("SET data_key = :altered");
    write.expression_attribute_values(":altered", AttributeValue::B(Blob::new(altered))).send().await.unwrap();
    // Of a process that has opened no key yet: the prefix, or the whole table, may be another stack's.
    let fresh = credentials(&ground);
    let reason = async |all: &Credentials| all.get(&owner().id(), &USER, later(1)).await.unwrap_err().reason();
    assert_eq!(reason(&fresh).await, Reason::Misconfigured);
    fresh.get(&other.id(), &USER, later(1)).await.unwrap().unwrap();
    assert_eq!(reason(&fresh).await, Reason::Corrupt);
}
