//! Where a user goes, what our own address is, and whose account it is, are not up to whoever asks.

use futures_util::future::join;
use http::Method;
use serde_json::json;
use tests::{FAST, Guest, stack};

use super::{escaped, value};

const ORIGIN: &str = "https://app.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn where_a_user_goes_and_whose_account_it_is_are_never_up_to_a_stranger() {
    let stack = stack(&[FAST, &[("AllowedOrigins", ORIGIN)]].concat()).await;
    let (ada, eve) = join(Guest::new(&stack, "ada"), Guest::new(&stack, "eve")).await;
    return_paths(&ada).await;
    spoofed_hosts(&ada).await;
    accounts_of_others(&ada, &eve).await;
    stack.shutdown().await;
}

async fn return_paths(ada: &Guest<'_>) {
    let own = "/settings/integrations";
    let trusted = format!("{ORIGIN}/after");
    for (asked, back) in [
        ("/settings/integrations?tab=1", "/settings/integrations?tab=1&"),
        (trusted.as_str(), "https://app.example.com/after?"),
        ("//evil.example", own),
        ("/\\evil.example", own),
        ("https:evil.example", own),
        ("https://evil.example/", own),
        ("%09//evil.example", own),
        ("/%2fevil.example", own),
        ("/\tevil.example", own),
        ("javascript:alert(1)", own),
        ("/a\r\nset-cookie: a=b", own),
        ("https://app.example.com.evil.example/", own),
        ("https://app.example.com@evil.example/", own),
        ("https://app.example.com//evil.example", own),
        ("http://app.example.com/", own),
    ] {
        let begun = ada.get(&format!("/connect/slack?return_to={}", escaped(asked))).await;
        let consent = begun.location.unwrap();
        let callback =
            format!("{}?state={}&error=access_denied", value(&consent, "redirect_uri"), value(&consent, "state"));
        let to = ada.get(&callback).await.location.unwrap();
        let expected = if back == own { format!("{}{own}?", ada.stack.url) } else { back.to_owned() };
        let expected = if expected.starts_with('/') { format!("{}{expected}", ada.stack.url) } else { expected };
        assert_eq!(to, format!("{expected}error=access_denied"), "{asked:?}");
    }
}

async fn spoofed_hosts(ada: &Guest<'_>) {
    let headers = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.example"),
    ];
    let url = format!("{}/connect/slack", ada.stack.url);
    let begun = ada.browser.send(Method::GET, &url, &headers, String::new()).await.unwrap();
    let expected = format!("{}/auth/slack/callback", ada.stack.url);
    assert_eq!(value(&begun.location.unwrap(), "redirect_uri"), expected);
}

/// Another user's account is not there, whichever way one asks for it.
async fn accounts_of_others(ada: &Guest<'_>, eve: &Guest<'_>) {
    let id = ada.connect_and_sync("slack").await;
    let input = json!({ "account": "T0SANDBOX", "channel": "C0GENERAL01", "text": "Hello" });
    for (method, path) in [
        (Method::POST, "/integrations/slack/sync?account=T0SANDBOX"),
        (Method::POST, "/integrations/slack/disconnect?account=T0SANDBOX"),
        (Method::GET, "/integrations/slack/records?account=T0SANDBOX"),
        (Method::POST, "/actions/slack/post_message?account=T0SANDBOX"),
        (Method::GET, "/proxy/slack/auth.test"),
    ] {
        let (status, body) = eve.api(method, path, &input).await;
        assert_eq!((status, &body["error"]["kind"]), (409, &json!("not_connected")), "{path}: {body}");
        assert!(!body.to_string().contains(&id) && !body.to_string().contains("T0SANDBOX"), "{path}: {body}");
    }
    assert_eq!(ada.holdings().await, (1, 1));
    assert_eq!(ada.status("slack").await["connected"], true);
}
