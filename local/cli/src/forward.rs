//! `--events-to URL`: posts each event of the bus to an application under development, as a rule of the bus would bring it there.
//!
//! A post is signed as [`standard_webhooks`] says, which also says what a status means. `webhook-id` is the id that the bus gave the
//! event, the same in each attempt.
//! *Invariant:* an event that the application does not take holds up no other.

use std::{sync::Arc, time::Duration};

use domain::webhook::signature::standard_webhooks::{self, ID};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
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

/// How many posts there are at a time.
const AT_A_TIME: usize = 8;
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// An application that gets each event of the bus.
#[derive(Debug, Clone)]
pub struct Subscriber {
    url: String,
    /// The application verifies with it: `whsec_` and 24 random bytes in Base64.
    pub secret: SecretString,
    attempts: Attempts,
}

/// How long an event is tried.
#[derive(Debug, Clone, Copy)]
struct Attempts {
    /// How long an answer may take.
    answer: Duration,
    /// Waited after each attempt that failed; one more attempt follows the last.
    pauses: [Duration; 4],
}

impl Attempts {
    /// The specification recommends 15 to 30 seconds for an answer. The pauses are enough for an application that restarts after a
    /// change of its code.
    const USUAL: Self = Self {
        answer: Duration::from_secs(15),
        pauses: [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)],
    };
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Taken,
    /// With the sentence to it.
    GivenUp(String),
    /// The application wants no more events: 410.
    Gone,
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
        let secret = format!("{}{}", standard_webhooks::SECRET_PREFIX, random_text(32, BASE64)).into();
        Self { url, secret, attempts: Attempts::USUAL }
    }

    /// Posts each event, one line of JSON, until the bus ends or the application is gone.
    pub(crate) async fn follow(self, mut events: UnboundedReceiver<String>) {
        let (subscriber, web, turns) = (Arc::new(self), Web::new(), Arc::new(Semaphore::new(AT_A_TIME)));
        let mut posts = JoinSet::new();
        loop {
            let ended = tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { return };
                    let (subscriber, web, turns) = (Arc::clone(&subscriber), web.clone(), Arc::clone(&turns));
                    posts.spawn(async move { subscriber.bring(&web, &turns, event).await });
                    continue;
                }
                Some(ended) = posts.join_next() => ended,
            };
            match ended {
                Ok(Ended::GivenUp(sentence)) => complain(&sentence),
                Ok(Ended::Gone) => {
                    return complain(&format!("{} answered 410 Gone: no more events are posted there", subscriber.url));
                }
                Ok(Ended::Taken) | Err(_) => {}
            }
        }
    }

    /// Posts an event until the application takes it, or the attempts are used up.
    async fn bring(&self, web: &Web, turns: &Semaphore, event: String) -> Ended {
        let Ok(Envelope { id, detail_type }) = serde_json::from_str(&event) else { return Ended::Taken };
        let Attempts { answer, pauses } = self.attempts;
        let mut pauses = pauses.iter();
        loop {
            let turn = turns.acquire().await;
            let posted = timeout(answer, self.post(web, &id, &event)).await;
            drop(turn);
            let failed = match posted {
                Ok(Ok(status)) if status.is_success() => return Ended::Taken,
                Ok(Ok(StatusCode::GONE)) => return Ended::Gone,
                Ok(Ok(status)) => format!("it answered {status}"),
                Ok(Err(failed)) => failed.to_string(),
                Err(_) => format!("no answer within {answer:?}"),
            };
            let Some(pause) = pauses.next() else {
                let tries = self.attempts.pauses.len() + 1;
                let Self { url, .. } = self;
                return Ended::GivenUp(format!("{url} did not take {detail_type} {id} in {tries} attempts: {failed}"));
            };
            sleep(*pause).await;
        }
    }

    async fn post(&self, web: &Web, id: &str, event: &str) -> Result<StatusCode, Failed> {
        let value = HeaderValue::from_str(id).map_err(Failed::from)?;
        let signed = HeaderMap::from_iter([(HeaderName::from_static(ID), value)]);
        let signature = standard_webhooks::SCHEME.sign(&signed, event.as_bytes(), &self.secret, now());
        let signature = signature.ok_or_else(|| Failed("it can't be signed".into()))?;
        let mut headers = vec![("content-type", "application/json"), (ID, id)];
        headers.extend(signature.iter().map(|(name, value)| (*name, value.as_str())));
        let answer = web.call(Method::POST, &self.url, &headers, event.to_owned()).await.map_err(Failed::from)?;
        Ok(answer.status())
    }
}

#[cfg(test)]
mod tests;
