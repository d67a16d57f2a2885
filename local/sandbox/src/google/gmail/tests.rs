//! Gmail, as an app sees it.

use std::collections::BTreeSet;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::Method;
use ring::{rsa::PublicKeyComponents, signature::RSA_PKCS1_2048_8192_SHA256};
use serde_json::{Value, json};

use crate::{
    form,
    tests::{Received, Stage},
};

const READ: &str = "https://www.googleapis.com/auth/gmail.readonly";
const SEND: &str = "https://www.googleapis.com/auth/gmail.send";

impl Stage {
    async fn mail(&self, scopes: &[&str]) -> String {
        self.connected(scopes).await["access_token"].as_str().unwrap().to_owned()
    }

    async fn gmail(&self, token: &str, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
        self.get(&form::link(&self.google(&format!("/gmail/v1/users/me/{path}")), query), token).await
    }

    /// What an app does to verify: the claims of a token signed by one of the published keys.
    async fn claims(&self, received: &Received) -> Value {
        let token = received.header("authorization").strip_prefix("Bearer ").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let header: Value = serde_json::from_slice(&decode(header)).unwrap();
        let (_, keys) = self.get(&self.google("/oauth2/v3/certs"), "").await;
        let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
        let part = |name: &str| decode(key[name].as_str().unwrap());
        let key = PublicKeyComponents { n: part("n"), e: part("e") };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decode(signature)).unwrap();
        serde_json::from_slice(&decode(claims)).unwrap()
    }
}

fn notice(received: &Received) -> Value {
    let coded = received.json()["message"]["data"].as_str().unwrap().to_owned();
    serde_json::from_slice(&STANDARD.decode(coded).unwrap()).unwrap()
}

#[tokio::test]
async fn messages_are_paged_newest_first_and_read_in_the_format_asked() {
    let stage = Stage::start().await;
    let token = stage.mail(&[READ]).await;
    let (_, first) = stage.gmail(&token, "messages", &[("maxResults", "4")]).await;
    let next = first["nextPageToken"].as_str().unwrap();
    let (_, second) = stage.gmail(&token, "messages", &[("maxResults", "4"), ("pageToken", next)]).await;
    assert_eq!([&first, &second].map(|page| page["messages"].as_array().unwrap().len()), [4, 2]);
    assert!(second["nextPageToken"].is_null());
    let path = format!("messages/{}", first["messages"][0]["id"].as_str().unwrap());
    let query = [("format", "metadata"), ("metadataHeaders", "Subject")];
    let (_, message) = stage.gmail(&token, &path, &query).await;
    assert_eq!(message["payload"]["headers"], json!([{ "name": "Subject", "value": "Re: Lunch?" }]));
    assert!(message["payload"]["body"].is_null());
    assert!(stage.gmail(&token, &path, &[]).await.1["payload"]["body"]["data"].is_string());
    assert_eq!(stage.gmail(&token, "messages/none", &[]).await.0, 404);
    let metadata = stage.mail(&["https://www.googleapis.com/auth/gmail.metadata"]).await;
    assert_eq!(stage.gmail(&metadata, &path, &[]).await.0, 403);
    assert_eq!(stage.gmail(&metadata, &path, &query).await.0, 200);
}

