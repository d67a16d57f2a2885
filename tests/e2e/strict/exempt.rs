//! Where unknown names are not refused: they change nothing.

use http::Method;
use local_cli::sign::sign;
use serde_json::json;
use tests::{Guest, PATIENCE, customer_event};

/// What signs deliveries to the integration's own address.
pub(super) const OWN_SECRET: &str = "whsec_own";

/// Parameters that nothing of ours reads.
const UNKNOWN: &str = "surprise=1&surprise=2";

/// A part of the API that takes unknown names.
#[derive(Clone, Copy)]
pub(super) enum Exemption {
    Callback,
    Delivery,
    OwnDelivery,
    Page,
    Asset,
    Proxy,
}

impl Exemption {
    pub(super) async fn check(self, ada: &Guest<'_>) {
        match self {
            Self::Callback => callback(ada).await,
            Self::Delivery => delivery(ada, "evt_app", "/webhooks/stripe", None).await,
            Self::OwnDelivery => {
                let id = ada.status("stripe").await["integration_id"].as_str().unwrap().to_owned();
                delivery(ada, "evt_own", &format!("/webhooks/stripe/{id}"), Some(OWN_SECRET)).await;
            }
            Self::Page => page(ada).await,
            Self::Asset => asset(ada).await,
            Self::Proxy => proxy(ada).await,
        }
    }
}

/// RFC 6749 §4.1.2; these are Google's.
async fn callback(ada: &Guest<'_>) {
    let callback = ada.allow("/connect/gmail").await;
    let before = ada.holdings().await;
    let back = ada.get(&format!("{callback}&scope=a%20b&authuser=0&prompt=consent&hd=example.com&{UNKNOWN}")).await;
    assert!(back.location.as_deref().is_some_and(|to| to.ends_with("?success=gmail")), "{:?}", back.location);
    assert_eq!((ada.holdings().await, ada.status("gmail").await["connected"].clone()), (before, json!(true)));
    ada.quiet().await;
}

async fn delivery(ada: &Guest<'_>, event: &str, path: &str, own: Option<&str>) {
    let stack = ada.stack;
    let secret = own.map_or_else(|| stack.webhook_secrets["stripe"].clone(), Into::into);
    let body = customer_event(event, "cus_1", platform::base::clock::now().as_second());
    let body = body.replacen('{', r#"{"surprise":{"deep":[1]},"#, 1);
    let headers = sign("stripe", body.as_bytes(), &secret, platform::base::clock::now()).unwrap();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let url = format!("{}{path}?{UNKNOWN}", stack.url);
    let answer = local_base::web::Web::new().call(Method::POST, &url, &headers, body).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"Received"[..]), "{path}");
    let published = async || tests::published(stack).into_iter().find(|detail| detail["id"] == event);
    stack.until(PATIENCE, published).await.unwrap();
}

async fn page(ada: &Guest<'_>) {
    // What the deliveries before this led to would show on one of the pages only.
    ada.quiet().await;
    // Nor what just happened, which is told once.
    ada.get("/settings/integrations").await;
    let [plain, with] = ["", "?surprise=1&utm_source=mail"].map(|query| format!("/settings/integrations{query}"));
    let (plain, with) = (ada.get(&plain).await, ada.get(&with).await);
    assert_eq!((plain.status, with.status), (200, 200), "{}", with.body);
    assert_eq!(without_times(&plain.body), without_times(&with.body));
}

async fn asset(ada: &Guest<'_>) {
    let (plain, with) = (ada.get("/settings/assets/style.css").await, ada.get("/settings/assets/style.css?v=7").await);
    assert_eq!((plain.status, with.status), (200, 200));
    assert_eq!(plain.body, with.body);
}

/// The provider gets what the caller sent, and answers it.
async fn proxy(ada: &Guest<'_>) {
    let (status, body) = ada.api(Method::GET, &format!("/proxy/slack/auth.test?{UNKNOWN}"), &json!(null)).await;
    assert_eq!((status, &body["ok"]), (200, &json!(true)), "{body}");
    let calls = ada.admin("slack", Method::GET, "calls", &json!(null)).await;
    let passed = |call: &serde_json::Value| call["path"].as_str().is_some_and(|path| path.ends_with(UNKNOWN));
    assert!(calls.as_array().unwrap().iter().any(passed), "{calls}");
}

/// A page says how long ago something was.
fn without_times(page: &str) -> String {
    let parts = page.split("<time").enumerate();
    let after = |part: &str| part.split_once("</time>").map_or_else(String::new, |(_, after)| after.to_owned());
    parts.map(|(index, part)| if index == 0 { part.to_owned() } else { after(part) }).collect()
}
