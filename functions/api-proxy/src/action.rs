//! Typed actions.

use std::time::Duration;

use domain::{ClaimState, Failure, Integration, IntegrationKey, Problem, Request, call::Idempotent, error::Kind};
use jiff::Timestamp;
use lambda_http::http::StatusCode;
use platform::{
    base::clock,
    client::CallError,
    runtime::http::{Call, Input, internal, json},
    stores::claims::{Claim, Claiming},
};
use providers::{Provider, Step, so_far};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{Answer, ApiProxy, problem};

/// More calls than any action needs: an action that goes on beyond has lost its way.
const MAX_CALLS: usize = 100;
/// The longest idempotency key, in bytes: Stripe's limit.
const MAX_KEY: usize = 255;
/// The longest answer that is kept under a key, in bytes: an item of DynamoDB takes 400 KB in all.
const MAX_KEPT: usize = 380_000;
/// A list begins no further page with less time than this: most pages take less.
const PAGE: Duration = Duration::from_secs(3);

impl ApiProxy {
    /// Runs an action.
    pub(crate) async fn act(&self, call: &Call<'_>, provider: &dyn Provider) -> Answer {
        let spec = provider.spec();
        let caller = self.front.program(call).await?;
        let name = call.parameter("action");
        let Some(name) = spec.actions.iter().copied().find(|known| *known == name) else {
            let message = format!("{} has no such action. It has: {}.", spec.name, spec.actions.join(", "));
            return Err(Problem::new(Kind::NotFound, message, "Use one of these."));
        };
        let input = Input::of(call)?.into_fields();
        let request = provider.action(name, &input, &caller.user_id).inspect_err(|problem| {
            if problem.kind == Kind::Internal {
                tracing::error!(
                    provider.name = %spec.id,
                    action = name,
                    "a call failed its own check; nothing was sent"
                );
            }
        })?;
        let integration = self.integration(&caller.user_id, spec, call.query("account")).await?;
        let key = idempotency_key(call)?;
        let act = Act { call, provider, integration, name, input, key };
        // A provider with native idempotency keys needs no record here; its answers are not stored.
        match key.filter(|_| !spec.api.idempotent) {
            Some(key) => self.once(&act, key, request).await,
            None => Ok(json(StatusCode::OK, &self.run(&act, request).await?)),
        }
    }

    /// Runs an action unless it was run under this key before: then what was answered is answered again.
    async fn once(&self, act: &Act<'_>, key: &str, request: Request) -> Answer {
        let (id, now) = (act.integration.key.id(), clock::now());
        // Of texts that callers choose, a hash can't imitate another key.
        let key = format!("action#{id}#{}", hex::encode(Sha256::digest(format!("{}\n{key}", act.name))));
        let hash = hex::encode(Sha256::digest(act.input.to_string()));
        let refuse = |message: &str, next: &str| Problem::new(Kind::Conflict, message, next);
        let other = || refuse("This idempotency key was used for another request.", "Use a new key.");
        let claimed =
            self.claims.claim(&key, &hash, act.call.request_id, now).await.map_err(|error| internal(&error))?;
        let claim = match claimed {
            Claiming::Won(claim) => claim,
            Claiming::Lost(record) if !record.is_of(&hash) => return Err(other()),
            Claiming::Lost(record) => {
                let answer = record.answer.and_then(|text| serde_json::from_str::<Value>(&text).ok());
                return match (record.state, answer) {
                    (ClaimState::Done, Some(answer)) => Ok(json(StatusCode::OK, &answer)),
                    (ClaimState::Done, None) => {
                        let message = "The request with this idempotency key was carried out; its answer is not kept.";
                        Err(refuse(message, "Look at the provider what it did."))
                    }
                    // Of an action no record is unmatched.
                    (ClaimState::Claimed | ClaimState::Retry | ClaimState::Dead | ClaimState::Unmatched, _) => {
                        Err(refuse("A request with this idempotency key is still under way.", "Wait for its answer."))
                    }
                };
            }
        };
        let repeat = request.idempotent;
        match self.run(act, request).await {
            Ok(answer) => {
                self.keep(&claim, &answer, repeat).await;
                Ok(json(StatusCode::OK, &answer))
            }
            Err(problem) => {
                self.release(&claim, problem.kind.name()).await;
                Err(problem)
            }
        }
    }

