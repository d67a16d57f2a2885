//! One path for all calls to a provider's API: credential, send, understand, retry, count.
//!
//! *Invariant:* what may have been carried out is not sent again unless that is safe, and no wait outlives the deadline.

use std::time::{Duration, Instant};

use domain::{
    IntegrationKey, Reply, Request,
    call::{Api, Callee, Failure, Repeat},
};
use jiff::Timestamp;

use crate::{
    AwsError, clock,
    health::Health,
    outbound::{Authorization, Outbound, SendError},
    tokens::{Refresh, TokenError, Tokens, Wanted},
};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How often a call is sent at most.
const MAX_ATTEMPTS: u32 = 4;
/// The first wait between attempts; it doubles.
const BASE: Duration = Duration::from_millis(250);
/// The longest wait inside an invocation; what takes longer is the caller's to send again later.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Left of the time when no attempt is begun any more.
const MARGIN: Duration = Duration::from_millis(500);

/// Makes calls.
#[derive(Debug)]
pub struct Calls {
    /// Gives the tokens.
    pub tokens: Tokens,
    /// Counts.
    pub health: Health,
}

/// Why a call did not work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The provider, with its answer if there was one.
    #[error("{0}")]
    Failed(Failure, Option<Reply>),
    /// There is no credential.
    #[error("there is no credential")]
    NotConnected,
    /// AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl From<TokenError> for CallError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Absent => Self::NotConnected,
            TokenError::Aws(error) => Self::Aws(error),
            TokenError::Ended(_) => Self::Failed(Failure::GrantEnded, None),
            TokenError::Unavailable(_) => Self::Failed(Failure::Down(None), None),
        }
    }
}

impl Calls {
    /// Makes a call. `holder` names the attempt of which it is part.
    pub async fn call(
        &self,
        callee: &Callee,
        owner: &IntegrationKey,
        request: &Request,
        holder: &str,
        deadline: Timestamp,
    ) -> Result<Reply, CallError> {
        let wanted = Wanted { owner, credential: callee.credential, oauth: callee.oauth, app: callee.app };
        if !belongs(callee.api, &request.url) {
            return Err(CallError::Failed(Failure::Forbidden, None));
        }
        let mut credential = self.tokens.valid(wanted, Refresh::Soon, holder, deadline).await?;
        let mut renewed = false;
        let mut attempt = 1;
        loop {
            let (failure, reply, executed) =
                match self.once(callee, request, &credential.access, attempt, deadline).await {
                    Ok(reply) => return Ok(reply),
                    Err(failed) => failed,
                };
            let refused = matches!(failure, Failure::TokenRefused | Failure::GrantEnded);
            if refused && !renewed {
                // Refused before it was carried out, so it may be sent again, whatever it does.
                renewed = true;
                credential = self.tokens.valid(wanted, Refresh::Refused(credential.version), holder, deadline).await?;
                continue;
            }
            let failure = if refused { Failure::GrantEnded } else { failure };
            let may_repeat = request.repeat == Repeat::Safe || !executed;
            let wait = failure.wait().unwrap_or_default().max(pause(attempt));
            let fits = wait <= MAX_WAIT && clock::now() + wait + MARGIN < deadline;
            if !failure.passes() || !may_repeat || attempt == MAX_ATTEMPTS || !fits {
                return Err(CallError::Failed(failure, reply));
            }
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// One attempt: the answer, or why not and whether it may have been carried out.
    async fn once(
        &self,
        callee: &Callee,
        request: &Request,
        token: &secrecy::SecretString,
        attempt: u32,
        deadline: Timestamp,
    ) -> Result<Reply, (Failure, Option<Reply>, bool)> {
        let start = Instant::now();
        let left = Duration::try_from(deadline.duration_since(clock::now())).unwrap_or_default();
        let timeout = ATTEMPT.min(left.saturating_sub(MARGIN));
        let sent = self.outbound().send(request, callee.api.headers, Authorization::Bearer(token), timeout).await;
        let now = clock::now();
        let (status, outcome) = match sent {
            Ok(reply) => {
                let status = reply.status;
                match callee.api.meaning(&reply, now) {
                    Ok(()) => (status, Ok(reply)),
                    Err(failure) => {
                        // A refusal is not an execution; a failure in the middle may be one.
                        let executed = matches!(failure, Failure::Down(_) | Failure::Unreadable);
                        (status, Err((failure, Some(reply), executed)))
                    }
                }
            }
            Err(SendError::Forbidden) => (0, Err((Failure::Forbidden, None, false))),
            Err(SendError::NotSent) => (0, Err((Failure::Down(None), None, false))),
            Err(SendError::Lost) => (0, Err((Failure::Down(None), None, true))),
            Err(SendError::TooLong) => {
                let words = Some("The answer is larger than what can be passed on; ask for less at a time.");
                (0, Err((Failure::Rejected { words, code: "too_large".to_owned() }, None, true)))
            }
        };
        let failed = outcome.as_ref().err().map(|(failure, ..)| failure);
        let kind = failed.map(|failure| failure.kind().name());
        // Neither a wrong request nor a missing thing says anything about the provider's health.
        let healthy = failed.is_none_or(|failure| !failure.passes() && *failure != Failure::GrantEnded);
        self.health.count(callee.id, healthy, now);
        let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            service = callee.id,
            endpoint = %request.endpoint,
            status,
            duration_ms,
            attempt,
            kind,
            "called"
        );
        outcome
    }

    fn outbound(&self) -> &Outbound {
        &self.tokens.outbound
    }
}

/// Whether an address is under the API's base: nothing but a path or a query may follow it, and the path may not climb.
fn belongs(api: &Api, url: &str) -> bool {
    // URL parsers take these for dots, too: https://url.spec.whatwg.org/#double-dot-path-segment.
    let dots = |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    let Some(rest) = url.strip_prefix(api.base) else { return false };
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    rest.starts_with(['/', '?']) && !path.split(['/', '\\']).any(dots)
}

/// The wait after an attempt, with full jitter.
fn pause(attempt: u32) -> Duration {
    BASE.saturating_mul(1 << attempt.min(6)).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_goes_to_another_host() {
        let api = Api {
            base: "https://slack.com/api",
            idempotent: false,
            headers: &[],
            failed: None,
            codes: &[],
            classes: &[],
        };
        assert!(belongs(&api, "https://slack.com/api/auth.test"));
        for url in [
            "https://slack.com/apis/x",
            "https://slack.com/api",
            "https://slack.com/api@evil.example/",
            "https://evil.example/api/x",
            "http://slack.com/api/x",
            "//slack.com/api/x",
            "https://slack.com/api/../admin",
            "https://slack.com/api/x/%2E%2e/y",
            "https://slack.com/api/.%2e",
        ] {
            assert!(!belongs(&api, url), "{url}");
        }
    }
}
