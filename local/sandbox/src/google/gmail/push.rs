//! Pub/Sub push: a notification with a token that Google signed.
//!
//! <https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use local_base::now;
use serde_json::{Value, json};

use super::mailbox::Mailbox;
use crate::{
    deliver::{Delivery, To},
    google::signer::Signer,
    opaque::random,
};

/// A Pub/Sub push subscription, and the key with which Google signs for it.
#[derive(Clone)]
pub(super) struct Subscription {
    pub(super) signer: Signer,
    /// `projects/P/topics/T`, the one topic a watch may name.
    pub(super) topic: String,
    /// The `aud` of its tokens.
    pub(super) audience: String,
    /// The account they are issued to, an e-mail address.
    pub(super) service_account: String,
}

impl Subscription {
    /// A notification. `order` may replace what it says: `claims` of its token, `data`, `message_id`.
    pub(super) fn notification(&self, mailbox: &Mailbox, order: &Value) -> Delivery {
        let mut data = json!({ "emailAddress": mailbox.address, "historyId": mailbox.history_id });
        replace(&mut data, &order["data"]);
        let id = order["message_id"].as_str().map_or_else(|| format!("{}", now().as_nanosecond()), str::to_owned);
        let time = now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let body = json!({
            "message": {
                "data": STANDARD.encode(data.to_string()), "messageId": id, "message_id": id, "publishTime": time,
                "publish_time": time,
            },
            "subscription": "projects/sandbox/subscriptions/gmail",
        });
        let (subscription, claims) = (self.clone(), order["claims"].clone());
        Delivery {
            to: To::App("/webhooks/gmail"),
            headers: Box::new(move |_, now| {
                let token = subscription.token(&claims, now);
                vec![("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {token}"))]
            }),
            body: body.to_string().into(),
            patience: Duration::from_secs(10),
            again: |answer| !matches!(answer.status().as_u16(), 102 | 200 | 201 | 202 | 204),
        }
    }

    /// A token; empty only if the random source of the system fails.
    fn token(&self, claims: &Value, now: Timestamp) -> String {
        let mut all = json!({
            "aud": self.audience, "azp": "113774264463038321964", "email": self.service_account,
            "email_verified": true, "exp": now.as_second() + 3600, "iat": now.as_second(),
            "iss": "https://accounts.google.com", "sub": "113774264463038321964", "jti": random(16),
        });
        replace(&mut all, claims);
        self.signer.jwt(&all)
    }
}

/// A token as Google signs it for a push subscription of the sandbox. `None` if the committed key is none.
pub fn push_token(audience: &str, service_account: &str) -> Option<String> {
    let (audience, service_account) = (audience.to_owned(), service_account.to_owned());
    let subscription = Subscription { signer: Signer::new().ok()?, topic: String::new(), audience, service_account };
    let token = subscription.token(&Value::Null, now());
    (!token.is_empty()).then_some(token)
}

/// A field that is replaced by null is left out.
fn replace(object: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    if let Some(object) = object.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
}
