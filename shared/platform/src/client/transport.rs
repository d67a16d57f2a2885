//! One path for all calls to providers: pace, send, understand, retry, count, log.
//!
//! *Invariant:* whoever calls, for whatever, goes through [`Dispatch::send`]; what may have been carried out is not sent again
//! unless that is safe, and no wait outlives the deadline.

use std::time::{Duration, Instant};

use domain::{
    Failure, Reason, Reply, Request,
    call::{
        Idempotent,
        limit::{Bucket, Rates},
        retry::{FailedCall, MAX_PAUSE, until},
    },
    oauth::grant::OAuth,
    provider_api::ProviderApi,
};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use crate::{
    base::clock::{self, milliseconds},
    client::{
        http::{Authorization, HttpClient, SendError},
        pace::{Exhausted, Pace},
    },
    stores::health::{CallHealth, Observed},
};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Left of the time after the last attempt.
pub(crate) const MARGIN: Duration = Duration::from_millis(500);
/// With less time an attempt is not begun: broken off, it may have been carried out.
const LEAST: Duration = Duration::from_secs(1);
/// The same for a token endpoint: broken off, it may have taken a token that is good for one use.
const LEAST_FOR_TOKENS: Duration = Duration::from_secs(3);
/// What the caller asked for was too much.
const TOO_LONG: &str = "The answer is larger than what can be passed on; ask for less at a time.";

/// Makes calls.
#[derive(Debug)]
pub struct Transport {
    /// The wire.
    pub http: HttpClient,
    /// Counts.
    pub health: CallHealth,
    /// Waits for turns.
    pub pace: Pace,
    /// Rates that this deployment sets.
    pub rates: Rates,
}

/// A call as it is to be made.
#[derive(Debug, Clone, Copy)]
pub struct ProviderRequest<'a> {
    /// Whose API.
    pub provider: &'a ProviderApi,
    /// What.
    pub request: &'a Request,
    /// By what right.
    pub authorization: Authorization<'a>,
    /// The account whose limits count it. Without one it is not paced: the account is not known yet, or it is the app's own call.
    pub account: Option<&'a str>,
    /// Who answers.
    pub endpoint: Endpoint,
    /// When everything must be over.
    pub deadline: Timestamp,
}

