//! OAuth transactions: taken once, in time, by whom they were begun.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use platform::states::{States, Transaction};
use tests::Ground;

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn transaction() -> Transaction {
    Transaction {
        user_id: "ada".into(),
        provider: "slack".into(),
        return_to: "/settings".into(),
        redirect_uri: "https://a/cb".into(),
        scopes: "a b".into(),
    }
}

#[tokio::test]
async fn of_ten_at_once_exactly_one_takes_a_transaction_and_nobody_after_them() {
    let ground = Ground::start().await;
    let states = States::new(&ground.aws, "intertie-oauth-states");
    states.begin("state", "browser", &transaction(), now()).await.unwrap();
    let all = join_all((0..10).map(|_| states.take("state", "browser", "slack", now()))).await;
    let won: Vec<_> = all.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(won, [transaction()]);
    assert_eq!(states.take("state", "browser", "slack", now()).await.unwrap(), None);
}

#[tokio::test]
async fn another_browser_provider_state_or_time_takes_nothing_and_uses_nothing_up() {
    let ground = Ground::start().await;
    let states = States::new(&ground.aws, "intertie-oauth-states");
    states.begin("state", "browser", &transaction(), now()).await.unwrap();
    assert!(states.begin("state", "other", &transaction(), now()).await.is_err(), "a state is begun once");
    let ten_minutes = now() + SignedDuration::from_mins(10);
    for (state, browser, provider, at) in [
        ("other", "browser", "slack", now()),
        ("state", "other", "slack", now()),
        ("state", "", "slack", now()),
        ("state", "browser", "gmail", now()),
        ("state", "browser", "slack", ten_minutes),
    ] {
        assert_eq!(states.take(state, browser, provider, at).await.unwrap(), None, "{state} {browser} {provider} {at}");
    }
    let just = ten_minutes - SignedDuration::from_secs(1);
    assert_eq!(states.take("state", "browser", "slack", just).await.unwrap(), Some(transaction()));
}
