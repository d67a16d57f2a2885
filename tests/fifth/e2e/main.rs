//! A provider that Intertie does not ship, against a server from outside this project: what adding one takes, and that the
//! whole life of its grant follows.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod notebook;
mod setup;

use futures_util::future::join_all;
use http::Method;

use self::setup::{Setup, USER};

#[tokio::test(flavor = "multi_thread")]
async fn it_is_connected_through_the_providers_own_pages_called_and_given_back() {
    let setup = Setup::start().await;
    assert_eq!(setup.status().await["state"], "never_connected");
    let page = setup.connect("Cancel").await;
    assert!(page.contains("Nothing was connected"), "{page}");
    let page = setup.connect("Allow").await;
    assert!(page.contains("Notebook is connected"), "{page}");
    let status = setup.status().await;
    assert_eq!(status["connected"], true, "{status}");
    assert_eq!(status["account"]["id"], USER, "{status}");
    assert_eq!(status["scopes"]["missing"].as_array().map(Vec::len), Some(0), "{status}");

    let (status, body) = setup.me().await;
    assert!(status == 200 && body["sub"] == USER, "{status} {body}");
    assert!(setup.look().credential(&setup.id().await).await.unwrap().encrypted);
    setup.nothing_lies_open().await;

    // It has no streams: the first sync has nothing to do, and does it.
    let left = || tests::depth(&setup.stack, "syncs") + tests::depth(&setup.stack, "long-syncs");
    let synced = async || (left() == 0).then_some(());
    setup.stack.until(tests::PATIENCE, synced).await.unwrap();
    assert_eq!(tests::depth(&setup.stack, "syncs-dead"), 0);
    assert!(setup.status().await["last_sync"].is_string());

    let refresh_token = setup.notebook.tokens().await.pop().unwrap();
    assert!(setup.notebook.is_active(&refresh_token).await);
    let id = setup.id().await;
    let (status, body) = setup.api(Method::POST, "/integrations/notebook/disconnect").await;
    assert!(status == 200 && body["revoked"] == "yes", "{status} {body}");
    for token in setup.notebook.tokens().await {
        assert!(!setup.notebook.is_active(&token).await);
    }
    assert_eq!(setup.look().credentials(&id).await.unwrap().len(), 0);
    assert_eq!(setup.status().await["state"], "disconnected");
    assert_eq!(setup.me().await.0, 409);
    setup.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_refreshed_when_due_when_over_and_when_refused_and_each_refresh_token_is_used_once() {
    let setup = Setup::start().await;
    setup.connect("Allow").await;
    let id = setup.id().await;
    let version = async || setup.look().credential(&id).await.unwrap().version;
    let first = version().await;

    // Less is left than the provider's `refresh_ahead`, so the schedule finds it.
    setup.look().age(&id, 90).await.unwrap();
    let timer = setup.stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-refresh")).unwrap();
    assert_eq!(timer.fire().await.unwrap(), r#"{"sent":1}"#);
    let newer = async || Some(version().await).filter(|version| *version > first);
    assert_eq!(setup.stack.until(tests::PATIENCE, newer).await.unwrap(), first + 1);
    assert_eq!(setup.notebook.refreshes().await, 1);

    setup.look().age(&id, -1).await.unwrap();
    assert_eq!(setup.me().await.0, 200);
    assert_eq!(setup.notebook.refreshes().await, 2);

    setup.notebook.expire().await;
    assert_eq!(setup.me().await.0, 200);
    assert_eq!(setup.notebook.refreshes().await, 3);

    assert_eq!(version().await, first + 3);
    assert!(setup.notebook.events("refused").await.is_empty() && setup.notebook.events("revoked").await.is_empty());
    setup.nothing_lies_open().await;
    setup.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_processes_that_need_a_new_token_take_one_refresh_and_all_answer_twenty_times_over() {
    const CALLERS: usize = 50;
    let setup = Setup::start().await;
    setup.connect("Allow").await;
    let id = setup.id().await;
    for round in 1..=20 {
        // The server's tokens are used once: a second use would end the whole grant.
        if round % 2 == 0 {
            setup.notebook.expire().await;
        } else {
            setup.look().age(&id, -1).await.unwrap();
        }
        let answers = join_all((0..CALLERS).map(|_| setup.me())).await;
        assert!(answers.iter().all(|(status, body)| *status == 200 && body["sub"] == USER), "{round}: {answers:?}");
        assert_eq!(setup.notebook.refreshes().await, round);
    }
    assert!(setup.notebook.events("revoked").await.is_empty());
    assert_eq!(setup.status().await["state"], "connected");
    assert!(setup.notebook.events("refused").await.is_empty());
    setup.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_provider_ends_the_grant_the_user_is_asked_to_connect_again() {
    let setup = Setup::start().await;
    setup.connect("Allow").await;
    let stolen = setup.notebook.tokens().await.pop().unwrap();
    setup.look().age(&setup.id().await, -1).await.unwrap();
    assert_eq!(setup.me().await.0, 200);

    // The second use of a refresh token ends all of them.
    let (status, body) = setup.notebook.take(&stolen).await;
    assert!(status == 400 && body["error"] == "invalid_grant", "{status} {body}");
    assert_eq!(setup.notebook.events("revoked").await.len(), 1);
    let (status, body) = setup.me().await;
    assert!(status == 409 && body["error"]["kind"] == "reconnect_required", "{status} {body}");
    assert_eq!(setup.status().await["state"], "reconnect_required");

    setup.connect("Allow").await;
    assert_eq!(setup.status().await["state"], "connected");
    assert_eq!(setup.me().await.0, 200);
    setup.stop().await;
}
