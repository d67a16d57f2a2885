//! What a user sees of their integrations.

use domain::{
    Integration, Problem,
    integration::{
        IntegrationState,
        status::{Scopes, Status, StreamStatus, Watching},
    },
    sync::stream::PassedOver,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lambda_http::http::StatusCode;
use platform::{
    AwsError,
    base::clock,
    runtime::{
        http::{internal, json},
        session::Caller,
    },
    stores::syncs::Overview,
};
use providers::{Provider, Watched};
use serde::Serialize;

use crate::{Answer, IntegrationsApi};

#[derive(Serialize)]
struct Statuses {
    integrations: Vec<Status>,
}

/// Integrations read at a time.
const CONCURRENCY: usize = 4;

impl IntegrationsApi {
    /// The status JSON of providers.
    pub(crate) async fn statuses(&self, caller: &Caller, providers: &[&'static dyn Provider]) -> Answer {
        Ok(json(StatusCode::OK, &Statuses { integrations: self.of_caller(caller, providers).await? }))
    }

    /// The status JSON of one integration.
    pub(crate) async fn status_of(&self, provider: &dyn Provider, integration: &Integration) -> Answer {
        let status = self.status(provider, Some(integration)).await.map_err(|error| internal(&error))?;
        Ok(json(StatusCode::OK, &Statuses { integrations: vec![status] }))
    }

    /// One status per integration, and one per provider that has none.
    pub(crate) async fn of_caller(
        &self,
        caller: &Caller,
        providers: &[&'static dyn Provider],
    ) -> Result<Vec<Status>, Problem> {
        let found = self.integrations.of_user(&caller.user_id, None).await.map_err(|error| internal(&error))?;
        let mut wanted = Vec::new();
        for provider in providers {
            let own: Vec<_> = found.iter().filter(|it| it.key.provider == provider.spec().id).collect();
            if own.is_empty() {
                wanted.push((*provider, None));
            }
            wanted.extend(own.into_iter().map(|integration| (*provider, Some(integration))));
        }
        let statuses: Vec<_> =
            wanted.into_iter().map(|(provider, integration)| self.status(provider, integration)).collect();
        let statuses: Result<Vec<_>, AwsError> = stream::iter(statuses).buffered(CONCURRENCY).try_collect().await;
        statuses.map_err(|error| internal(&error))
    }

    async fn status(&self, provider: &dyn Provider, integration: Option<&Integration>) -> Result<Status, AwsError> {
        let spec = provider.spec();
        let mut status = Status::new(&spec.id, spec.name, integration);
        let Some(integration) = integration else { return Ok(status) };
        status.scopes = Scopes { granted: integration.granted.clone(), missing: integration.missing.clone() };
        status.error.clone_from(&integration.problem);
        if integration.state == IntegrationState::Disconnected {
            let unfinished =
                || format!("Disconnecting {} did not finish. Disconnect it again to finish it.", spec.name).into();
            status.error = status.ending.map(|_| unfinished()).or(status.error);
            return Ok(status);
        }
        let id = integration.key.id();
        let overview = self.syncs.overview(&id, clock::now()).await?;
        status.sync_in_progress = overview.in_progress;
        status.last_sync = overview.last.as_ref().and_then(|entry| entry.last_sync);
        status.watching = watching(provider, &overview).filter(|_| status.connected);
        // What failed under an earlier grant says nothing of this one.
        let entry = overview.last.filter(|entry| entry.finished_at >= integration.connected_at);
        if status.error.is_none() {
            let failure = entry.as_ref().and_then(|entry| entry.outcome.as_ref().err());
            status.error = failure.map(|failure| failure.message.clone());
        }
        for stream in spec.streams {
            let state = overview.streams.get(stream.name);
            let failure = entry.as_ref().and_then(|entry| entry.streams.get(stream.name));
            // What was read without some of its members is told, too.
            let passed = state.map(|state| &state.passed).filter(|_| entry.is_some() && failure.is_none());
            let without = passed.and_then(PassedOver::sentence);
            let next_try = failure.map_or_else(|| passed.and_then(PassedOver::next_try), |failure| failure.next_try);
            status.streams.push(StreamStatus {
                name: stream.name,
                records: self.records.count(&id, stream.name).await?,
                last_full_sync: state.and_then(|state| state.last_full_sync),
                last_incremental_sync: state.and_then(|state| state.last_incremental_sync),
                error: failure.map(|failure| failure.message.clone()).or(without),
                // Nothing is tried without a grant; what is due is tried by the next sync.
                next_try: next_try.filter(|_| status.connected).map(|at| at.max(clock::now())),
            });
        }
        Ok(status)
    }
}

/// How much of what the provider could report is watched; `None` before the first sync, and where it reports nothing that way.
fn watching(provider: &dyn Provider, overview: &Overview) -> Option<Watching> {
    let watching = provider.spec().watching.as_ref()?;
    let all = provider.watched(overview.streams.get(watching.stream)?.cursor.as_ref()?);
    let now = clock::now();
    let known = |resource: &&String| Watched::read(overview.watches.get(*resource).map(String::as_str)).is_active(now);
    Some(Watching { active: all.iter().filter(known).count(), of: all.len() })
}
