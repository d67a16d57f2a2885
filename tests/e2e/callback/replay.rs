//! The callback is opened twice: by a browser that fetches ahead, by a scanner of links, by a reload.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join;
use http::Method;
use local_cli::browser::BrowserPage;
use serde_json::json;
use tests::{FAST, Guest, stack};

use super::{assert_invalid, assert_leads, expire_states};

const EXCHANGE: &str = "POST /api/oauth.v2.access";

async fn send(guest: &Guest<'_>, method: Method, path: &str, headers: &[(&str, &str)]) -> BrowserPage {
    let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", guest.stack.url) };
    guest.browser.send(method, &url, headers, String::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_opened_ahead_or_again_leads_the_same_browser_to_the_same_place_with_one_exchange() {
    let stack = stack(FAST).await;
    let (ada, eve) = join(Guest::new(&stack, "ada"), Guest::new(&stack, "eve")).await;
    let connect = "/connect/slack?return_to=/settings/integrations%3Ftab%3D1";
    let begun = async || ada.look.items("oauth-states").await.unwrap().len();
    let ahead = [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-purpose", "preview"),
        ("x-moz", "prefetch"),
    ];
    for header in ahead {
        let page = send(&ada, Method::GET, connect, &[header]).await;
        assert_eq!((page.status, &page.location), (409, &None), "{header:?}: {}", page.body);
        assert!(!page.headers.contains_key("set-cookie"), "{header:?}");
    }
    assert_eq!(send(&ada, Method::HEAD, connect, &[]).await.status, 405);
    assert_eq!(begun().await, 0, "nothing was begun");

    let callback = ada.allow(connect).await;
    for header in ahead {
        let page = send(&ada, Method::GET, &callback, &[header]).await;
        assert_eq!((page.status, &page.location), (409, &None), "{header:?}: {}", page.body);
    }
    assert_eq!(send(&ada, Method::HEAD, &callback, &[]).await.status, 405);
    assert_invalid(&eve.get(&callback).await, "a scanner without the cookie");
    assert_eq!((ada.holdings().await, ada.calls("slack", EXCHANGE).await), ((0, 0), 0));

    let to = "/settings/integrations?tab=1&success=slack";
    for what in ["the first", "a reload", "another reload"] {
        assert_leads(&ada.get(&callback).await, to, what);
    }
    assert_invalid(&eve.get(&callback).await, "another browser");
    assert_eq!((ada.holdings().await, ada.calls("slack", EXCHANGE).await), ((1, 1), 1));
    let kept = ada.look.items("oauth-states").await.unwrap().remove(0);
    assert!(!kept.contains_key("user_id") && !kept.contains_key("scopes"), "only where it leads is kept: {kept:?}");
    let (now, until) = (platform::base::clock::now().as_second(), number(&kept["expires_at"]));
    assert!((now..=now + 60).contains(&until), "for 60 seconds: {now}, {until}");
    expire_states(&ada).await;
    assert_invalid(&ada.get(&callback).await, "a reload after a minute");
    stack.shutdown().await;
}

fn number(value: &AttributeValue) -> i64 {
    value.as_n().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_opening_waits_for_the_first_and_after_a_failure_leads_back_to_the_start() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;

    let callback = ada.allow("/connect/slack").await;
    ada.fault("slack", EXCHANGE, 1, json!({ "hang_ms": 1_500 })).await;
    let (first, second) = join(ada.get(&callback), ada.get(&callback)).await;
    assert_leads(&first, "?success=slack", "the first, slow");
    assert_leads(&second, "?success=slack", "the second, meanwhile");
    assert_eq!(ada.calls("slack", EXCHANGE).await, 1);

    let callback = ada.allow("/connect/slack").await;
    ada.fault("slack", EXCHANGE, 1, json!({ "hang_ms": 1_500, "status": 400 })).await;
    let mut pages = <[BrowserPage; 2]>::from(join(ada.get(&callback), ada.get(&callback)).await);
    pages.sort_by_key(|page| page.status);
    assert_leads(&pages[0], "?error=connect_failed", "the one that exchanged");
    for page in [&pages[1], &ada.get(&callback).await] {
        assert_invalid(page, "after a failure");
        assert!(page.body.contains("href=\"/settings/integrations\""), "{}", page.body);
    }
    assert_eq!(ada.calls("slack", EXCHANGE).await, 2);
    stack.shutdown().await;
}
