//! `GET /changes`: a user's records in the order in which they changed.

use std::time::Duration;

use domain::{IntegrationId, Problem, ProviderId, integration::account::Account};
use jiff::Timestamp;
use lambda_http::http::StatusCode;
use platform::{
    base::clock,
    runtime::http::{Call, internal, json},
    stores::changes::{Cursor, Entry, Feed},
};
use providers::Provider;
use serde::Serialize;
use serde_json::Value;

use crate::{Answer, IntegrationsApi, records};

/// How long changes are looked for before an answer tells where to go on.
const SEARCH: Duration = Duration::from_secs(4);

/// An entry as callers get it.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Changed(Box<Changed>),
    Erased { integration_id: IntegrationId, erased: bool },
}

/// A record that changed.
#[derive(Serialize)]
struct Changed {
    provider: ProviderId,
    integration_id: IntegrationId,
    account: Account,
    stream: String,
    id: String,
    deleted: bool,
    updated_at: Timestamp,
    /// The documented fields; null if it is deleted.
    record: Value,
}

#[derive(Serialize)]
struct Changes {
    changes: Vec<Shown>,
    next: String,
}

impl IntegrationsApi {
    /// What changed after an earlier answer, or from the beginning.
    pub(crate) async fn changes(&self, call: &Call<'_>) -> Answer {
        let caller = self.front.caller(call).await?;
        let only = call.query("provider").map(|id| self.named(id)).transpose()?;
        let (provider, stream) = (only.map(|provider| &provider.spec().id), call.query("stream"));
        let specs: Vec<_> = match only {
            Some(provider) => vec![provider.spec()],
            None => self.registry.iter().map(Provider::spec).collect(),
        };
        records::check_stream(&specs, stream)?;
        let limit = records::limit(call)?;
        let (feed, now) = (Feed { user_id: &caller.user_id, provider, stream }, clock::now());
        let after = call.query("after").map(|text| Cursor::parse(text, &feed, now).ok_or_else(foreign)).transpose()?;
        let until = call.deadline().min(now + SEARCH);
        let page = self.changes.follow(&feed, after, limit, until).await.map_err(|error| internal(&error))?;
        let changes = page.entries.into_iter().map(Shown::from).collect();
        Ok(json(StatusCode::OK, &Changes { changes, next: page.next.text(&feed) }))
    }
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Erased(integration_id) => Self::Erased { integration_id, erased: true },
            Entry::Changed(integration, record) => Self::Changed(Box::new(Changed {
                provider: integration.key.provider.clone(),
                integration_id: integration.key.id(),
                account: Account::of(&integration),
                stream: record.key.stream().to_owned(),
                id: record.key.id().to_owned(),
                deleted: record.deleted,
                updated_at: record.updated_at,
                record: record.data,
            })),
        }
    }
}

fn foreign() -> Problem {
    let message = "It must be what an earlier answer gave as \"next\", for the same user, provider and stream.";
    Problem::field("after", message)
}
