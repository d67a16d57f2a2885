//! OAuth transactions: taken once, in time, by the browser that began them; what succeeded leads it to the same place for a while.

use domain::ProviderId;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use platform::stores::pending_authorizations::{AuthorizationRequest, PendingAuthorizations, Presented, Stand};
use tests::Ground;

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn request() -> AuthorizationRequest {
    AuthorizationRequest {
        user_id: "ada".parse().unwrap(),
        provider: SLACK.clone(),
        return_to: "/settings".into(),
        redirect_uri: "https://a/cb".into(),
        scopes: "a b".into(),
    }
}

static SLACK: ProviderId = ProviderId::of_data("slack");
static GMAIL: ProviderId = ProviderId::of_data("gmail");
const PRESENTED: Presented<'_> = Presented { state: "state", browser: "browser", provider: &SLACK };

async fn begun(ground: &Ground) -> PendingAuthorizations {
    let states = PendingAuthorizations::new(&ground.aws, "intertie-oauth-states");
    assert!(states.begin("state", "browser", &request(), now()).await.unwrap());
    states
}

#[tokio::test]
async fn of_ten_at_once_exactly_one_takes_a_transaction_and_nobody_after_them() {
    let ground = Ground::start().await;
    let states = begun(&ground).await;
    let all = join_all((0..10).map(|_| states.take(PRESENTED, now()))).await;
    let (won, lost): (Vec<_>, Vec<_>) = all.into_iter().map(Result::unwrap).partition(|it| *it != Stand::Exchanging);
    assert_eq!((won, lost.len()), (vec![Stand::Taken(request())], 9));
    assert_eq!(states.take(PRESENTED, now()).await.unwrap(), Stand::Exchanging);
}

#[tokio::test]
async fn another_browser_provider_state_or_time_takes_nothing_and_uses_nothing_up() {
    let ground = Ground::start().await;
    let states = begun(&ground).await;
    assert!(!states.begin("state", "other", &request(), now()).await.unwrap(), "a state is begun once");
    let ten_minutes = now() + SignedDuration::from_mins(10);
    let others = [
        (Presented { state: "other", ..PRESENTED }, now()),
        (Presented { browser: "other", ..PRESENTED }, now()),
        (Presented { browser: "", ..PRESENTED }, now()),
        (Presented { provider: &GMAIL, ..PRESENTED }, now()),
        (PRESENTED, ten_minutes),
    ];
    for (presented, at) in others {
        assert_eq!(states.take(presented, at).await.unwrap(), Stand::Unknown, "{presented:?} {at}");
    }
    let just = ten_minutes - SignedDuration::from_secs(1);
    assert_eq!(states.take(PRESENTED, just).await.unwrap(), Stand::Taken(request()));
    for (presented, _) in &others[..4] {
        assert_eq!(states.take(*presented, just).await.unwrap(), Stand::Unknown, "{presented:?} while it is exchanged");
    }
}

#[tokio::test]
async fn what_succeeded_leads_its_own_browser_to_the_same_place_for_sixty_seconds_and_what_failed_nowhere() {
    let ground = Ground::start().await;
    let states = begun(&ground).await;
    states.take(PRESENTED, now()).await.unwrap();
    states.succeed("state", now()).await.unwrap();
    let same = Stand::Succeeded("/settings".into());
    assert_eq!(states.take(PRESENTED, now() + SignedDuration::from_secs(59)).await.unwrap(), same);
    assert_eq!(states.take(PRESENTED, now() + SignedDuration::from_secs(60)).await.unwrap(), Stand::Unknown);
    for presented in [Presented { browser: "other", ..PRESENTED }, Presented { provider: &GMAIL, ..PRESENTED }] {
        assert_eq!(states.take(presented, now()).await.unwrap(), Stand::Unknown, "{presented:?}");
    }

    let ground = Ground::start().await;
    let states = begun(&ground).await;
    states.take(PRESENTED, now()).await.unwrap();
    states.fail("state").await.unwrap();
    assert_eq!(states.take(PRESENTED, now()).await.unwrap(), Stand::Unknown);
}