#[tokio::test]
async fn history_tells_what_changed_until_it_is_too_old() {
    let stage = Stage::start().await;
    let google = stage.sandbox.url("google").to_owned();
    let token = stage.mail(&[READ]).await;
    let (_, profile) = stage.gmail(&token, "profile", &[]).await;
    assert_eq!(json!([profile["emailAddress"], profile["messagesTotal"]]), json!(["ada@example.com", 6]));
    let start = profile["historyId"].as_str().unwrap();
    let since = [("startHistoryId", start)];
    assert!(stage.gmail(&token, "history", &since).await.1["history"].is_null());

    let mail = stage.control(Method::POST, &google, "messages", &json!({ "subject": "New" })).await;
    let path = format!("messages/{}", mail["id"].as_str().unwrap());
    stage.control(Method::POST, &google, &path, &json!({ "labelIds": ["INBOX"] })).await;
    stage.control(Method::DELETE, &google, &path, &json!({})).await;
    let (_, all) = stage.gmail(&token, "history", &since).await;
    let kinds = ["messagesAdded", "labelsRemoved", "messagesDeleted"];
    for (record, kind) in all["history"].as_array().unwrap().iter().zip(kinds) {
        assert_eq!(record[kind][0]["message"]["id"], mail["id"], "{record}");
    }
    let (_, page) = stage.gmail(&token, "history", &[since[0], ("maxResults", "2")]).await;
    let next = [since[0], ("pageToken", page["nextPageToken"].as_str().unwrap())];
    let (_, last) = stage.gmail(&token, "history", &next).await;
    assert_eq!((last["history"].as_array().unwrap().len(), last["nextPageToken"].is_null()), (1, true));
    let (_, added) = stage.gmail(&token, "history", &[since[0], ("historyTypes", "messageAdded")]).await;
    assert_eq!(added["history"].as_array().unwrap().len(), 1);

    stage.control(Method::POST, &google, "history_floor", &json!({})).await;
    let (status, gone) = stage.gmail(&token, "history", &since).await;
    assert_eq!((status, &gone["error"]["status"]), (404, &json!("NOT_FOUND")));
    assert_eq!(stage.gmail(&token, "history", &[("startHistoryId", all["historyId"].as_str().unwrap())]).await.0, 200);
}

#[tokio::test]
async fn a_watch_is_notified_of_new_mail_with_a_token_that_google_signed() {
    let mut stage = Stage::start().await;
    let token = stage.mail(&[READ]).await;
    let url = stage.google("/gmail/v1/users/me/watch");
    let order = |topic| json!({ "topicName": topic, "labelIds": ["INBOX"] });
    assert_eq!(stage.json(Method::POST, &url, &token, &order("projects/other/topics/x")).await.0, 404);
    assert_eq!(stage.json(Method::POST, &url, &token, &order("x")).await.0, 400);
    let (_, watch) = stage.json(Method::POST, &url, &token, &order("projects/sandbox/topics/gmail")).await;
    let start = stage.received().await;
    assert_eq!(notice(&start)["historyId"].to_string(), watch["historyId"].as_str().unwrap());

    stage.control(Method::POST, stage.sandbox.url("google"), "messages", &json!({ "subject": "New" })).await;
    let received = stage.received().await;
    assert_eq!(received.path, "/webhooks/gmail");
    assert_eq!(notice(&received)["emailAddress"], "ada@example.com");
    let claims = stage.claims(&received).await;
    let claimed = ["iss", "aud", "email", "email_verified"].map(|name| claims[name].clone());
    let expected = json!([
        "https://accounts.google.com",
        "https://app.example/webhooks/gmail",
        "push@sandbox.iam.gserviceaccount.com",
        true
    ]);
    assert_eq!(json!(claimed), expected);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);

    assert_eq!(
        stage.json(Method::POST, &stage.google("/gmail/v1/users/ada@example.com/stop"), &token, &json!({})).await.0,
        204
    );
    let order = json!({ "claims": { "aud": "elsewhere", "email_verified": null } });
    let answer = stage.control(Method::POST, stage.sandbox.url("google"), "send", &order).await;
    assert_eq!(answer["status"], 200);
    let received = stage.received().await;
    let claims = stage.claims(&received).await;
    assert_eq!(json!([claims["aud"], claims["email_verified"]]), json!(["elsewhere", null]));
}

