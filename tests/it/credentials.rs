//! Credentials: replaced by newer versions only, refreshed by one at a time, and never brought back.

use std::time::Duration;

use domain::{IntegrationKey, grant::Issued};
use jiff::{SignedDuration, Timestamp};
use platform::{
    credentials::{Credential, Credentials, Leasing},
    envelope::Vault,
};
use secrecy::ExposeSecret as _;
use tests::{Ground, integration};

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

fn issued(name: &'static str, access: &str, refresh: Option<&str>) -> Issued {
    let refresh = refresh.map(Into::into);
    Issued { name, access: access.into(), refresh, life: Some(Duration::from_hours(1)), scopes: None }
}

async fn granted(all: &Credentials, at: Timestamp) -> Credential {
    all.put(&owner(), &[issued("user", "a1", Some("r1"))], MARGIN, at).await.unwrap();
    read(all).await.unwrap()
}

async fn read(all: &Credentials) -> Option<Credential> {
    all.get(&owner().id(), "user", later(0)).await.unwrap()
}

async fn leased(all: &Credentials, version: i64, holder: &str, at: Timestamp) -> Option<Credential> {
    match all.lease(&owner().id(), "user", version, holder, at).await.unwrap() {
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
    let names =
        async || all.all(&owner().id(), later(60)).await.unwrap().into_iter().map(|it| it.name).collect::<Vec<_>>();
    assert_eq!(names().await, ["bot"]);
    assert!(all.put(&owner(), &[issued("bot", "b0", None)], MARGIN, later(30)).await.is_err(), "an older grant");
    let found = all.get(&owner().id(), "bot", later(60)).await.unwrap().unwrap();
    assert_eq!(found.access.expose_secret(), "b2");
    let soon = later(60) + SignedDuration::from_hours(1);
    assert_eq!(found.expires_at, Some(soon));
}
