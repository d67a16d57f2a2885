//! The reply to each call is lost once, so the SDK makes the call again: every conditional write recognises what it did, and
//! says the same as if the reply had come.

use std::time::Duration;

use domain::{
    Change, CredentialName, DeliveryId, Diagnosis, Integration, IntegrationKey, ProviderId, Reason, RecordKey, Version,
    integration::{Ending, IntegrationState, summary::SyncSummary},
    oauth::grant::TokenResponse,
    sync::{
        SyncJob,
        stream::{Lane, Sweep},
    },
};
use jiff::{SignedDuration, Timestamp};
use platform::{
    aws::envelope::Vault,
    base::clock,
    stores::{
        claims::{About, Applied, Claiming, Claims, Entry, GivenUp},
        credentials::{Credentials, Leasing},
        integrations::Integrations,
        pending_authorizations::{AuthorizationRequest, PendingAuthorizations, Presented, Stand},
        records::Records,
        syncs::{self, Syncs},
    },
};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tests::{Ground, integration, integration_id};

static SLACK: ProviderId = ProviderId::of_data("slack");
static STRIPE: ProviderId = ProviderId::of_data("stripe");
static USER: CredentialName = CredentialName::of_data("user");

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn key() -> IntegrationKey {
    integration("ada").key
}

#[tokio::test]
async fn a_state_is_begun_taken_and_ended_though_each_reply_is_lost_once() {
    let ground = Ground::start().await;
    let states = PendingAuthorizations::new(&ground.aws_losing_replies(), "intertie-oauth-states");
    let text = |text: &str| text.to_owned();
    let request = AuthorizationRequest {
        user_id: "ada".parse().unwrap(),
        provider: SLACK.clone(),
        return_to: text("/settings"),
        redirect_uri: text("https://a/cb"),
        scopes: text("a b"),
    };
    let presented = Presented { state: "state", browser: "browser", provider: &SLACK };
    assert!(states.begin("state", "browser", &request, later(0)).await.unwrap());
    assert!(!states.begin("state", "browser", &request, later(0)).await.unwrap(), "another call is no repeat");
    assert_eq!(states.take(presented, later(1)).await.unwrap(), Stand::Taken(request));
    assert_eq!(states.take(presented, later(1)).await.unwrap(), Stand::Exchanging, "another call is no repeat");
    states.succeed("state", later(2)).await.unwrap();
    assert_eq!(states.take(presented, later(3)).await.unwrap(), Stand::Succeeded(text("/settings")));
    states.fail("state").await.unwrap();
    assert_eq!(states.take(presented, later(3)).await.unwrap(), Stand::Unknown);
}

#[tokio::test]
async fn an_integration_says_truly_whether_a_call_ended_or_restored_it_though_each_reply_is_lost_once() {
    let ground = Ground::start().await;
    let integrations = Integrations::new(&ground.aws_losing_replies(), "intertie-integrations");
    let connected = |second| Integration { connected_at: later(second), ..integration("ada") };
    let stored = async || integrations.get(&key()).await.unwrap().map(|it| it.state);
    integrations.reserve(&connected(0)).await.unwrap();
    assert_eq!(stored().await, Some(IntegrationState::Disconnected));
    integrations.put(&connected(1), later(9)).await.unwrap();
    let summary = SyncSummary::of(later(1), [], None, None);
    assert!(
        integrations.sync_due(&key(), later(9)).await.unwrap()
            && integrations.set_sync_summary(&key(), &summary, (Lane::Main, None), Some(later(9))).await.unwrap()
    );
    assert!(integrations.set_aside(&connected(1), "words").await.unwrap());
    assert!(!integrations.set_aside(&connected(1), "words").await.unwrap(), "another call is no repeat");
    assert!(integrations.restore(&connected(1), later(9)).await.unwrap());
    assert!(!integrations.restore(&connected(1), later(9)).await.unwrap());
    assert!(integrations.end(&key(), "words", later(2)).await.unwrap());
    assert!(!integrations.end(&key(), "words", later(2)).await.unwrap());
    assert!(!integrations.disconnect(&key(), Ending::Erase, later(0)).await.unwrap(), "an earlier grant's disconnect");
    assert!(integrations.disconnect(&key(), Ending::Erase, later(2)).await.unwrap());
    integrations.disconnected(&key(), Ending::Erase).await.unwrap();
    integrations.forget(&key()).await.unwrap();
    assert_eq!(stored().await, None);
}

