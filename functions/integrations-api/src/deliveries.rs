//! `GET /deliveries`: what became of what providers told us, for administrators.

use domain::{ClaimState, Problem};
use lambda_http::http::StatusCode;
use platform::{
    clock,
    deliveries::{Listed, place},
    http::{Call, internal, json},
};

use crate::{Answer, IntegrationsApi};

/// The states that can be asked for.
const STATES: [&str; 4] =
    [ClaimState::Claimed.name(), ClaimState::Retry.name(), ClaimState::Done.name(), ClaimState::Dead.name()];
/// Deliveries in a part: as many as are read in one call.
const MAX: usize = 100;

impl IntegrationsApi {
    /// The deliveries of a day.
    pub(crate) async fn deliveries(&self, call: &Call<'_>) -> Answer {
        self.front.caller(call).await?.admin()?;
        let known = self.registry.ids();
        let providers = match call.query("provider") {
            None => known.clone(),
            Some(id) => known.iter().copied().filter(|known| *known == id).collect(),
        };
        if providers.is_empty() {
            let message = format!("There is no such provider. Known: {}.", known.join(", "));
            return Err(Problem::field("provider", message));
        }
        let state = call.query("state");
        if state.is_some_and(|state| !STATES.contains(&state)) {
            return Err(Problem::field("state", format!("It must be one of {}.", STATES.join(", "))));
        }
        let today = clock::now().strftime("%F").to_string();
        let day = call.query("day").unwrap_or(&today);
        if day.parse::<jiff::civil::Date>().is_err() || day.len() != today.len() {
            return Err(Problem::field("day", "It must be a day, such as 2026-11-25."));
        }
        let limit = call.query("limit").map_or(Some(MAX), |limit| limit.parse().ok());
        let Some(limit) = limit.filter(|limit| (1..=MAX).contains(limit)) else {
            return Err(Problem::field("limit", format!("It must be a number from 1 to {MAX}.")));
        };
        let next = call.query("after").filter(|next| !next.is_empty());
        let after = next.map(|next| place(next).ok_or_else(|| Problem::field("after", "It must be a part's next.")));
        let after = after.transpose()?;
        let listed = Listed { providers: &providers, day, state, after: after.as_ref(), limit };
        let part = self.deliveries.list(listed).await.map_err(|error| internal(&error))?;
        Ok(json(StatusCode::OK, &part))
    }
}
