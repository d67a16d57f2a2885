//! `GET /deliveries`: what became of what providers told us, for administrators.

use std::time::Duration;

use domain::{ClaimState, Problem, ProviderId};
use jiff::Timestamp;
use lambda_http::http::StatusCode;
use platform::{
    base::clock,
    runtime::http::{Call, internal, json},
    stores::deliveries::{DeliveriesQuery, Position, UNKNOWN},
};

use crate::{Answer, IntegrationsApi};

/// Deliveries in a part.
const MAX: usize = 100;
/// How long records are looked for before an answer tells where to go on.
const SEARCH: Duration = Duration::from_secs(4);

impl IntegrationsApi {
    /// The deliveries of a time, with their outcomes.
    pub(crate) async fn deliveries(&self, call: &Call<'_>) -> Answer {
        self.front.caller(call).await?.admin()?;
        let known = self.registry.ids();
        let providers: Vec<_> = match call.query("provider") {
            None => known.iter().copied().chain([&UNKNOWN]).collect(),
            Some(id) => known.iter().copied().filter(|known| **known == id).collect(),
        };
        if providers.is_empty() {
            let known: Vec<_> = known.into_iter().map(ProviderId::as_str).collect();
            let message = format!("There is no such provider. Known: {}.", known.join(", "));
            return Err(Problem::field("provider", message));
        }
        let state = call.query("state").map(|name| ClaimState::parse(name).ok_or_else(unknown_state)).transpose()?;
        let (since, until) = (time(call, "since")?, time(call, "until")?);
        if since.zip(until).is_some_and(|(since, until)| until <= since) {
            return Err(Problem::field("until", "It must be later than since."));
        }
        let limit = call.query("limit").map_or(Some(MAX), |limit| limit.parse().ok());
        let Some(limit) = limit.filter(|limit| (1..=MAX).contains(limit)) else {
            return Err(Problem::field("limit", format!("It must be a number from 1 to {MAX}.")));
        };
        let next = call.query("after").filter(|next| !next.is_empty());
        let after =
            next.map(|next| Position::parse(next).ok_or_else(|| Problem::field("after", "It must be a part's next.")));
        let after = after.transpose()?;
        let deadline = call.deadline().min(clock::now() + SEARCH);
        let listed =
            DeliveriesQuery { providers: &providers, state, since, until, after: after.as_ref(), limit, deadline };
        let part = self.deliveries.list(listed).await.map_err(|error| internal(&error))?;
        Ok(json(StatusCode::OK, &part))
    }
}

fn unknown_state() -> Problem {
    Problem::field("state", format!("It must be one of {}.", ClaimState::ALL.map(ClaimState::name).join(", ")))
}

/// A time of the query: RFC 3339.
fn time(call: &Call<'_>, name: &'static str) -> Result<Option<Timestamp>, Problem> {
    let wrong = || Problem::field(name, "It must be a time of RFC 3339, such as 2026-11-25T10:00:00Z.");
    call.query(name).map(|text| text.parse().map_err(|_| wrong())).transpose()
}
