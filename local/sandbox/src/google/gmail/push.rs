//! Pub/Sub push: a notification with a token that Google signed.
//!
//! <https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>.
//!
//! The signing key beside this file is committed: making an RSA key takes seconds in a debug build. It is harmless, as
//! nothing trusts it but a verifier that was told to take its keys from the sandbox, on this machine.

use std::{sync::Arc, time::Duration};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use local_base::now;
use ring::{
    rand::SystemRandom,
    rsa::{KeyPair, PublicKeyComponents},
    signature::RSA_PKCS1_SHA256,
};
use serde_json::{Value, json};

use super::mailbox::Mailbox;
use crate::{
    Push,
    deliver::{Delivery, To},
    opaque::random,
};

const KEY: &str = include_str!("push-key.pem");
const KEY_ID: &str = "sandbox-1";

/// Signs for Google.
#[derive(Clone)]
pub(crate) struct Signer {
    key: Arc<KeyPair>,
    push: Arc<Push>,
}

impl Signer {
    /// An error says that the committed key is none.
    pub(crate) fn new(push: Push) -> Result<Self, std::io::Error> {
        let encoded: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(encoded).map_err(std::io::Error::other)?;
        let key = KeyPair::from_pkcs8(&der).map_err(|rejected| std::io::Error::other(rejected.to_string()))?;
        Ok(Self { key: Arc::new(key), push: Arc::new(push) })
    }

    /// The subscription's settings.
    pub(super) fn push(&self) -> &Push {
        &self.push
    }

    /// The public keys, as a JSON Web Key Set.
    pub(crate) fn keys(&self) -> Value {
        let public: PublicKeyComponents<Vec<u8>> = self.key.public().into();
        let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
        json!({ "keys": [{ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": KEY_ID, "n": n, "e": e }] })
    }

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
        let (signer, claims) = (self.clone(), order["claims"].clone());
        Delivery {
            to: To::App("/webhooks/gmail"),
            headers: Box::new(move |_, now| {
                let token = signer.token(&claims, now);
                vec![("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {token}"))]
            }),
            body: body.to_string().into(),
            patience: Duration::from_secs(10),
            again: |answer| !matches!(answer.status().as_u16(), 102 | 200 | 201 | 202 | 204),
        }
    }

    /// A JWT, RS256. It is empty only if the random source of the system fails.
    fn token(&self, claims: &Value, now: Timestamp) -> String {
        let mut all = json!({
            "aud": self.push.audience, "azp": "113774264463038321964", "email": self.push.service_account,
            "email_verified": true, "exp": now.as_second() + 3600, "iat": now.as_second(),
            "iss": "https://accounts.google.com", "sub": "113774264463038321964", "jti": random(16),
        });
        replace(&mut all, claims);
        self.jwt(&all)
    }

    /// A JWT of these claims, likewise.
    pub(crate) fn jwt(&self, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "kid": KEY_ID, "typ": "JWT" });
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        match self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature) {
            Ok(()) => format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)),
            Err(_) => String::new(),
        }
    }
}

/// A token as Google signs it for a push subscription of the sandbox. `None` if the committed key is none.
pub(crate) fn token(audience: &str, service_account: &str) -> Option<String> {
    let push =
        Push { audience: audience.to_owned(), service_account: service_account.to_owned(), topic: String::new() };
    let token = Signer::new(push).ok()?.token(&Value::Null, now());
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
