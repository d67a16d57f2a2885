//! What a user sees of their integrations.

use domain::{Integration, Problem, integration::status::Status};
use lambda_http::{Body, Response, http::StatusCode};
use platform::{
    base::clock,
    runtime::{
        http::{internal, json},
        session::Caller,
    },
};
use providers::Provider;
use serde::Serialize;

use crate::{Answer, IntegrationsApi};

#[derive(Serialize)]
struct Statuses {
    integrations: Vec<Status>,
}

impl IntegrationsApi {
    /// The status JSON of providers.
    pub(crate) async fn statuses(&self, caller: &Caller, providers: &[&'static dyn Provider]) -> Answer {
        Ok(json(StatusCode::OK, &Statuses { integrations: self.of_caller(caller, providers).await? }))
    }

    /// One status per integration, and one per provider that has none. It takes one query, however many there are.
    pub(crate) async fn of_caller(
        &self,
        caller: &Caller,
        providers: &[&'static dyn Provider],
    ) -> Result<Vec<Status>, Problem> {
        let found = self.integrations.of_user(&caller.user_id, None).await.map_err(|error| internal(&error))?;
        let mut statuses = Vec::new();
        for provider in providers {
            let own: Vec<_> = found.iter().filter(|it| it.key.provider == provider.spec().id).collect();
            if own.is_empty() {
                statuses.push(status(*provider, None));
            }
            statuses.extend(own.into_iter().map(|integration| status(*provider, Some(integration))));
        }
        Ok(statuses)
    }
}

/// The status JSON of one integration.
pub(crate) fn of_one(provider: &dyn Provider, integration: &Integration) -> Response<Body> {
    json(StatusCode::OK, &Statuses { integrations: vec![status(provider, Some(integration))] })
}

fn status(provider: &dyn Provider, integration: Option<&Integration>) -> Status {
    let spec = provider.spec();
    let streams = spec.streams.iter().map(|stream| stream.name);
    Status::new((&spec.id, spec.name), streams, integration, clock::now())
}
