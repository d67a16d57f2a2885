//! The one path of all calls to providers: pace, send, understand, retry, count, log.
//!
//! *Invariant:* what may have been carried out is not sent again unless that is safe, and no wait outlives the deadline.

use std::time::{Duration, Instant};

use domain::{
    AccountId, Failure, Reason, Reply, Request,
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
        error::CallError,
        http::{Authorization, HttpClient, SendError},
        pace::{Exhausted, Pace, Waiting},
    },
    stores::health::{CallHealth, Observed},
};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Time reserved before the deadline for the caller's work after the last attempt.
pub(super) const RESERVE: Duration = Duration::from_millis(500);
/// With less time no attempt begins: an attempt that breaks off may have been carried out.
const MIN_TIME: Duration = Duration::from_secs(1);
/// The same for a token endpoint: an attempt that breaks off may have used up a token that is good for one use.
const MIN_TIME_FOR_TOKENS: Duration = Duration::from_secs(3);

/// Sends requests to providers, within the limits that all processes keep together.
#[derive(Debug)]
pub struct Transport {
    http: HttpClient,
    health: CallHealth,
    pace: Pace,
    rates: Rates,
}

/// A call as it is to be made.
#[derive(Debug, Clone, Copy)]
pub struct ProviderRequest<'a> {
    /// The provider that is called.
    pub provider: &'a ProviderApi,
    /// Method, address, headers and body.
    pub request: &'a Request,
    /// How the call is authorised.
    pub authorization: Authorization<'a>,
    /// The account whose limits count it. Without one it is not paced: the account is not known yet, or it is the app's own call.
    pub account: Option<&'a AccountId>,
    /// The endpoint that answers.
    pub endpoint: Endpoint,
    /// How the call waits for its turn.
    pub waiting: Waiting<'a>,
    /// When the last attempt must be over.
    pub deadline: Timestamp,
}

/// The endpoint that answers a call, and so how the answer is understood.
#[derive(Debug, Clone, Copy)]
pub enum Endpoint {
    /// The provider's API.
    Api,
    /// A token endpoint. What it says about a grant is for [`OAuth::read`]; here counts whether it answers at all.
    Token(&'static OAuth),
}

impl Transport {
    /// A transport that counts calls in `health` and waits for turns in `pace`; `rates` are those that this deployment sets.
    pub const fn new(http: HttpClient, health: CallHealth, pace: Pace, rates: Rates) -> Self {
        Self { http, health, pace, rates }
    }

    /// The address for `url`: where a configured rewrite points, or `url` itself.
    pub fn rewritten(&self, url: String) -> String {
        self.http.rewritten(url)
    }

    /// Writes the counts of calls; `stack` names this deployment in its metrics.
    pub async fn flush(&self, stack: &str, now: Timestamp) {
        self.health.flush(stack, now).await;
    }

