//! A request decides neither where a user is sent, nor our own address, nor the user that an account belongs to.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join;
use http::Method;
use local_cli::browser::BrowserPage;
use serde_json::{Value, json};
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
    let trusted = format!("{ORIGIN}/after");
    let own = format!("{}/settings/integrations", ada.stack.url);
    let begin = async |to: &str| ada.get(&format!("/connect/slack?return_to={}", escaped(to))).await;
    let refused = |begun: &BrowserPage| {
        let consent = begun.location.as_deref().unwrap();
        format!("{}?state={}&error=access_denied", value(consent, "redirect_uri"), value(consent, "state"))
    };
    for (asked, back) in [
        ("/settings/integrations?tab=1", format!("{own}?tab=1&")),
        (trusted.as_str(), "https://app.example.com/after?".to_owned()),
    ] {
        let to = ada.get(&refused(&begin(asked).await)).await.location.unwrap();
        assert_eq!(to, format!("{back}error=access_denied"), "{asked:?}");
    }
    for asked in [
        "",
        "//evil.example",
        "/\\evil.example",
        "https:evil.example",
        "https://evil.example/",
        "%09//evil.example",
        "/%2fevil.example",
        "/\tevil.example",
        "javascript:alert(1)",
        "/a\r\nset-cookie: a=b",
        "https://app.example.com.evil.example/",
        "https://app.example.com@evil.example/",
        "https://app.example.com//evil.example",
        "http://app.example.com/",
    ] {
        let begun = begin(asked).await;
        assert_eq!((begun.status, &begun.location), (422, &None), "{asked:?}: {}", begun.body);
        assert!(begun.body.contains("AllowedOrigins"), "{asked:?}: {}", begun.body);
    }
    assert!(ada.look.items("oauth-states").await.unwrap().is_empty(), "what is refused begins nothing");

    // An origin that was allowed when the grant was begun, and is not any more.
    let callback = refused(&begin(&trusted).await);
    for item in ada.look.items("oauth-states").await.unwrap() {
        let call = ada.stack.clients.dynamodb.update_item().table_name(ada.stack.table("oauth-states"));
        let call = call.key("state_hash", item["state_hash"].clone()).update_expression("SET return_to = :to");
        let to = AttributeValue::S("https://gone.example.com/".to_owned());
        call.expression_attribute_values(":to", to).send().await.unwrap();
    }
    assert_eq!(ada.get(&callback).await.location.unwrap(), format!("{own}?error=access_denied"));
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
    let (none, account) = (Value::Null, json!({ "account": "T0SANDBOX" }));
    let message = json!({ "channel": "C0GENERAL01", "text": "Hello" });
    for (method, path, input) in [
        (Method::POST, "/integrations/slack/sync?account=T0SANDBOX", &none),
        (Method::POST, "/integrations/slack/sync", &account),
        (Method::POST, "/integrations/slack/disconnect?account=T0SANDBOX", &none),
        (Method::POST, "/integrations/slack/disconnect", &account),
        (Method::GET, "/integrations/slack/records?account=T0SANDBOX", &none),
        (Method::POST, "/actions/slack/post_message?account=T0SANDBOX", &message),
        (Method::GET, "/proxy/slack/auth.test", &none),
    ] {
        let (status, body) = eve.api(method, path, input).await;
        assert_eq!((status, &body["error"]["kind"]), (409, &json!("not_connected")), "{path}: {body}");
        assert!(!body.to_string().contains(&id) && !body.to_string().contains("T0SANDBOX"), "{path}: {body}");
    }
    assert_eq!(ada.holdings().await, (1, 1));
    assert_eq!(ada.status("slack").await["connected"], true);
}
