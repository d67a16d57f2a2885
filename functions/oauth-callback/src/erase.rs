//! The end of a user: every grant is revoked, and what was kept of it goes, the integrations last.
//!
//! Asking again goes on where it broke off: what is left is found as long as it is there. That an erasure was asked for is
//! recorded before anything ends, so that its state is known afterwards.

use domain::{Integration, IntegrationId, Problem, ProviderId, UserId, error::Kind, integration::Ending};
use jiff::{SignedDuration, Timestamp};
use lambda_http::http::StatusCode;
use platform::{
    base::clock,
    client::revocation::Revoked,
    runtime::http::{Call, internal, json},
};
use serde::Serialize;

use crate::{Answer, OauthCallback};

/// Time reserved before the deadline for the end of one grant, revocation included: with less time none is begun.
const RESERVE: SignedDuration = SignedDuration::from_secs(16);

/// What the pseudonyms of [`platform::stores::erasures`] are for.
const PURPOSE: &str = "erasure";

/// What is recorded of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ErasureState {
    /// The user has integrations, and no erasure was asked for since they were connected.
    Active,
    /// An erasure was asked for, and integrations that it ends are left.
    Erasing,
    /// An erasure was asked for, and nothing is left.
    Erased,
}

/// How far it is.
#[derive(Serialize)]
struct Erasure<'a> {
    user_id: &'a UserId,
    state: ErasureState,
    integrations: Vec<Ended>,
}

/// One integration of theirs.
#[derive(Serialize)]
struct Ended {
    provider: ProviderId,
    integration_id: IntegrationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<Revoked>,
}

impl OauthCallback {
    /// Erases a user. Answers when all of it is on its way.
    pub(crate) async fn erase_user(&self, call: &Call<'_>) -> Answer {
        let user_id = self.whom(call).await?;
        let pseudonyms = self.front.sessions.pseudonyms(PURPOSE, user_id.as_str()).await?;
        let current = pseudonyms.first().ok_or_else(Problem::internal)?;
        self.erasures.begin(current, clock::now()).await.map_err(|error| internal(&error))?;
        // A page that is still open connects nothing again.
        self.front.end_sessions(&user_id, None).await?;
        let found = self.integrations.of_user(&user_id, None).await.map_err(|error| internal(&error))?;
        let (mut integrations, mut left) = (Vec::new(), Vec::new());
        let mut failed: Option<Problem> = None;
        // One after the other: what an account granted to several is revoked with the last of them.
        for (number, integration) in found.iter().enumerate() {
            if clock::now() + RESERVE >= call.deadline() && number > 0 {
                let unfinished = || Problem::new(Kind::ProviderDown, "The time was over.", "Ask again for the rest.");
                failed.get_or_insert_with(unfinished);
                left.extend(found.iter().skip(number));
                break;
            }
            // A provider that is not there any more can't be told.
            let revoked = match self.registry.find(&integration.key.provider) {
                Some(provider) => self.end(provider, integration, Ending::Forget).await,
                None => self.forget(integration).await.map(|()| Revoked::Nothing),
            };
            match revoked {
                Ok(revoked) => integrations.push(Ended {
                    provider: integration.key.provider.clone(),
                    integration_id: integration.key.id(),
                    revoked: Some(revoked),
                }),
                // It keeps nothing of the others.
                Err(error) => {
                    failed.get_or_insert(internal(&error));
                    left.push(integration);
                }
            }
        }
        tracing::info!(count = integrations.len(), left = left.len(), "a user is being erased");
        if let Some(problem) = failed {
            return Err(unfinished(&left, problem));
        }
        let state = if integrations.is_empty() { ErasureState::Erased } else { ErasureState::Erasing };
        Ok(json(StatusCode::ACCEPTED, &Erasure { user_id: &user_id, state, integrations }))
    }

    /// What is recorded of a user, and which integrations there are.
    pub(crate) async fn erasure(&self, call: &Call<'_>) -> Answer {
        let user_id = self.whom(call).await?;
        let pseudonyms = self.front.sessions.pseudonyms(PURPOSE, user_id.as_str()).await?;
        let begun_at = self.erasures.begun_at(&pseudonyms, clock::now()).await.map_err(|error| internal(&error))?;
        let found = self.integrations.of_user(&user_id, None).await.map_err(|error| internal(&error))?;
        let unknown = || {
            let next = "Check the id. An erasure is known for 35 days.";
            Problem::new(Kind::NotFound, "No user of this id is known here.", next)
        };
        let state = recorded(begun_at, &found).ok_or_else(unknown)?;
        let left = |it: Integration| Ended { integration_id: it.key.id(), provider: it.key.provider, revoked: None };
        let integrations = found.into_iter().map(left).collect();
        Ok(json(StatusCode::OK, &Erasure { user_id: &user_id, state, integrations }))
    }

    /// The user that an administrator's program names.
    async fn whom(&self, call: &Call<'_>) -> Result<UserId, Problem> {
        self.front.program(call).await?.admin()?;
        let user_id = UserId::parse(call.parameter("user_id"));
        user_id.map_err(|_| Problem::field("user_id", "The user's id is longer than any that is taken here."))
    }
}

/// What keeps an erasure from its end, with what is left of it.
fn unfinished(left: &[&Integration], problem: Problem) -> Problem {
    let left: Vec<_> = left.iter().map(|it| format!("{} ({})", it.key.provider, it.key.id())).collect();
    let message = format!("Not everything could be ended. Left are: {}.", left.join(", "));
    Problem { message: message.into(), next_action: "Ask again for the rest.".into(), ..problem }
}

/// What the record of an erasure and the integrations that are left say of a user; none if there is neither.
fn recorded(begun_at: Option<Timestamp>, left: &[Integration]) -> Option<ErasureState> {
    match begun_at {
        None => (!left.is_empty()).then_some(ErasureState::Active),
        Some(_) if left.is_empty() => Some(ErasureState::Erased),
        Some(begun_at) if left.iter().any(|it| it.connected_at <= begun_at) => Some(ErasureState::Erasing),
        // The user has come back since.
        Some(_) => Some(ErasureState::Active),
    }
}

#[cfg(test)]
mod tests {
    use domain::IntegrationKey;

    use super::*;

    fn connected_at(second: i64) -> Integration {
        let key = IntegrationKey::parse("ada", &format!("slack#{second}")).unwrap();
        Integration::connected(key, "Team", at(second))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_state_of_a_user_is_what_was_recorded() {
        let (old, new) = (connected_at(1), connected_at(3));
        assert_eq!(recorded(None, &[]), None, "never seen");
        assert_eq!(recorded(None, std::slice::from_ref(&old)), Some(ErasureState::Active));
        assert_eq!(recorded(Some(at(2)), std::slice::from_ref(&old)), Some(ErasureState::Erasing));
        assert_eq!(recorded(Some(at(2)), &[old, new.clone()]), Some(ErasureState::Erasing), "part of it is left");
        assert_eq!(recorded(Some(at(2)), &[]), Some(ErasureState::Erased));
        assert_eq!(recorded(Some(at(2)), &[new]), Some(ErasureState::Active), "connected again");
    }
}
