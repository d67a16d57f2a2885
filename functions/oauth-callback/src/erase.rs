//! The end of a user: every grant is given back, and what was kept of it goes, the integrations last.
//!
//! Asking again goes on where it broke off: what is left is found as long as it is there.

use domain::Problem;
use jiff::SignedDuration;
use lambda_http::http::StatusCode;
use platform::{
    clock,
    http::{Call, internal, json},
};
use serde::Serialize;

use crate::{
    Answer, OauthCallback,
    disconnect::{Revoked, Then},
};

/// Left of the time when the next grant is not begun any more: what a provider may take to be told, and some.
const MARGIN: SignedDuration = SignedDuration::from_secs(16);

/// How far it is.
#[derive(Serialize)]
struct Erasure<'a> {
    user_id: &'a str,
    state: &'static str,
    integrations: Vec<Ended>,
}

/// One integration of theirs.
#[derive(Serialize)]
struct Ended {
    provider: String,
    integration_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<Revoked>,
}

impl OauthCallback {
    /// Erases a user. Answers when all of it is on its way.
    pub(crate) async fn erase_user(&self, call: &Call<'_>) -> Answer {
        let user_id = self.whom(call).await?;
        let found = self.access.integrations.of_user(user_id, None).await.map_err(|error| internal(&error))?;
        let mut integrations = Vec::new();
        // One after the other: what an account granted to several is given back with the last of them.
        for integration in &found {
            if clock::now() + MARGIN >= call.deadline() && !integrations.is_empty() {
                let message = "Not everything could be ended in the time there is.";
                return Err(Problem::new(domain::error::Kind::ProviderDown, message, "Ask again for the rest."));
            }
            // A provider that is not there any more can't be told.
            let revoked = match self.registry.find(&integration.key.provider) {
                Some(provider) => self.end(provider, integration, Then::Forget).await,
                None => self.forget(integration).await.map(|()| Revoked::Nothing),
            };
            integrations.push(Ended {
                provider: integration.key.provider.clone(),
                integration_id: integration.key.id(),
                revoked: Some(revoked.map_err(|error| internal(&error))?),
            });
        }
        tracing::info!(count = integrations.len(), "a user is being erased");
        Ok(json(StatusCode::ACCEPTED, &Erasure { user_id, state: state(&integrations), integrations }))
    }

    /// What is left of a user.
    pub(crate) async fn erasure(&self, call: &Call<'_>) -> Answer {
        let user_id = self.whom(call).await?;
        let found = self.access.integrations.of_user(user_id, None).await.map_err(|error| internal(&error))?;
        let left =
            |it: domain::Integration| Ended { integration_id: it.key.id(), provider: it.key.provider, revoked: None };
        let integrations: Vec<_> = found.into_iter().map(left).collect();
        Ok(json(StatusCode::OK, &Erasure { user_id, state: state(&integrations), integrations }))
    }

    /// The user that an administrator's program names.
    async fn whom<'r>(&self, call: &Call<'r>) -> Result<&'r str, Problem> {
        self.front.program(call).await?.admin()?;
        Ok(call.parameter("user_id"))
    }
}

fn state(left: &[Ended]) -> &'static str {
    if left.is_empty() { "erased" } else { "erasing" }
}
