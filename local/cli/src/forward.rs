//! `--events-to URL`: posts each event of the bus to an application under development, as a rule of the bus would bring it there.
//!
//! A post is signed as Standard Webhooks says: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>,
//! read 2026-11. `webhook-id` is the id that the bus gave the event, the same in each attempt.
//! *Invariant:* an event that the application does not take holds up no other.

use std::{sync::Arc, time::Duration};

use domain::webhook::signature::{Encoding, Scheme, SecretEncoding, SignedPart, TimeSource};
use http::{HeaderMap, HeaderValue, Method};
use local_aws::provision::random_text;
use local_base::{
    now,
    terminal::{Failed, complain},
    web::Web,
};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::{
    sync::{Semaphore, mpsc::UnboundedReceiver},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Waited after each attempt that failed: enough for an application that restarts after a change of its code.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// How long an answer may take. The specification recommends 15 to 30 seconds.
const ANSWER: Duration = Duration::from_secs(15);
/// How many posts there are at a time.
const AT_A_TIME: usize = 8;
const ID: &str = "webhook-id";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// How posts are signed.
pub const SCHEME: Scheme = Scheme {
    header: "webhook-signature",
    separator: Some(' '),
    prefix: "v1,",
    encoding: Encoding::Base64,
    key: SecretEncoding::Base64After("whsec_"),
    content: &[
        SignedPart::Header(ID),
        SignedPart::Text("."),
        SignedPart::Time,
        SignedPart::Text("."),
        SignedPart::Body,
    ],
    time: Some(TimeSource::Header("webhook-timestamp")),
};

/// An application that gets each event of the bus.
#[derive(Debug, Clone)]
pub struct Subscriber {
    url: String,
    /// The application verifies with it: `whsec_` and 24 random bytes in Base64.
    pub secret: SecretString,
}

/// What is read of an event's envelope.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope {
    id: String,
    detail_type: String,
}

impl Subscriber {
    /// `url` is on plain HTTP.
    pub fn new(url: String) -> Self {
        Self { url, secret: format!("whsec_{}", random_text(32, BASE64)).into() }
    }

    /// Posts each event, one line of JSON, until the bus ends.
    pub(crate) async fn follow(self, mut events: UnboundedReceiver<String>) {
        let (subscriber, web, turns) = (Arc::new(self), Web::new(), Arc::new(Semaphore::new(AT_A_TIME)));
        let mut posts = JoinSet::new();
        while let Some(event) = events.recv().await {
            let (subscriber, web, turns) = (Arc::clone(&subscriber), web.clone(), Arc::clone(&turns));
            posts.spawn(async move { subscriber.bring(&web, &turns, event).await });
            while posts.try_join_next().is_some() {}
        }
    }

    /// Posts an event until the application takes it, and says so if it never does.
    async fn bring(&self, web: &Web, turns: &Semaphore, event: String) {
        let Ok(Envelope { id, detail_type }) = serde_json::from_str(&event) else { return };
        let mut pauses = PAUSES.iter();
        loop {
            let turn = turns.acquire().await;
            let posted = timeout(ANSWER, self.post(web, &id, &event)).await;
            drop(turn);
            let failed = match posted {
                Ok(Ok(())) => return,
                Ok(Err(failed)) => failed.to_string(),
                Err(_) => format!("no answer within {} seconds", ANSWER.as_secs()),
            };
            let Some(pause) = pauses.next() else {
                let tries = PAUSES.len() + 1;
                return complain(&format!(
                    "{} did not take {detail_type} {id} in {tries} attempts: {failed}",
                    self.url
                ));
            };
            sleep(*pause).await;
        }
    }

    async fn post(&self, web: &Web, id: &str, event: &str) -> Result<(), Failed> {
        let signed = HeaderMap::from_iter([(
            http::HeaderName::from_static(ID),
            HeaderValue::from_str(id).map_err(Failed::from)?,
        )]);
        let signature = SCHEME.sign(&signed, event.as_bytes(), &self.secret, now());
        let signature = signature.ok_or_else(|| Failed("it can't be signed".into()))?;
        let mut headers = vec![("content-type", "application/json"), (ID, id)];
        headers.extend(signature.iter().map(|(name, value)| (*name, value.as_str())));
        let answer = web.call(Method::POST, &self.url, &headers, event.to_owned()).await.map_err(Failed::from)?;
        if answer.status().is_success() { Ok(()) } else { Err(Failed(format!("it answered {}", answer.status()))) }
    }
}
