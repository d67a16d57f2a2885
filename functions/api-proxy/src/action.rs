//! Typed actions.

use domain::{Failure, Problem, error::Kind};
use lambda_http::http::StatusCode;
use platform::{
    clock,
    http::{Call, Input, json},
};
use providers::{Provider, Step};
use serde_json::Value;

use crate::{Answer, ApiProxy, problem};

/// More calls than any action needs: an action that goes on beyond has lost its way.
const MAX_CALLS: usize = 100;
/// The longest idempotency key, in bytes: Stripe's limit.
const MAX_KEY: usize = 255;

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
        let input = Input::of(call)?.fields;
        let mut request = provider.action(name, &input, &caller.user_id)?;
        if let Some(key) = idempotency_key(call)?.filter(|_| spec.api.idempotent) {
            request = request.header("idempotency-key", key).safe();
        }
        let integration = self.integration(&caller.user_id, spec, call.query("account")).await?;
        let unreadable = |_| Failure::Unreadable.problem(spec.name, clock::now());
        let (callee, deadline) = (spec.callee(), call.deadline());
        let mut gathered = Value::Null;
        for _ in 0..MAX_CALLS {
            let sent = self.access.call(&callee, &integration.key, &request, call.request_id, deadline).await;
            let reply = sent.map_err(|error| problem(&error, spec.name))?;
            match provider.action_step(name, &input, &mut gathered, &reply).map_err(unreadable)? {
                Step::Call(next) => request = *next,
                Step::Done(result) => return Ok(json(StatusCode::OK, &result)),
            }
        }
        Err(Failure::Unreadable.problem(spec.name, clock::now()))
    }
}

fn idempotency_key<'r>(call: &Call<'r>) -> Result<Option<&'r str>, Problem> {
    let Some(key) = call.request.headers().get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=MAX_KEY).contains(&key.len()));
    let wrong = || Problem::field("Idempotency-Key", format!("It must be 1 to {MAX_KEY} printable characters."));
    key.map(Some).ok_or_else(wrong)
}