#[tokio::test]
async fn sent_mail_is_in_the_mailbox() {
    let stage = Stage::start().await;
    let token = stage.mail(&[SEND, READ]).await;
    let url = stage.google("/gmail/v1/users/me/messages/send");
    let raw = |text: &str| json!({ "raw": URL_SAFE_NO_PAD.encode(text) });
    let (_, sent) =
        stage.json(Method::POST, &url, &token, &raw("To: bob@example.com\r\nSubject: Hi\r\n\r\nHello Bob")).await;
    assert_eq!(sent["labelIds"], json!(["SENT"]));
    let (_, message) = stage.gmail(&token, &format!("messages/{}", sent["id"].as_str().unwrap()), &[]).await;
    assert_eq!(message["snippet"], "Hello Bob");
    let (status, refused) = stage.json(Method::POST, &url, &token, &raw("Subject: Hi\r\n\r\nHello")).await;
    assert_eq!((status, &refused["error"]["message"]), (400, &json!("Recipient address required")));
    for (body, words) in [
        (json!({}), "'raw' RFC822 payload message string or uploading message via /upload/* URL required"),
        (json!({ "raw": "%" }), "Invalid value for ByteString"),
    ] {
        let (status, refused) = stage.json(Method::POST, &url, &token, &body).await;
        assert_eq!((status, &refused["error"]["message"]), (400, &json!(words)));
    }
    let long = raw(&format!("To: b@example.com\r\n\r\n{}", "x".repeat(1024 * 1024)));
    assert_eq!(stage.json(Method::POST, &url, &token, &long).await.0, 400, "that is for an upload");
    let reader = stage.mail(&[READ]).await;
    assert_eq!(stage.json(Method::POST, &url, &reader, &raw("To: b@example.com\r\n\r\n")).await.0, 403);
}

#[tokio::test]
async fn a_reply_joins_a_thread_that_is_there_if_it_refers_to_it() {
    let stage = Stage::start().await;
    let token = stage.mail(&[SEND, READ]).await;
    let url = stage.google("/gmail/v1/users/me/messages/send");
    let send = async |text: &str, thread: Option<&str>| {
        let body = json!({ "raw": URL_SAFE_NO_PAD.encode(text), "threadId": thread });
        stage.json(Method::POST, &url, &token, &body).await
    };
    let (_, first) = send("To: b@example.com\r\nSubject: Plan\r\n\r\nx", None).await;
    let (thread, id) = (first["threadId"].as_str().unwrap(), first["id"].as_str().unwrap());
    let reply = |subject: &str, id: &str| {
        format!(
            "To: b@example.com\r\nSubject: {subject}\r\nIn-Reply-To: <{id}@mail.gmail.com>\r\nReferences: <{id}@mail.gmail.com>\r\n\r\ny"
        )
    };
    assert_eq!(send(&reply("Re: Plan", id), Some(thread)).await.1["threadId"], *thread);
    assert_ne!(send(&reply("Another", id), Some(thread)).await.1["threadId"], *thread);
    assert_ne!(send(&reply("Re: Plan", "x"), Some(thread)).await.1["threadId"], *thread);
    assert_eq!(send(&reply("Re: Plan", id), Some("none")).await.0, 404);
}

#[tokio::test]
async fn an_uploaded_message_has_its_parts() {
    let stage = Stage::start().await;
    let token = stage.mail(&[SEND, READ]).await;
    let url = stage.google("/upload/gmail/v1/users/me/messages/send?uploadType=multipart");
    let message = "To: b@example.com\r\nSubject: Files\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\nText\r\n\
                   --m\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename*=UTF-8''%C3%A4.csv\r\n\r\na,b\r\n--m--\r\n";
    let body = format!(
        "--b\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n{message}\r\n--b--\r\n"
    );
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "multipart/related; boundary=\"b\"")];
    let sent = stage.send(Method::POST, &url, &headers, body).await.unwrap();
    assert_eq!(sent.status(), 200);
    let (_, list) = stage.gmail(&token, "messages", &[("labelIds", "SENT")]).await;
    let path = format!("messages/{}", list["messages"][0]["id"].as_str().unwrap());
    let (_, read) = stage.gmail(&token, &path, &[]).await;
    let file = &read["payload"]["parts"][1];
    assert_eq!(json!([file["partId"], file["mimeType"], file["filename"]]), json!(["1", "text/csv", "ä.csv"]));
    assert_eq!(file["body"]["data"], URL_SAFE_NO_PAD.encode("a,b"));
}

