//! Google: Gmail and Calendar.

use http::Method;
use serde_json::{Value, json};
use tests::Guest;

use crate::{Objects, assert_clean, is_tombstone, peer::Peer, pick, records, sync};

const ADA: &str = "ada@example.com";
const TEAM: &str = "team@group.calendar.google.com";
const SCOPES: &str = "openid email https://www.googleapis.com/auth/calendar https://mail.google.com/";

/// What is compared of a message besides its headers: our field, and where Gmail has it.
const MESSAGE: &[(&str, &str)] = &[
    ("thread_id", "/threadId"),
    ("label_ids", "/labelIds"),
    ("snippet", "/snippet"),
    ("size_estimate", "/sizeEstimate"),
];
const EVENT: &[(&str, &str)] = &[
    ("summary", "/summary"),
    ("location", "/location"),
    ("status", "/status"),
    ("html_link", "/htmlLink"),
    ("start", "/start/dateTime"),
    ("end", "/end/dateTime"),
    ("attendee", "/attendees/0/email"),
];

/// A client of Google's APIs with a token of the same person.
struct Client<'p> {
    peer: &'p Peer,
    token: String,
}

impl Client<'_> {
    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        self.peer.google(method, path, &self.token, &body).await
    }

    /// All pages of a list.
    async fn list(&self, path: &str, name: &str) -> Vec<Value> {
        let (mut all, mut page) = (Vec::new(), String::new());
        loop {
            let answer = self.call(Method::GET, &format!("{path}?maxResults=100{page}"), Value::Null).await;
            all.extend(answer[name].as_array().unwrap().iter().cloned());
            let Some(next) = answer["nextPageToken"].as_str() else { return all };
            page = format!("&pageToken={next}");
        }
    }

    async fn messages(&self) -> Objects {
        let mut all = Objects::new();
        for named in self.list("/gmail/v1/users/me/messages", "messages").await {
            let id = named["id"].as_str().unwrap();
            let path = format!("/gmail/v1/users/me/messages/{id}?format=full");
            let message = self.call(Method::GET, &path, Value::Null).await;
            let headers = message["payload"]["headers"].as_array().unwrap();
            let mut fields = pick(&message, MESSAGE);
            for name in ["From", "To", "Subject"] {
                let header = headers.iter().find(|header| header["name"] == name);
                fields[name.to_lowercase()] = header.map(|header| header["value"].clone()).unwrap_or_default();
            }
            all.insert(id.to_owned(), fields);
        }
        all
    }

    async fn events(&self) -> Objects {
        let mut all = Objects::new();
        for calendar in self.list("/calendar/v3/users/me/calendarList", "items").await {
            let calendar = calendar["id"].as_str().unwrap();
            for event in self.list(&format!("/calendar/v3/calendars/{calendar}/events"), "items").await {
                all.insert(format!("{calendar}/{}", event["id"].as_str().unwrap()), pick(&event, EVENT));
            }
        }
        all
    }
}

async fn messages(ada: &Guest<'_>) -> Objects {
    let fields = [
        ("thread_id", "/data/thread_id"),
        ("label_ids", "/data/label_ids"),
        ("snippet", "/data/snippet"),
        ("size_estimate", "/data/size_estimate"),
        ("from", "/data/from"),
        ("to", "/data/to"),
        ("subject", "/data/subject"),
    ];
    records(ada, "gmail", "messages", &fields).await
}

async fn events(ada: &Guest<'_>) -> Objects {
    let fields = [
        ("summary", "/data/summary"),
        ("location", "/data/location"),
        ("status", "/data/status"),
        ("html_link", "/data/html_link"),
        ("start", "/data/start/date_time"),
        ("end", "/data/end/date_time"),
        ("attendee", "/data/attendees/0/email"),
    ];
    records(ada, "google-calendar", "events", &fields).await
}