    /// Keeps the answer under its key, so that it can be given again. One that is too long to be kept is asked for again, if
    /// that changes nothing at the provider.
    async fn keep(&self, claim: &Claim, answer: &Value, repeat: Idempotent) {
        let text = answer.to_string();
        let kept = match repeat {
            _ if text.len() <= MAX_KEPT => self.claims.answered(claim, &text).await,
            Idempotent::Yes => self.claims.release(claim, ClaimState::Retry, "the answer is too long to be kept").await,
            Idempotent::No => self.claims.complete(claim).await,
        };
        if let Err(error) = kept {
            let (reason, detail) = error.diagnosis().into_parts();
            let reason = reason.name();
            tracing::warn!(reason, detail, "an answer is not kept; under the same key the action would run again");
        }
    }

    async fn release(&self, claim: &Claim, reason: &str) {
        if let Err(error) = self.claims.release(claim, ClaimState::Retry, reason).await {
            let (reason, detail) = error.diagnosis().into_parts();
            tracing::warn!(reason = reason.name(), detail, "the claim stays until its lease ends");
        }
    }

    async fn run(&self, act: &Act<'_>, mut request: Request) -> Result<Value, Problem> {
        let spec = act.provider.spec();
        if let Some(key) = act.key.filter(|_| spec.api.idempotent) {
            request = request.header("idempotency-key", provider_key(&act.integration.key, act.name, key)).idempotent();
        }
        let unreadable = |_| Failure::Unreadable.problem(spec.name, clock::now());
        let deadline = act.call.deadline();
        let mut gathered = Value::Null;
        for _ in 0..MAX_CALLS {
            let reply = match self.call(spec, &act.integration, act.call, &request).await {
                Ok(reply) => reply,
                Err(error) => {
                    let partial = so_far(&mut gathered).filter(|_| for_want_of_time(&error, deadline));
                    return partial.ok_or_else(|| problem(&error, spec.name));
                }
            };
            let step = act.provider.action_step(act.name, &act.input, &mut gathered, &reply);
            match step.map_err(unreadable)? {
                Step::Call(next) => {
                    if clock::now() + PAGE >= deadline
                        && let Some(partial) = so_far(&mut gathered)
                    {
                        return Ok(partial);
                    }
                    request = *next;
                }
                Step::Done(result) => return Ok(result),
            }
        }
        Err(Failure::Unreadable.problem(spec.name, clock::now()))
    }
}

/// Whether a call failed because what is left of the time, or of a limit, was too little for it.
fn for_want_of_time(error: &CallError, deadline: Timestamp) -> bool {
    match error {
        CallError::Failed(Failure::RateLimited(_) | Failure::ThrottledLocally(_), _) => true,
        CallError::Failed(failure, _) => failure.is_transient() && clock::now() + PAGE >= deadline,
        CallError::NotConnected | CallError::Corrupt(_) | CallError::Aws(_) => false,
    }
}

/// An action that is asked for.
struct Act<'a> {
    call: &'a Call<'a>,
    provider: &'a dyn Provider,
    integration: Integration,
    name: &'static str,
    input: Value,
    key: Option<&'a str>,
}

/// The key that a provider with native idempotency keys is given. Two integrations can be of one account there, and two
/// actions can come under one key of the caller: each has its own key at the provider, the same at every repetition.
fn provider_key(integration: &IntegrationKey, action: &str, key: &str) -> String {
    let id = integration.id();
    hex::encode(Sha256::digest(format!("{id}\n{action}\n{key}")))
}

/// The key of a request, if it has one.
pub(crate) fn idempotency_key<'r>(call: &Call<'r>) -> Result<Option<&'r str>, Problem> {
    let Some(key) = call.request.headers().get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=MAX_KEY).contains(&key.len()));
    let wrong = || Problem::field("Idempotency-Key", format!("It must be 1 to {MAX_KEY} printable characters."));
    key.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_at_the_provider_is_of_one_integration_and_one_action_and_stays_the_same() {
        let integration = |user: &str| IntegrationKey::parse(user, "stripe#acct_1").unwrap();
        let (ada, bob) = (integration("ada"), integration("bob"));
        let key = provider_key(&ada, "create_subscription", "order-1");
        assert_eq!(key, provider_key(&ada, "create_subscription", "order-1"));
        assert!(key.len() <= MAX_KEY && key.is_ascii(), "{key}");
        for other in [
            provider_key(&bob, "create_subscription", "order-1"),
            provider_key(&ada, "cancel_subscription", "order-1"),
            provider_key(&ada, "create_subscription", "order-2"),
        ] {
            assert_ne!(key, other);
        }
    }
}