/// The ids of all messages, or of those with a label.
async fn list(stage: &Stage, token: &str, label: Option<&str>) -> Vec<String> {
    let (mut ids, mut page) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("maxResults", "500")];
        query.extend(label.map(|label| ("labelIds", label)));
        query.extend(page.as_deref().map(|page| ("pageToken", page)));
        let (_, answer) = stage.gmail(token, "messages", &query).await;
        let messages = answer["messages"].as_array().cloned().unwrap_or_default();
        ids.extend(messages.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        page = answer["nextPageToken"].as_str().map(str::to_owned);
        if page.is_none() {
            return ids;
        }
    }
}

#[tokio::test]
async fn a_mailbox_of_many_messages_is_made_on_demand_and_changes_like_any_other() {
    let stage = Stage::start().await;
    let google = stage.sandbox.url("google").to_owned();
    stage.control(Method::POST, &google, "mailbox", &json!({ "messages": 1_200 })).await;
    let token = stage.mail(&[READ]).await;
    let (_, profile) = stage.gmail(&token, "profile", &[]).await;
    assert_eq!(profile["messagesTotal"], 1_200);
    let all = list(&stage, &token, None).await;
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (1_200, 1_200));

    // The lists of labels tell what each message says.
    let (_, labels) = stage.gmail(&token, "labels", &[]).await;
    let labels: Vec<_> = labels["labels"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert!(["INBOX", "UNREAD", "CATEGORY_UPDATES", "Label_1"].iter().all(|label| labels.contains(label)));
    let mut listed = BTreeSet::new();
    for label in &labels {
        listed.extend(list(&stage, &token, Some(label)).await.into_iter().map(|id| (id, (*label).to_owned())));
    }
    for id in &all[..50] {
        let (_, message) = stage.gmail(&token, &format!("messages/{id}"), &[("format", "minimal")]).await;
        let own = message["labelIds"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
        let of = listed.iter().filter(|(of, _)| of == id).map(|(_, label)| label.clone());
        assert_eq!(of.collect::<BTreeSet<_>>(), own, "{id}");
    }

    let labelled = format!("messages/{}", all[7]);
    stage.control(Method::POST, &google, &labelled, &json!({ "labelIds": ["TRASH"] })).await;
    stage.control(Method::DELETE, &google, &format!("messages/{}", all[8]), &json!({})).await;
    let new = stage.control(Method::POST, &google, "messages", &json!({ "subject": "New" })).await;
    let left = list(&stage, &token, None).await;
    assert_eq!((left.len(), left[0].as_str(), &left[8]), (1_199, new["id"].as_str().unwrap(), &all[9]));
    assert_eq!(stage.gmail(&token, &labelled, &[]).await.1["labelIds"], json!(["TRASH"]));
    assert_eq!(stage.gmail(&token, &format!("messages/{}", all[8]), &[]).await.0, 404);
    let since = [("startHistoryId", profile["historyId"].as_str().unwrap()), ("historyTypes", "messageDeleted")];
    let (_, history) = stage.gmail(&token, "history", &since).await;
    assert_eq!(history["history"][0]["messagesDeleted"][0]["message"]["id"], all[8].as_str());
}

#[tokio::test]
async fn an_account_is_made_with_its_mailbox() {
    let stage = Stage::start().await;
    let google = stage.sandbox.url("google").to_owned();
    let order = json!({ "account": "mary@example.com", "messages": 3, "seed": 7 });
    stage.control(Method::POST, &google, "mailbox", &order).await;
    let messages = stage.control(Method::GET, &google, "messages", &json!({ "account": "mary@example.com" })).await;
    assert_eq!(messages.as_array().unwrap().len(), 3);
    assert!(messages[0]["id"].as_str().is_some_and(|id| id.len() == 16));
}