async fn connected<'p>(peer: &'p Peer, ada: &Guest<'_>, provider: &str) -> Client<'p> {
    peer.connect(ada, provider, ADA).await;
    let client = Client { peer, token: peer.token(provider, &peer.stack.apps["google"], SCOPES, ADA).await };
    let who = client.call(Method::GET, "/oauth2/v2/userinfo", Value::Null).await;
    assert_eq!(ada.status(provider).await["account"], json!({ "id": who["sub"], "name": ADA }));
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn gmail_is_connected_through_its_own_page_synced_by_its_history_and_sends() {
    let peer = Peer::start().await;
    let ada = Guest::new(&peer.stack, "ada").await;
    let client = connected(&peer, &ada, "gmail").await;
    let before = messages(&ada).await;
    assert_eq!(before, client.messages().await);
    assert!(before.len() > 25, "more than a page");

    let change = json!({ "addLabelIds": ["STARRED"], "removeLabelIds": ["UNREAD"] });
    client.call(Method::POST, "/gmail/v1/users/me/messages/msg_2/modify", change).await;
    client.call(Method::POST, "/gmail/v1/users/me/messages/msg_4/trash", Value::Null).await;
    client.call(Method::DELETE, "/gmail/v1/users/me/messages/msg_3", Value::Null).await;
    let new = json!({ "from": "Grace <grace@example.com>", "to": ADA, "subject": "New", "body_text": "x", "labelIds": ["INBOX"] });
    client.call(Method::POST, "/gmail/v1/users/me/messages", new).await;
    sync(&ada, "gmail", "incremental").await;
    let after = messages(&ada).await;
    assert_eq!(after, client.messages().await);
    assert_eq!(after.len(), before.len() - 1);
    for gone in ["msg_3", "msg_4"] {
        assert!(is_tombstone(&ada, "gmail", "messages", gone).await, "{gone}");
    }
    assert_eq!(after["msg_2"]["label_ids"], json!(["INBOX", "STARRED"]));

    let mail = json!({ "to": "grace@example.com", "subject": "Grüße", "body": "Hello Grace,\n\nä & <b>\n" });
    let (status, sent) = ada.api(Method::POST, "/actions/gmail/send_email", &mail).await;
    assert_eq!(status, 200, "{sent}");
    let path = format!("/gmail/v1/users/me/messages/{}?format=full", sent["message_id"].as_str().unwrap());
    let found = client.call(Method::GET, &path, Value::Null).await;
    assert_eq!(found["labelIds"], json!(["SENT"]));
    let headers = found["payload"]["headers"].as_array().unwrap();
    let header = |name: &str| headers.iter().find(|header| header["name"] == name).map(|header| &header["value"]);
    assert_eq!(header("To"), Some(&json!("<grace@example.com>")), "{found}");
    sync(&ada, "gmail", "incremental").await;
    assert_eq!(messages(&ada).await, client.messages().await);

    // emulate knows the refresh token.
    let id = ada.status("gmail").await["integration_id"].as_str().unwrap().to_owned();
    let version = ada.look.credential(&id).await.unwrap().version;
    ada.look.age(&id, -1).await.unwrap();
    let (status, labels) = ada.api(Method::GET, "/proxy/gmail/users/me/labels", &Value::Null).await;
    assert_eq!(status, 200, "{labels}");
    assert_eq!(ada.look.credential(&id).await.unwrap().version, version + 1);
    assert_clean(&ada, &["gmail"]).await;
    let (status, end) = ada.api(Method::POST, "/integrations/gmail/disconnect", &json!({})).await;
    assert!(status == 200 && end["revoked"] == "yes", "{status} {end}");
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calendar_is_connected_through_its_own_page_synced_over_all_calendars_and_listed() {
    let peer = Peer::start().await;
    let ada = Guest::new(&peer.stack, "ada").await;
    let client = connected(&peer, &ada, "google-calendar").await;
    let before = events(&ada).await;
    assert_eq!(before, client.events().await);
    assert!(before.len() > 250, "more than a page");

    let new = json!({
        "id": "new", "summary": "Grüße", "location": "Room 1",
        "start": { "dateTime": "2026-11-30T09:00:00Z" }, "end": { "dateTime": "2026-11-30T10:00:00Z" },
    });
    client.call(Method::POST, &format!("/calendar/v3/calendars/{TEAM}/events"), new).await;
    sync(&ada, "google-calendar", "incremental").await;
    assert_eq!(events(&ada).await, client.events().await);
    client.call(Method::DELETE, &format!("/calendar/v3/calendars/{ADA}/events/event1"), Value::Null).await;
    sync(&ada, "google-calendar", "full").await;
    let after = events(&ada).await;
    assert_eq!(after, client.events().await);
    assert_eq!(after.len(), before.len());
    assert!(is_tombstone(&ada, "google-calendar", "events", &format!("{ADA}/event1")).await);

    let asked = json!({ "calendar_id": TEAM, "time_min": "2026-11-23T00:00:00Z", "time_max": "2026-12-01T00:00:00Z" });
    let (status, listed) = ada.api(Method::POST, "/actions/google-calendar/list_events", &asked).await;
    assert_eq!(status, 200, "{listed}");
    let ours = listed["events"].as_array().unwrap().iter().map(|event| event["summary"].clone());
    let theirs = client.list(&format!("/calendar/v3/calendars/{TEAM}/events"), "items").await;
    assert!(ours.eq(theirs.iter().map(|event| event["summary"].clone())), "{listed}");
    assert_eq!(theirs.len(), 4);
    assert_clean(&ada, &["google-calendar"]).await;
    peer.stop().await;
}
