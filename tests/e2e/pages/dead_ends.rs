//! Whatever went wrong, the page says what it was, where it can be mended, and how to go on.

use http::Method;
use local_cli::browser::BrowserPage;
use serde_json::json;
use tests::{Guest, PATIENCE};

use super::{APP, csrf, post, running};

const SETTINGS: &str = "/settings/integrations";

/// Sends a form of the settings page, and opens what it leads to.
async fn submit(guest: &Guest<'_>, path: &str, form: &str) -> BrowserPage {
    let form = format!("csrf={}&{form}", csrf(guest).await);
    let page = post(guest, path, Some(&guest.stack.url), &form).await;
    assert_eq!(page.status, 303, "{path}: {}", page.body);
    guest.get(&page.location.expect("it leads on")).await
}

/// Ends a workspace's grant at Slack, and has a sync find it out: the event that Slack sends has a time of whole seconds, and one
/// of the second of the connect is taken for an earlier grant's.
async fn end_grant(guest: &Guest<'_>, team: &str) {
    // A sync that joins the first one would find nothing out: that one may have made its calls before.
    guest.settled("syncs").await;
    guest.admin("slack", Method::POST, "grants/revoke", &json!({ "team": team, "silent": true })).await;
    let path = format!("/integrations/slack/sync?account={team}");
    let (status, body) = guest.api(Method::POST, &path, &json!({ "type": "full" })).await;
    assert_eq!(status, 202, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_form_leads_back_to_the_page_that_says_why_once_and_at_the_field() {
    let stack = running().await;
    let ada = Guest::new(&stack, "ada").await;
    let wrong = "Stripe does not accept this key.";
    let page = submit(&ada, "/connect/stripe", "api_key=rk_test_wrong").await;
    assert_eq!(page.body.matches(wrong).count(), 1, "{}", page.body);
    let field = page.body.split("<input").find(|input| input.contains("aria-invalid")).expect("the field is marked");
    assert!(field.contains("name=\"api_key\"") && field.contains("aria-describedby"), "{field}");
    assert!(!ada.get(SETTINGS).await.body.contains(wrong), "it is told once");

    ada.connect_stripe(json!({})).await;
    let page = submit(&ada, "/connect/stripe", "api_key=rk_test_sandbox&webhook_secret=two%0Alines").await;
    assert!(page.body.contains("<details open>"), "the form that has the field is open: {}", page.body);
    assert!(page.body.contains("role=\"alert\""), "{}", page.body);

    let page = submit(&ada, "/integrations/slack/sync", "type=full").await;
    assert!(page.body.contains("Slack is not connected."), "{}", page.body);
    // A program gets the problem itself.
    let (status, body) = ada.api(Method::POST, "/connect/stripe", &json!({ "api_key": "rk_test_wrong" })).await;
    assert_eq!((status, &body["error"]["fields"][0]["message"]), (422, &json!(wrong)), "{body}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_tells_what_happened_and_nothing_that_its_address_says() {
    let stack = running().await;
    let ada = Guest::new(&stack, "ada").await;
    for says in ["success=gmail", "error=access_denied", "error=connect_failed", "disconnected=slack", "syncing=slack"]
    {
        let page = ada.get(&format!("{SETTINGS}?{says}")).await;
        assert!(!page.body.contains("role=\"status\""), "{says}: {}", page.body);
    }
    ada.connect("slack").await;
    let down = json!({ "match": "auth.revoke", "effect": { "status": 503 }, "times": 9 });
    ada.admin("slack", Method::POST, "faults", &down).await;
    let page = submit(&ada, "/integrations/slack/disconnect", "").await;
    assert!(page.body.contains("Slack did not confirm that our access has ended."), "{}", page.body);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_account_has_its_own_ways_and_disconnecting_asks_first() {
    let stack = running().await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_account("slack", "T0SANDBOX").await;
    ada.connect_account("slack", "T0SANDBOX2").await;
    let page = ada.get(SETTINGS).await.body;
    assert_eq!(page.matches("href=\"/connect/slack\">Connect another Slack account</a>").count(), 1, "{page}");
    for name in ["Acme", "Globex"] {
        let asks = format!("The app will not reach {name} any more, and what was synced from it is deleted here.");
        assert!(page.contains(&asks) && page.contains(&format!("Disconnect {name}</button>")), "{name}: {page}");
    }
    end_grant(&ada, "T0SANDBOX2").await;
    let way = "href=\"/connect/slack?account=T0SANDBOX2\">Reconnect Globex</a>";
    let shown = async || ada.get(SETTINGS).await.body.contains(way).then_some(());
    stack.until(PATIENCE, shown).await.expect("the account that ended names itself");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_page_leads_back_and_shows_the_id_of_the_request() {
    let stack = running().await;
    let ada = Guest::new(&stack, "ada").await;
    let page = ada.get("/auth/slack/callback?state=x&code=y").await;
    assert_eq!(page.status, 400);
    let id = page.body.split("Request <code>").nth(1).and_then(|rest| rest.split('<').next()).expect("a request id");
    assert!(!id.is_empty() && page.body.contains(&format!("href=\"{SETTINGS}\"")), "{}", page.body);
    let stranger = local_cli::browser::Browser::new();
    let page = stranger.get(&format!("{}{SETTINGS}", stack.url)).await.unwrap();
    assert_eq!(page.status, 401);
    assert!(page.body.contains(&format!("<a href=\"{APP}\">Back to the application</a>")), "{}", page.body);
    assert!(ada.get(SETTINGS).await.body.contains(&format!("href=\"{APP}\"")), "the page itself leads there, too");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_allowed_has_a_button_that_asks_for_it_and_keeps_the_rest() {
    let stack = running().await;
    let ada = Guest::new(&stack, "ada").await;
    let connect = "/connect/slack?scopes=team:read";
    let callback = ada.allow(connect).await;
    ada.get(&callback).await;
    let id = ada.status("slack").await["account"]["id"].as_str().unwrap().to_owned();
    let (modify, read) =
        ("https://www.googleapis.com/auth/gmail.modify", "https://www.googleapis.com/auth/gmail.readonly");
    let unticked = format!("/connect/gmail?scopes={modify}");
    ada.get(&ada.allow_only(&unticked, "ada@example.com", &["openid", read]).await).await;
    let page = ada.get(SETTINGS).await.body;
    let link = page.split("<a class=\"button primary\"").find(|link| link.contains(">Allow</a>")).expect("a button");
    assert!(link.contains("gmail.modify") && link.contains("aria-label=\"Allow the app to"), "{link}");

    end_grant(&ada, &id).await;
    let way = format!("href=\"/connect/slack?account={id}&amp;scopes=team%3Aread\"");
    let escaped = way.replace("&amp;", "&#38;");
    let shown = async || {
        let page = ada.get(SETTINGS).await.body;
        (page.contains("Reconnect Acme") && (page.contains(&way) || page.contains(&escaped))).then_some(())
    };
    stack.until(PATIENCE, shown).await.expect("connecting again asks for the further scope, too");
    stack.shutdown().await;
}
