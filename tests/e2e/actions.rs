//! What an action takes reaches the provider as it was given, and what it does not know reaches nothing.

use std::time::Duration;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::Method;
use local_base::web::Web;
use serde_json::{Value, json};
use tests::{FAST, Guest, stack};

#[tokio::test(flavor = "multi_thread")]
async fn an_email_with_everything_arrives_in_its_thread_and_a_typo_sends_nothing() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect("gmail").await;
    let send = async |more: Value| {
        let mut input = json!({ "to": "\"Lovelace, Ada\" <ada@example.com>", "subject": "Plan", "body": "Grüße" });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ada.api(Method::POST, "/actions/gmail/send_email", &input).await
    };
    let read = async |id: &Value, format: &str| {
        let path = format!("/proxy/gmail/users/me/messages/{}?format={format}", id.as_str().unwrap());
        ada.api(Method::GET, &path, &Value::Null).await.1
    };
    let (status, first) = send(json!({ "bcc": ["bob@example.com"], "reply_to": "office@example.com" })).await;
    assert_eq!(status, 200, "{first}");
    let raw = read(&first["message_id"], "raw").await;
    let raw = String::from_utf8(URL_SAFE_NO_PAD.decode(raw["raw"].as_str().unwrap()).unwrap()).unwrap();
    for line in
        ["To: \"Lovelace, Ada\"\r\n <ada@example.com>", "Bcc: <bob@example.com>", "Reply-To: <office@example.com>"]
    {
        assert!(raw.contains(&format!("\r\n{line}\r\n")), "{raw}");
    }

    let id = format!("<{}@mail.gmail.com>", first["message_id"].as_str().unwrap());
    // Over a mebibyte, so that it is an upload.
    let content = STANDARD.encode(vec![7; 1_500_000]);
    let file = json!({ "name": "Größe.bin", "type": "application/octet-stream", "content_base64": content });
    let reply = json!({ "subject": "Re: Plan", "html": "<p>Grüße</p>", "thread_id": first["thread_id"], "in_reply_to": id,
        "attachments": [file] });
    let (status, second) = send(reply).await;
    assert_eq!((status, &second["thread_id"]), (200, &first["thread_id"]), "{second}");
    let payload = read(&second["message_id"], "full").await["payload"].clone();
    assert_eq!(payload["parts"][0]["parts"][1]["body"]["data"], URL_SAFE_NO_PAD.encode("<p>Grüße</p>"));
    let file = &payload["parts"][1];
    assert_eq!((&file["filename"], &file["body"]["size"]), (&json!("Größe.bin"), &json!(1_500_000)));

    let sends = async || {
        let plain = ada.calls("gmail", "POST /gmail/v1/users/me/messages/send").await;
        plain + ada.calls("gmail", "POST /upload/gmail/v1/users/me/messages/send").await
    };
    let before = sends().await;
    for (more, field) in [
        (json!({ "reply-to": "x@example.com" }), "reply-to"),
        (json!({ "cc": 7 }), "cc"),
        (json!({ "to": "ada@example.com\r\nBcc: eve@example.com" }), "to"),
        (json!({ "subject": "Hi\nBcc: eve@example.com" }), "subject"),
    ] {
        let (status, body) = send(more).await;
        assert_eq!((status, &body["error"]["fields"][0]["field"]), (422, &json!(field)), "{body}");
    }
    assert_eq!(sends().await, before, "nothing is sent");
    let (status, body) = send(json!({ "thread_id": "none", "in_reply_to": id })).await;
    assert_eq!((status, &body["error"]["kind"]), (422, &json!("provider_rejected")), "{body}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_slack_stays_in_its_thread() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect("slack").await;
    let post = async |more: Value| {
        let mut input = json!({ "channel": "C0GENERAL01", "text": "Hello" });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ada.api(Method::POST, "/actions/slack/post_message", &input).await
    };
    let (_, parent) = post(json!({ "unfurl_links": false, "unfurl_media": false })).await;
    let (status, reply) = post(json!({ "thread_ts": parent["ts"], "reply_broadcast": true })).await;
    assert_eq!(status, 200, "{reply}");
    let messages = ada.admin("slack", Method::GET, "messages", &Value::Null).await;
    assert_eq!(messages[1]["thread_ts"], parent["ts"], "{messages}");
    for (more, field) in
        [(json!({ "thread": "1.2" }), "thread"), (json!({ "reply_broadcast": true }), "reply_broadcast")]
    {
        let (status, body) = post(more).await;
        assert_eq!((status, &body["error"]["fields"][0]["field"]), (422, &json!(field)), "{body}");
    }
    let (status, body) = post(json!({ "thread_ts": "1.000001" })).await;
    assert_eq!((status, &body["error"]["kind"]), (422, &json!("provider_rejected")), "{body}");
    assert_eq!(ada.admin("slack", Method::GET, "messages", &Value::Null).await.as_array().unwrap().len(), 2);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_of_one_stripe_account_and_two_actions_of_one_user_may_use_the_same_idempotency_key() {
    let stack = stack(FAST).await;
    let web = Web::new();
    let mut created = Vec::new();
    for user in ["ada", "bob"] {
        let guest = Guest::new(&stack, user).await;
        guest.connect_stripe(json!({})).await;
        let customers = guest.admin("stripe", Method::GET, "customers", &Value::Null).await;
        let session = stack.session(user, None, Duration::from_mins(5)).unwrap();
        let headers = [("authorization", format!("Bearer {session}")), ("idempotency-key", "order-1".to_owned())];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for _ in 0..2 {
            let input = json!({ "customer": customers[0]["id"], "price": "price_sandbox", "plan": user });
            let url = format!("{}/actions/stripe/create_subscription", stack.url);
            let answer = web.call(Method::POST, &url, &headers, input.to_string()).await.unwrap();
            let body: Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(answer.status(), 200, "{user}: {body}");
            created.push(body["subscription_id"].as_str().unwrap().to_owned());
        }
        let input = json!({ "subscription": created.last() });
        let url = format!("{}/actions/stripe/cancel_subscription", stack.url);
        let answer = web.call(Method::POST, &url, &headers, input.to_string()).await.unwrap();
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!((answer.status().as_u16(), &body["cancel_at_period_end"]), (200, &json!(true)), "{user}: {body}");
    }
    assert_eq!((&created[0], &created[2]), (&created[1], &created[3]), "the same user's is done once");
    assert_ne!(created[0], created[2], "another user's is another one");
    stack.shutdown().await;
}
