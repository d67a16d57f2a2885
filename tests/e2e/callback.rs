//! Connecting under attack and under accidents: whatever comes back to the callback, only the browser that began it connects,
//! once, and what is refused stores nothing.

mod answers;
mod lost_replies;
mod reasons;
mod reconnect;
mod replay;
mod second;
mod strangers;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::{join, join_all};
use local_cli::browser::{BrowserPage, query};
use tests::{FAST, Guest, stack};

/// A callback's address with this change of its query.
fn changed(callback: &str, change: impl FnOnce(&mut Vec<(String, String)>)) -> String {
    let mut pairs = query(callback);
    change(&mut pairs);
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    format!("{}?{}", callback.split('?').next().unwrap(), pairs.join("&"))
}

fn escaped(value: &str) -> String {
    value
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn set(callback: &str, name: &str, value: &str) -> String {
    changed(callback, |pairs| {
        pairs.retain(|(known, _)| known != name);
        pairs.push((name.to_owned(), value.to_owned()));
    })
}

fn add(callback: &str, name: &str, value: &str) -> String {
    changed(callback, |pairs| pairs.push((name.to_owned(), value.to_owned())))
}

fn without(callback: &str, name: &str) -> String {
    changed(callback, |pairs| pairs.retain(|(known, _)| known != name))
}

fn value(callback: &str, name: &str) -> String {
    query(callback).into_iter().find(|(known, _)| known == name).unwrap().1
}

/// Refused before anything of the authorization request is used.
fn assert_invalid(page: &BrowserPage, what: &str) {
    assert_eq!((page.status, &page.location), (400, &None), "{what}: {}", page.body);
    assert!(page.body.contains("not valid any more"), "{what}: {}", page.body);
    assert_eq!(page.headers["cache-control"], "no-store", "{what}");
    assert_eq!(page.headers["referrer-policy"], "no-referrer", "{what}");
}

fn assert_leads(page: &BrowserPage, to: &str, what: &str) {
    assert_eq!(page.status, 302, "{what}: {}", page.body);
    assert!(page.location.as_deref().is_some_and(|at| at.ends_with(to)), "{what}: {:?}, not {to}", page.location);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_is_stored_hashed_counts_once_and_only_for_the_browser_that_began() {
    let stack = stack(FAST).await;
    let (ada, eve) = join(Guest::new(&stack, "ada"), Guest::new(&stack, "eve")).await;
    let late = ada.allow("/connect/slack").await;
    expire_states(&ada).await;
    assert_invalid(&ada.get(&late).await, "an expired state");
    let callback = ada.allow("/connect/slack").await;
    let state = value(&callback, "state");
    assert!(state.len() >= 43, "256 bits: {state}");
    let stored = ada.look.bytes("oauth-states").await.unwrap();
    assert!(!stored.windows(state.len()).any(|part| part == state.as_bytes()), "the state lies open in the table");

    for (what, url) in [
        ("no state", without(&callback, "state")),
        ("an empty state", set(&callback, "state", "")),
        ("a wrong state", set(&callback, "state", &"A".repeat(43))),
        ("the state twice", add(&callback, "state", &state)),
        ("two states", add(&callback, "state", "other")),
        ("the state of another provider", callback.replace("/auth/slack/", "/auth/gmail/")),
        ("a refusal without a state", without(&set(&callback, "error", "access_denied"), "state")),
        ("a refusal with a wrong state", set(&set(&callback, "error", "access_denied"), "state", "x")),
    ] {
        assert_invalid(&ada.get(&url).await, what);
    }
    assert_invalid(&eve.get(&callback).await, "a browser without the cookie");
    let of_eve = eve.allow("/connect/slack").await;
    assert_invalid(&eve.get(&callback).await, "another user's browser");
    assert_invalid(&ada.get(&of_eve).await, "ada is led to finish what eve began");
    assert_eq!((ada.holdings().await, eve.holdings().await), ((0, 0), (0, 0)));
    assert_eq!(ada.calls("slack", "POST /api/oauth.v2.access").await, 0, "nobody asked Slack for a token");

    // As many at once as there are environments: nothing that was refused has used the state up, and one of them exchanges.
    let pages = join_all((0..8).map(|_| ada.get(&callback))).await;
    for page in &pages {
        assert_leads(page, "/settings/integrations?success=slack", "one of eight at once");
    }
    assert_invalid(&eve.get(&callback).await, "another user's browser, after it succeeded");
    assert_eq!((ada.holdings().await, eve.holdings().await), ((1, 1), (0, 0)));
    assert_eq!(ada.calls("slack", "POST /api/oauth.v2.access").await, 1);
    stack.shutdown().await;
}

/// Lets all transactions be over.
async fn expire_states(guest: &Guest<'_>) {
    for item in guest.look.items("oauth-states").await.unwrap() {
        let call = guest.stack.clients.dynamodb.update_item().table_name(guest.stack.table("oauth-states"));
        let call = call.key("state_hash", item["state_hash"].clone()).update_expression("SET expires_at = :now");
        let now = AttributeValue::N(platform::base::clock::now().as_second().to_string());
        call.expression_attribute_values(":now", now).send().await.unwrap();
    }
}
