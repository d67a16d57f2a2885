//! What became of deliveries: a list of them, and all that is recorded of one.

use std::time::Duration;

use domain::{
    ClaimState, DeliveryId, Problem, ProviderId,
    error::Kind,
    messages::message::{Body, WebhookMessage},
};
use jiff::Timestamp;
use lambda_http::http::StatusCode;
use platform::{
    AwsError,
    base::clock,
    runtime::http::{Call, internal, json},
    stores::deliveries::{DeliveriesQuery, DeliveryDetail, Position, UNKNOWN},
};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Answer, OperatorApi};

/// Deliveries in a part.
const MAX: usize = 100;
/// How long records are looked for before an answer tells where to go on.
pub(crate) const SEARCH: Duration = Duration::from_secs(4);

impl OperatorApi {
    /// The deliveries of a time, with their outcomes.
    pub(crate) async fn list(&self, call: &Call<'_>) -> Answer {
        self.front.caller(call).await?.admin()?;
        let providers = self.providers(call.query("provider"))?;
        let state = call.query("state").map(state).transpose()?;
        let (since, until) = (time("since", call.query("since"))?, time("until", call.query("until"))?);
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

    /// One delivery, by the id that the list and the logs have.
    pub(crate) async fn one(&self, call: &Call<'_>) -> Answer {
        #[derive(Serialize)]
        struct One<'a> {
            #[serde(flatten)]
            detail: &'a DeliveryDetail,
            body: Option<&'a RawValue>,
            body_until: Option<Timestamp>,
        }
        self.front.caller(call).await?.admin()?;
        let detail = self.found(call).await?;
        let kept = self.bodies.open(&detail.delivery.key, clock::now()).await.map_err(|error| internal(&error))?;
        let message = kept.as_ref().map(|kept| serde_json::from_str::<WebhookMessage<'_>>(kept.text.expose_secret()));
        let message = message.transpose().map_err(|_| internal(&AwsError::Malformed("sealed".to_owned())))?;
        let body = message.map(|WebhookMessage { body: Body::Json(body), .. }| body);
        let body_until = kept.as_ref().map(|kept| kept.expires_at);
        Ok(json(StatusCode::OK, &One { detail: &detail, body, body_until }))
    }

    /// The delivery that the path names.
    pub(crate) async fn found(&self, call: &Call<'_>) -> Result<DeliveryDetail, Problem> {
        let next = "Take an id from the list of deliveries. A delivery is known for 35 days.";
        let unknown = || Problem::new(Kind::NotFound, "There is no delivery of this id.", next);
        let id = DeliveryId::parse(call.parameter("id")).map_err(|_| unknown())?;
        let found = self.deliveries.find(&self.providers(None)?, &id).await.map_err(|error| internal(&error))?;
        found.ok_or_else(unknown)
    }

    /// The providers to look at: one, or all and what names none of them.
    pub(crate) fn providers(&self, id: Option<&str>) -> Result<Vec<&'static ProviderId>, Problem> {
        let known = self.registry.ids();
        let Some(id) = id else { return Ok(known.into_iter().chain([&UNKNOWN]).collect()) };
        let unknown = || {
            let known: Vec<_> = known.iter().map(|id| id.as_str()).collect();
            Problem::field("provider", format!("There is no such provider. Known: {}.", known.join(", ")))
        };
        known.iter().find(|known| **known == id).map(|known| vec![*known]).ok_or_else(unknown)
    }
}

pub(crate) fn state(name: &str) -> Result<ClaimState, Problem> {
    let known = || ClaimState::ALL.map(ClaimState::name).join(", ");
    ClaimState::parse(name).ok_or_else(|| Problem::field("state", format!("It must be one of {}.", known())))
}

/// A time of RFC 3339.
pub(crate) fn time(name: &'static str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let wrong = || Problem::field(name, "It must be a time of RFC 3339, such as 2026-11-25T10:00:00Z.");
    text.map(|text| text.parse().map_err(|_| wrong())).transpose()
}