/// Who answers a call, and so how the answer is understood.
#[derive(Debug, Clone, Copy)]
pub enum Endpoint {
    /// The API.
    Api,
    /// The endpoint of tokens. What it says about a grant is for [`OAuth::read`]; here counts whether it answers at all.
    Token(&'static OAuth),
}

/// A call did not work; with the answer, if there was one.
#[derive(Debug)]
pub struct Failed(pub Failure, pub Option<Box<Reply>>);

impl Transport {
    /// Makes a call.
    pub async fn send(&self, call: ProviderRequest<'_>) -> Result<Reply, Failed> {
        let buckets = self.buckets(call);
        let (mut attempt, mut free) = (1, call.request.idempotent == Idempotent::Yes);
        loop {
            let paced = self.turn(call, &buckets).await?;
            if call.time() < call.least() {
                tracing::warn!(service = call.provider.id, endpoint = %call.request.endpoint, "not called: no time left");
                return Err(Failed(Failure::Unreached, None));
            }
            let began = Instant::now();
            let sent = self.once(call).await;
            let closed = matches!(sent, Err(SendError::Closed));
            let now = clock::now();
            // A connection that was closed while it was idle, as behind a frozen sandbox, costs no attempt and no pause, and is
            // not the provider's failure.
            if closed && std::mem::take(&mut free) {
                continue;
            }
            let outcome = understood(call, sent, now);
            self.observe(call, (attempt, began.elapsed(), paced), &outcome, now);
            self.heed(call, &outcome, &buckets, now).await;
            let failed = match outcome {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            let pause = again(call, attempt, &failed).filter(|pause| *pause + call.least() <= call.time());
            let Some(pause) = pause else { return Err(failed) };
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    fn buckets(&self, call: ProviderRequest<'_>) -> Vec<Bucket> {
        let Some(account) = call.account else { return Vec::new() };
        let ProviderApi { id, api, .. } = *call.provider;
        let test = matches!(call.authorization, Authorization::Bearer(token) if api.is_test(token.expose_secret()));
        api.buckets((id, account), call.request, test, &self.rates)
    }

    /// Waits for the call's turn. How long that took.
    async fn turn(&self, call: ProviderRequest<'_>, buckets: &[Bucket]) -> Result<Duration, Failed> {
        let patience = MAX_PAUSE.min(call.time().saturating_sub(call.least()));
        // On the heap: whoever calls holds it in every future of theirs.
        Box::pin(self.pace.turn(buckets, patience)).await.map_err(|Exhausted(wait)| {
            let (service, wait_ms) = (call.provider.id, milliseconds(wait));
            self.health.throttled_locally(service);
            tracing::info!(service, endpoint = %call.request.endpoint, wait_ms, "not called: no turn in time");
            Failed(Failure::ThrottledLocally(wait), None)
        })
    }

    /// One attempt.
    async fn once(&self, call: ProviderRequest<'_>) -> Result<Reply, SendError> {
        let timeout = ATTEMPT.min(call.time());
        let headers = match call.endpoint {
            Endpoint::Api => call.provider.api.headers,
            Endpoint::Token(_) => &[],
        };
        self.http.send(call.request, headers, call.authorization, timeout).await
    }

    fn observe(
        &self,
        call: ProviderRequest<'_>,
        (attempt, took, paced): (u32, Duration, Duration),
        outcome: &Result<Reply, Failed>,
        at: Timestamp,
    ) {
        let (service, name) = (call.provider.id, call.provider.name);
        let failure = outcome.as_ref().err().map(|Failed(failure, _)| failure);
        let healthy = !failure.is_some_and(Failure::is_providers_fault);
        let limited = failure.is_some_and(|failure| failure.reason() == Reason::RateLimited);
        self.health.count(Observed { service, healthy, limited, took, paced, at });
        tracing::info!(
            service,
            endpoint = %call.request.endpoint,
            status = answer(outcome).map_or(0, |reply| reply.status),
            duration_ms = milliseconds(took),
            paced_ms = milliseconds(paced),
            attempt,
            reason = failure.map(|failure| failure.reason().name()),
            detail = failure.map(|failure| failure.operator(name)),
            "called"
        );
    }

    /// What the provider tells about its limits holds for all processes.
    async fn heed(
        &self,
        call: ProviderRequest<'_>,
        outcome: &Result<Reply, Failed>,
        buckets: &[Bucket],
        now: Timestamp,
    ) {
        let failure = outcome.as_ref().err().map(|Failed(failure, _)| failure);
        let closed = answer(outcome).and_then(|reply| call.provider.api.closes(reply, failure, buckets, now));
        if let Some((bucket, wait)) = closed {
            self.pace.exhaust(bucket, wait).await;
        }
    }
}

/// The answer, whatever it means.
fn answer(outcome: &Result<Reply, Failed>) -> Option<&Reply> {
    match outcome {
        Ok(reply) => Some(reply),
        Err(Failed(_, reply)) => reply.as_deref(),
    }
}

/// After which pause it is sent again; `None` if it is not.
fn again(call: ProviderRequest<'_>, number: u32, Failed(failure, reply): &Failed) -> Option<Duration> {
    let told = reply.as_ref().and_then(|reply| call.provider.api.told_to_retry(reply));
    FailedCall { number, failure, retry_hint: told, idempotent: call.request.idempotent }.next(fastrand::f64())
}

/// What came of an attempt.
fn understood(call: ProviderRequest<'_>, sent: Result<Reply, SendError>, now: Timestamp) -> Result<Reply, Failed> {
    let reply = sent.map_err(|error| {
        let failure = match error {
            SendError::Forbidden => Failure::Forbidden,
            SendError::NotSent => Failure::Unreached,
            SendError::Closed | SendError::Late => Failure::Down(None),
            SendError::TooLong => Failure::Unusable(TOO_LONG),
        };
        Failed(failure, None)
    })?;
    let meaning = match call.endpoint {
        Endpoint::Api => call.provider.api.meaning(&reply, now),
        Endpoint::Token(oauth) => oauth.answered(&reply, now),
    };
    match meaning {
        Ok(()) => Ok(reply),
        Err(failure) => Err(Failed(failure, Some(Box::new(reply)))),
    }
}

impl ProviderRequest<'_> {
    /// What is left for an attempt.
    fn time(&self) -> Duration {
        until(self.deadline, clock::now()).saturating_sub(MARGIN)
    }

    /// What an attempt needs at least.
    fn least(&self) -> Duration {
        match self.endpoint {
            Endpoint::Api => LEAST,
            Endpoint::Token(_) => LEAST_FOR_TOKENS,
        }
    }
}
