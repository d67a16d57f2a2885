//! Integrations: found by user and by account, and only usable ones get webhooks.

use domain::{
    Integration, ProviderId,
    integration::{
        Ending, IntegrationState,
        summary::{SyncSummary, Watching},
    },
    sync::stream::Lane,
};
use platform::stores::integrations::Integrations;
use tests::{Ground, integration};

static SLACK: ProviderId = ProviderId::of_data("slack");
static STRIPE: ProviderId = ProviderId::of_data("stripe");

#[tokio::test]
async fn an_account_leads_to_every_user_who_connected_it_and_to_no_disconnected_one() {
    let ground = Ground::start().await;
    let integrations = Integrations::new(&ground.aws, "intertie-integrations");
    for user in ["u1", "u2", "u3"] {
        integrations.put(&integration(user), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    }
    let mut ended = integration("u2");
    ended.state = IntegrationState::Disconnected;
    integrations.put(&ended, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    let account = integration("u1").key.account_id;
    let found = integrations.of_account(&STRIPE, &account).await.unwrap();
    let users: Vec<_> = found.iter().map(|key| key.user_id.as_str()).collect();
    assert_eq!(users, ["u1", "u3"]);
    assert!(integrations.of_account(&SLACK, &account).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_user_sees_only_their_own_and_reconnecting_does_not_double() {
    let ground = Ground::start().await;
    let integrations = Integrations::new(&ground.aws, "intertie-integrations");
    for user in ["u1", "u1", "u2"] {
        integrations.put(&integration(user), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    }
    assert_eq!(integrations.of_user(&"u1".parse().unwrap(), None).await.unwrap(), [integration("u1")]);
    assert_eq!(integrations.of_user(&"u1".parse().unwrap(), Some(&STRIPE)).await.unwrap().len(), 1);
    assert!(
        integrations.of_user(&"u1".parse().unwrap(), Some(&ProviderId::of_data("strip"))).await.unwrap().is_empty()
    );
    assert!(integrations.of_user(&"u".parse().unwrap(), None).await.unwrap().is_empty());
    let found = integrations.get(&integration("u1").key).await.unwrap();
    assert_eq!(found, Some(integration("u1")));
}

#[tokio::test]
async fn only_the_grant_that_ended_is_ended_once_and_what_its_user_ended_stays_so() {
    let ground = Ground::start().await;
    let integrations = Integrations::new(&ground.aws, "intertie-integrations");
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    let connected = |second| Integration { connected_at: at(second), ..integration("u1") };
    let summary = |second| SyncSummary::of(at(second), [], None, None);
    let key = integration("u1").key;
    let end = async |second| integrations.end(&key, "words", at(second)).await.unwrap();
    assert!(!end(5).await, "there is none");
    integrations.put(&connected(10), at(20)).await.unwrap();
    assert!(!end(9).await, "an earlier grant ended");
    assert!(end(11).await);
    assert!(!end(12).await, "twice");
    let found = integrations.get(&key).await.unwrap().unwrap();
    assert_eq!((found.state, found.problem.as_deref()), (IntegrationState::ReconnectRequired, Some("words")));
    assert!(integrations.of_account(&STRIPE, &key.account_id).await.unwrap().is_empty(), "webhooks find it");
    assert!(
        !integrations.sync_due(&key, at(30)).await.unwrap()
            && !integrations.begin_sync(&key, at(30), (Lane::Main, at(40))).await.unwrap()
            && !integrations.set_sync_summary(&key, &summary(10), (Lane::Main, None), Some(at(30))).await.unwrap()
    );

    assert!(!integrations.disconnect(&key, Ending::Keep, at(9)).await.unwrap(), "the user ended an earlier grant");
    assert!(integrations.disconnect(&key, Ending::Keep, at(13)).await.unwrap());
    assert!(!end(14).await, "its user ended it");
    let found = integrations.get(&key).await.unwrap().unwrap();
    assert_eq!((found.state, found.problem, found.ending), (IntegrationState::Disconnected, None, Some(Ending::Keep)));
    assert!(integrations.disconnect(&key, Ending::Erase, at(13)).await.unwrap(), "what was wished last counts");
    integrations.disconnected(&key, Ending::Keep).await.unwrap();
    let ending = async || integrations.get(&key).await.unwrap().unwrap().ending;
    assert_eq!(ending().await, Some(Ending::Erase), "another wish is done");
    integrations.disconnected(&key, Ending::Erase).await.unwrap();
    assert_eq!(ending().await, None);
    integrations.put(&connected(15), at(20)).await.unwrap();
    assert!(integrations.sync_due(&key, at(30)).await.unwrap(), "connected again");
    assert_eq!(integrations.of_account(&STRIPE, &key.account_id).await.unwrap(), [key]);
}

#[tokio::test]
async fn what_is_shown_of_syncs_is_that_of_the_grant_until_another_one_is_there_and_goes_with_its_end() {
    let ground = Ground::start().await;
    let integrations = Integrations::new(&ground.aws, "intertie-integrations");
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    let connected = |second| Integration { connected_at: at(second), ..integration("u1") };
    let summary = |second, active| SyncSummary::of(at(second), [], None, Some(Watching { active, of: 3 }));
    let key = integration("u1").key;
    let shown = async || {
        let found = integrations.get(&key).await.unwrap().unwrap();
        (found.sync_summary, found.syncing_until)
    };
    integrations.put(&connected(10), at(20)).await.unwrap();
    assert!(integrations.begin_sync(&key, at(30), (Lane::Main, at(40))).await.unwrap());
    assert_eq!(shown().await, (None, Some(at(40))));
    assert!(integrations.set_sync_summary(&key, &summary(10, 1), (Lane::Main, Some(at(50))), None).await.unwrap());
    assert_eq!(shown().await, (Some(summary(10, 1)), Some(at(50))), "it goes on");
    assert!(integrations.set_sync_summary(&key, &summary(10, 2), (Lane::Main, None), Some(at(60))).await.unwrap());
    assert_eq!(shown().await, (Some(summary(10, 2)), None));

    assert!(integrations.begin_sync(&key, at(30), (Lane::Main, at(70))).await.unwrap());
    let again = Integration { sync_summary: shown().await.0, ..connected(65) };
    integrations.put(&again, at(80)).await.unwrap();
    assert_eq!(shown().await, (Some(summary(10, 2)), None), "a sync of the earlier grant is none of the new one's");
    assert!(
        !integrations.set_sync_summary(&key, &summary(10, 3), (Lane::Main, None), None).await.unwrap(),
        "the earlier grant's"
    );
    assert!(integrations.set_sync_summary(&key, &summary(65, 0), (Lane::Main, Some(at(90))), None).await.unwrap());
    assert!(integrations.disconnect(&key, Ending::Keep, at(85)).await.unwrap());
    assert_eq!(shown().await, (None, None));
}