    /// Makes a call, and repeats it where the failure and the request allow that.
    pub async fn send(&self, call: ProviderRequest<'_>) -> Result<Reply, CallError> {
        let buckets = self.buckets(call);
        let (mut number, mut free) = (1, call.request.idempotent == Idempotent::Yes);
        loop {
            let paced = self.turn(call, &buckets).await?;
            if call.time() < call.min_time() {
                tracing::warn!(service = %call.provider.id, endpoint = %call.request.endpoint, "not called: no time left");
                return Err(Failure::Unreached.into());
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
            self.observe(call, Attempt { number, took: began.elapsed(), paced, ended_at: now }, &outcome);
            self.heed(call, &outcome, &buckets, now).await;
            let error = match outcome {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let pause = pause(call, number, &error).filter(|pause| *pause + call.min_time() <= call.time());
            let Some(pause) = pause else { return Err(error) };
            tokio::time::sleep(pause).await;
            number += 1;
        }
    }

    fn buckets(&self, call: ProviderRequest<'_>) -> Vec<Bucket> {
        let Some(account) = call.account else { return Vec::new() };
        let ProviderApi { id, api, .. } = *call.provider;
        let test = matches!(call.authorization, Authorization::Bearer(token) if api.is_test(token.expose_secret()));
        api.at(&call.request.url).buckets((id, account), call.request, test, &self.rates)
    }

    /// Waits for the call's turn. How long that took.
    async fn turn(&self, call: ProviderRequest<'_>, buckets: &[Bucket]) -> Result<Duration, CallError> {
        let patience = MAX_PAUSE.min(call.time().saturating_sub(call.min_time()));
        // On the heap: every future that makes a call holds it.
        Box::pin(self.pace.turn(buckets, patience, call.waiting)).await.map_err(|Exhausted(wait)| {
            let (service, wait_ms) = (call.provider.id, milliseconds(wait));
            self.health.throttled_locally(service);
            tracing::info!(%service, endpoint = %call.request.endpoint, wait_ms, "not called: no turn in time");
            Failure::ThrottledLocally(wait).into()
        })
    }

    async fn once(&self, call: ProviderRequest<'_>) -> Result<Reply, SendError> {
        let timeout = ATTEMPT.min(call.time());
        let headers = match call.endpoint {
            Endpoint::Api => call.provider.api.headers,
            Endpoint::Token(_) => &[],
        };
        self.http.send(call.request, headers, call.authorization, timeout).await
    }

    /// Counts and logs an attempt.
    fn observe(&self, call: ProviderRequest<'_>, attempt: Attempt, outcome: &Result<Reply, CallError>) {
        let Attempt { number, took, paced, ended_at: at } = attempt;
        let (service, name) = (call.provider.id, call.provider.name);
        let failure = outcome.as_ref().err().and_then(CallError::failure);
        let healthy = !failure.is_some_and(Failure::is_providers_fault);
        let limited = failure.is_some_and(|failure| failure.reason() == Reason::RateLimited);
        self.health.count(Observed { service, healthy, limited, took, paced, at });
        tracing::info!(
            %service,
            endpoint = %call.request.endpoint,
            status = answer(outcome).map_or(0, |reply| reply.status),
            duration_ms = milliseconds(took),
            paced_ms = milliseconds(paced),
            attempt = number,
            reason = failure.map(|failure| failure.reason().name()),
            detail = failure.map(|failure| failure.operator(name)),
            "called"
        );
    }

    /// Records for all processes what the answer says about the provider's limits.
    async fn heed(
        &self,
        call: ProviderRequest<'_>,
        outcome: &Result<Reply, CallError>,
        buckets: &[Bucket],
        now: Timestamp,
    ) {
        let failure = outcome.as_ref().err().and_then(CallError::failure);
        let closed = answer(outcome).and_then(|reply| call.provider.api.closes(reply, failure, buckets, now));
        if let Some((bucket, wait)) = closed {
            self.pace.exhaust(bucket, wait).await;
        }
    }
}

/// An attempt that has ended.
#[derive(Clone, Copy)]
struct Attempt {
    number: u32,
    took: Duration,
    /// How long it waited for its turn.
    paced: Duration,
    ended_at: Timestamp,
}

/// The answer, of a failed call too.
fn answer(outcome: &Result<Reply, CallError>) -> Option<&Reply> {
    match outcome {
        Ok(reply) => Some(reply),
        Err(CallError::Failed(_, reply)) => reply.as_deref(),
        Err(CallError::NotConnected | CallError::Corrupt(_) | CallError::Aws(_)) => None,
    }
}

/// The pause before the next attempt; `None` if there is none.
fn pause(call: ProviderRequest<'_>, number: u32, error: &CallError) -> Option<Duration> {
    let CallError::Failed(failure, reply) = error else { return None };
    let retry_hint = reply.as_ref().and_then(|reply| call.provider.api.retry_hint(reply));
    FailedCall { number, failure, retry_hint, idempotent: call.request.idempotent }.next(fastrand::f64())
}

/// What an attempt came to: the one place where the meaning of an answer, or of none, is decided.
fn understood(call: ProviderRequest<'_>, sent: Result<Reply, SendError>, now: Timestamp) -> Result<Reply, CallError> {
    let reply = sent.map_err(|error| match error {
        SendError::Forbidden => Failure::Forbidden,
        SendError::NotSent => Failure::Unreached,
        SendError::Closed | SendError::Late => Failure::Down(None),
        SendError::TooLong(size) => Failure::TooLarge(size),
    })?;
    let meaning = match call.endpoint {
        Endpoint::Api => call.provider.api.at(&call.request.url).meaning(&reply, now),
        Endpoint::Token(oauth) => oauth.answered(&reply, now),
    };
    match meaning {
        Ok(()) => Ok(reply),
        Err(failure) => Err(CallError::Failed(failure, Some(Box::new(reply)))),
    }
}

impl ProviderRequest<'_> {
    /// The time that is left for an attempt.
    fn time(&self) -> Duration {
        until(self.deadline, clock::now()).saturating_sub(RESERVE)
    }

    /// With less time no attempt begins.
    fn min_time(&self) -> Duration {
        match self.endpoint {
            Endpoint::Api => MIN_TIME,
            Endpoint::Token(_) => MIN_TIME_FOR_TOKENS,
        }
    }
}
