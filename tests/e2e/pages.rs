//! Pages for people: what a browser sends by itself changes nothing, and a session begins only where the application says so.

mod dead_ends;
mod many;
mod session;

use http::Method;
use local_cli::browser::BrowserPage;
use serde_json::json;
use tests::{FAST, Guest, Running, stack};

const APP: &str = "https://app.example.com";
const FORM: &str = "application/x-www-form-urlencoded";

async fn running() -> Running {
    stack(&[FAST, &[("AllowedOrigins", APP)]].concat()).await
}

/// Posts a form with this origin.
async fn post(guest: &Guest<'_>, path: &str, origin: Option<&str>, form: &str) -> BrowserPage {
    let mut headers = vec![("content-type", FORM)];
    headers.extend(origin.map(|origin| ("origin", origin)));
    let url = format!("{}{path}", guest.stack.url);
    guest.browser.send(Method::POST, &url, &headers, form.to_owned()).await.unwrap()
}

/// The token in the forms of the settings page.
async fn csrf(guest: &Guest<'_>) -> String {
    csrf_of(&guest.get("/settings/integrations").await.body)
}

/// The token that the forms of a page carry.
fn csrf_of(page: &str) -> String {
    let field = page.split("name=\"csrf\" value=\"").nth(1).expect("a form");
    field.split('"').next().expect("its end").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_page_changes_nothing_and_our_own_leads_back() {
    let stack = running().await;
    let (ada, eve) = (Guest::new(&stack, "ada").await, Guest::new(&stack, "eve").await);
    let id = ada.connect_and_sync("slack").await;
    let (own, right) = (stack.url.as_str(), csrf(&ada).await);
    eve.connect_and_sync("slack").await;
    let (good, of_eve) = (format!("csrf={right}"), format!("csrf={}", csrf(&eve).await));
    let completed = ada.look.announced("sync.completed", &id).unwrap();
    for path in ["/integrations/slack/sync", "/integrations/slack/disconnect", "/connect/stripe"] {
        for (what, origin, form) in [
            ("no origin", None, good.as_str()),
            ("another origin", Some("https://evil.example"), &good),
            ("an origin that no page has", Some("null"), &good),
            ("the application's own origin", Some(APP), &good),
            ("an origin that only begins as ours", Some(&format!("{own}.evil.example")), &good),
            ("no token", Some(own), "type=full"),
            ("a wrong token", Some(own), "csrf=x"),
            ("a token and more", Some(own), &format!("{good}A")),
            ("another session's token", Some(own), &of_eve),
            ("another of two tokens", Some(own), &format!("{good}&csrf=x")),
        ] {
            let page = post(&ada, path, origin, form).await;
            assert_eq!(page.status, 403, "{path}, {what}: {}", page.body);
        }
    }
    ada.settled("syncs").await;
    assert_eq!(ada.look.announced("sync.completed", &id).unwrap(), completed, "a sync was started");
    assert_eq!((ada.status("slack").await["state"].clone(), ada.holdings().await), (json!("connected"), (1, 1)));

    for (path, form, words) in [
        ("/integrations/slack/sync", format!("{good}&type=full"), "Slack is being synced."),
        ("/connect/stripe", format!("{good}&api_key=rk_test_sandbox"), "Stripe is connected."),
        ("/integrations/slack/disconnect", good.clone(), "Slack is disconnected here."),
    ] {
        let page = post(&ada, path, Some(own), &form).await;
        let home = format!("{own}/settings/integrations");
        assert_eq!((page.status, page.location.as_deref()), (303, Some(home.as_str())), "{path}: {}", page.body);
        let page = ada.get(&home).await;
        assert!(page.body.contains(words), "{path}: nothing tells what happened: {}", page.body);
        ada.settled("syncs").await;
    }
    assert_eq!(ada.look.announced("sync.completed", &id).unwrap(), completed + 1);
    assert_eq!(ada.status("slack").await["state"], "disconnected");
    stack.shutdown().await;
}