#[tokio::test]
async fn a_credential_is_stored_leased_rotated_and_deleted_though_each_reply_is_lost_once() {
    const MARGIN: Duration = Duration::from_mins(15);
    let ground = Ground::start().await;
    let aws = ground.aws_losing_replies();
    let vault = Vault::new(&aws, "alias/intertie", "intertie");
    let all = Credentials::new(&aws, "intertie-credentials", vault, Duration::from_secs(30));
    let issued = |access: &str| TokenResponse {
        name: USER.clone(),
        access: access.into(),
        refresh: Some(format!("refresh of {access}").into()),
        life: Some(Duration::from_hours(1)),
        scopes: None,
    };
    let id = key().id();
    let read = async || all.get(&id, &USER, later(0)).await.unwrap();
    all.put(&key(), &[issued("a1")], MARGIN, later(0)).await.unwrap();
    let Leasing::Won(held) = all.lease(&id, &USER, read().await.unwrap().version, "one", later(1)).await.unwrap()
    else {
        panic!("it is free")
    };
    let rotated = all.rotate(&held, &issued("a2"), MARGIN, later(2)).await.unwrap();
    assert_eq!(rotated.map(|it| it.access.expose_secret().to_owned()), Some("a2".into()));
    let Leasing::Won(held) = all.lease(&id, &USER, held.version + 1, "one", later(3)).await.unwrap() else {
        panic!("it is free")
    };
    all.release(&held, Some(later(9)), false).await.unwrap();
    assert_eq!(read().await.unwrap().failures, 1, "one release is one failure");
    assert_eq!(all.set_aside(&id, &USER).await.unwrap(), Some(key()));
    all.delete(&id, later(9)).await.unwrap();
    assert!(read().await.is_none());
}

#[tokio::test]
async fn an_event_is_claimed_applied_and_ended_though_each_reply_is_lost_once() {
    let ground = Ground::start().await;
    let aws = ground.aws_losing_replies();
    let claims = Claims::new(&aws, "intertie-idempotency", Duration::from_secs(30));
    let records = Records::new(&aws, "intertie-records");
    assert!(claims.first_use("session#1", later(60)).await.unwrap());
    assert!(!claims.first_use("session#1", later(60)).await.unwrap(), "another call is no repeat");
    let Claiming::Won(claim) = claims.claim("stripe#a#evt_1", "hash", "one", later(0)).await.unwrap() else {
        panic!("it is free")
    };
    let key = RecordKey::new("customers", "cus_1").unwrap();
    let change = Change::new(key, Version::stored(1), later(0), json!({}));
    let write = records.upsert_from_event(&integration_id(1), &change).unwrap();
    assert!(matches!(claims.apply(&claim, vec![write]).await.unwrap(), Applied::Committed));
    claims.complete(&claim).await.unwrap();
    assert_eq!(claims.get("stripe#a#evt_1").await.unwrap().map(|it| it.effects), Some(1));

    records.put_page(&integration_id(1), &[&change]).await.unwrap();
    let sweep = Sweep { since: clock::now() + SignedDuration::from_secs(1), of: None, except: vec![] };
    let swept =
        records.delete_unseen(&integration_id(1), "customers", &sweep, Version::stored(7), |_| true).await.unwrap();
    assert_eq!(swept.keys, [change.key().clone()]);

    let delivery_id = DeliveryId::parse("d").unwrap();
    let about = About { provider: &STRIPE, r#type: None, delivery_id: &delivery_id, received_at: later(0) };
    let entry = Entry { key: "stripe#a#evt_2", body_hash: "hash", about };
    let why = Diagnosis::new(Reason::Rejected, "moved");
    assert_eq!(claims.moved_away(entry, &why, later(9)).await.unwrap(), GivenUp::Recorded);
}

#[tokio::test]
async fn a_sync_is_leased_marked_and_given_back_though_each_reply_is_lost_once() {
    let ground = Ground::start().await;
    let syncs = Syncs::new(&ground.aws_losing_replies(), "intertie-syncs", Duration::from_mins(1));
    let syncs::Leasing::Won(lease) =
        syncs.lease(&integration_id(1), (Lane::Main, "one"), SyncJob::Full, later(0)).await.unwrap()
    else {
        panic!("it is free")
    };
    assert!(syncs.run_again(&integration_id(1), Lane::Main, SyncJob::Incremental, later(1)).await.unwrap());
    // What the lost reply said is not known: it may have been the wish for a full sync.
    assert_eq!(syncs.release(&lease).await.unwrap(), Some(SyncJob::Full));
    assert_eq!(syncs.release(&lease).await.unwrap(), None);
    assert!(
        !syncs
            .run_again(&integration_id(1), Lane::Main, SyncJob::Full, later(1) + SignedDuration::from_secs(1))
            .await
            .unwrap()
    );
    let syncs::Leasing::Won(_) =
        syncs.lease(&integration_id(1), (Lane::Main, "two"), SyncJob::Full, later(2)).await.unwrap()
    else {
        panic!("it is free")
    };
    assert_eq!(
        syncs.break_leases(&integration_id(1), later(3)).await.unwrap(),
        Some(later(62)),
        "until when it was held"
    );
}
