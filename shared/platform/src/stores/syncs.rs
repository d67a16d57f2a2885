//! The syncs table: per integration a lease for each lane, the state of each stream in each lane, its watches, and a log.
//!
//! *Invariant:* only the holder of a lane's lease moves a stream's state in that lane: every such write is one transaction with a check
//! of its fence. A change that is reported while a sync runs marks the lease, and the lease can't be released over that mark.

mod lease;
mod manifest;
mod shared;

use std::{collections::HashMap, iter, time::Duration};

use domain::{
    IntegrationId,
    sync::{
        outcome::LogEntry,
        stream::{Lane, Lanes, StreamState},
    },
};
use jiff::{SignedDuration, Timestamp, fmt::serde::timestamp::second};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{
    lease::{Lease, LeaseError, Leasing, Mark},
    shared::{Reading, Shared},
};
use crate::{
    aws::{Aws, AwsError},
    stores::{
        item::{Item, key, malformed, read, s, text, write},
        table::{self, Table, Update},
    },
};

/// How long log entries are kept, and the fence of an integration that was ended: long after its last writer.
const RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);
const LEASE: &str = "lease";
const FULL_LEASE: &str = "lease#full";
const STREAM: &str = "stream#";
const FULL_STREAM: &str = "stream-full#";
const WATCH: &str = "watch#";
/// After all others, so that a query for those reads no log.
const LOG: &str = "~log#";

/// The table of syncs.
#[derive(Debug, Clone)]
pub struct Syncs {
    table: Table,
    lease: Duration,
}

/// All that is known of an integration's syncs, but the lease.
#[derive(Debug, Default)]
pub struct Overview {
    /// Where each stream stands, by its name.
    pub streams: HashMap<String, Lanes>,
    /// By the resource that is watched, as stored.
    pub watches: HashMap<String, String>,
    /// The latest entry of the log.
    pub last: Option<LogEntry>,
}

/// The item of a stream, a watch or the log.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    integration_id: IntegrationId,
    /// Tells what it is of.
    item: String,
    /// JSON of a stream or of the log; of a watch, text of the worker's own form.
    state: String,
    #[serde(default, with = "second::optional")]
    expires_at: Option<Timestamp>,
}

impl Stored {
    fn new(integration_id: &IntegrationId, item: String, state: String) -> Self {
        let integration_id = integration_id.clone();
        Self { integration_id, item, state, expires_at: None }
    }
}

impl Syncs {
    /// How long a lease lasts.
    pub fn lease_time(&self) -> Duration {
        self.lease
    }

    /// The table of this name; leases end after `lease` unless they are prolonged.
    pub fn new(aws: &Aws, table: impl Into<String>, lease: Duration) -> Self {
        Self { table: Table::new(aws, table), lease }
    }

    /// Stores where a stream stands in the lane of the lease, with the last `parts` of the log of its run, and prolongs the lease.
    pub async fn save(
        &self,
        lease: &Lease,
        stream: &str,
        state: &StreamState,
        parts: Vec<Vec<u8>>,
        now: Timestamp,
    ) -> Result<(), LeaseError> {
        let prefix = match lease.lane {
            Lane::Main => STREAM,
            Lane::Full => FULL_STREAM,
        };
        let mut items = vec![of(lease, format!("{prefix}{stream}"), json(state)?)?];
        if let Some(run) = &state.run {
            let parts = parts.into_iter().rev().zip((0..run.parts).rev());
            items.extend(parts.map(|(part, number)| manifest::part(lease, (stream, run), number, part)));
        }
        self.put(lease, items, now).await
    }

    /// Stores a watch, as text of the worker's own form, if what is stored is still `before`: whether it was. The other lane may have
    /// started a watch, too.
    pub async fn save_watch(
        &self,
        lease: &Lease,
        resource: &str,
        (before, watch): (Option<&str>, &str),
        now: Timestamp,
    ) -> Result<bool, LeaseError> {
        let update = self.table.update(item_key(&lease.integration_id, &format!("{WATCH}{resource}")));
        let update = update.set("state = :watch").with([(":watch", s(watch))]);
        let update = match before {
            Some(before) => update.when("state = :before").with([(":before", s(before))]),
            None => update.when("attribute_not_exists(state)"),
        };
        let writes = [self.renewal(lease, now), update].map(Update::transact);
        let writes = writes.into_iter().collect::<Result<Vec<_>, _>>()?;
        let refusals = self.table.transact(|| Ok(writes.clone())).await?;
        // The first is the lease.
        if refusals.iter().any(|refusal| refusal.index == 0) { Err(LeaseError::Lost) } else { Ok(refusals.is_empty()) }
    }

    /// Adds to the log. Repeating it changes nothing.
    pub async fn log(&self, integration_id: &IntegrationId, entry: &LogEntry) -> Result<(), AwsError> {
        // The latest is that which ended last, though a sync of the other lane began later.
        let item = format!("{LOG}{}.{}", entry.finished_at.as_millisecond(), entry.started_at.as_millisecond());
        let stored = Stored {
            expires_at: Some(entry.finished_at + RETENTION),
            ..Stored::new(integration_id, item, json(entry)?)
        };
        self.table.put(write(&stored)?).await
    }

    /// All that is known of an integration's syncs.
    pub async fn overview(&self, integration_id: &IntegrationId) -> Result<Overview, AwsError> {
        let mut overview = Overview::default();
        for item in self.items(integration_id, STREAM, "watch$").await? {
            let stored: Stored = read(item)?;
            if let Some(stream) = stored.item.strip_prefix(STREAM) {
                overview.streams.entry(stream.to_owned()).or_default().main = parse("state", &stored.state)?;
            } else if let Some(stream) = stored.item.strip_prefix(FULL_STREAM) {
                overview.streams.entry(stream.to_owned()).or_default().full = parse("state", &stored.state)?;
            } else if let Some(resource) = stored.item.strip_prefix(WATCH) {
                overview.watches.insert(resource.to_owned(), stored.state);
            }
        }
        overview.last = self.last(integration_id).await?;
        Ok(overview)
    }

    /// The latest entry of the log.
    pub async fn last(&self, integration_id: &IntegrationId) -> Result<Option<LogEntry>, AwsError> {
        let values = [(":id", s(integration_id)), (":log", s(LOG))];
        let log = self.table.query("integration_id = :id AND begins_with(item, :log)", values);
        let output = log.call().consistent_read(true).scan_index_forward(false).limit(1).send().await;
        let mut items = output.map_err(|error| AwsError::new("dynamodb:Query", error))?.items.unwrap_or_default();
        items.pop().map(|item| parse("state", &read::<Stored>(item)?.state)).transpose()
    }

    /// Where one stream stands in the lane of full runs; `None` if it was never read in full.
    pub async fn full_stream(
        &self,
        integration_id: &IntegrationId,
        name: &str,
    ) -> Result<Option<StreamState>, AwsError> {
        let item = format!("{FULL_STREAM}{name}");
        let mut items = self.items(integration_id, &item, &item).await?;
        items.pop().map(|item| parse("state", &read::<Stored>(item)?.state)).transpose()
    }

    /// Deletes everything of an integration but the leases, whose fences must go on counting.
    pub async fn erase(&self, integration_id: &IntegrationId) -> Result<(), AwsError> {
        for item in self.items(integration_id, "lease$", "~z").await? {
            self.table.delete(item_key(integration_id, text(&item, "item")?)).await?;
        }
        Ok(())
    }

    /// The items between two names.
    async fn items(&self, integration_id: &IntegrationId, from: &str, to: &str) -> Result<Vec<Item>, AwsError> {
        let values = [(":id", s(integration_id)), (":from", s(from)), (":to", s(to))];
        let query = self.table.query("integration_id = :id AND item BETWEEN :from AND :to", values);
        table::items(query.call().consistent_read(true)).await
    }

    /// Puts items in one transaction with the check that the lease is still held, which prolongs it.
    async fn put(&self, lease: &Lease, items: Vec<Item>, now: Timestamp) -> Result<(), LeaseError> {
        let items = items.into_iter().map(|item| self.table.transact_put(item));
        let writes = iter::once(self.renewal(lease, now).transact()).chain(items).collect::<Result<Vec<_>, _>>()?;
        if self.table.transact(|| Ok(writes.clone())).await?.is_empty() { Ok(()) } else { Err(LeaseError::Lost) }
    }

    /// Prolongs a lease that is still held.
    fn renewal(&self, lease: &Lease, now: Timestamp) -> Update {
        self.lease_of(lease).renew(now, self.lease).when("attribute_exists(lease_until)")
    }

    fn lease_item(&self, integration_id: &IntegrationId, lane: Lane) -> Update {
        let item = match lane {
            Lane::Main => LEASE,
            Lane::Full => FULL_LEASE,
        };
        self.table.update(item_key(integration_id, item))
    }

    /// An update of the lease's item that is made only while the lease is held.
    fn lease_of(&self, lease: &Lease) -> Update {
        self.lease_item(&lease.integration_id, lease.lane).held(lease.fence)
    }
}

fn item_key(integration_id: &IntegrationId, item: &str) -> Item {
    key([("integration_id", s(integration_id)), ("item", s(item))])
}

fn json<T: Serialize>(value: &T) -> Result<String, AwsError> {
    serde_json::to_string(value).map_err(|error| AwsError::unwritable("the state of a sync", error))
}

fn parse<T: DeserializeOwned>(attribute: &str, json: &str) -> Result<T, AwsError> {
    serde_json::from_str(json).map_err(|_| malformed(attribute))
}

/// The item of a holder's state.
fn of(lease: &Lease, item: String, state: String) -> Result<Item, AwsError> {
    write(&Stored::new(&lease.integration_id, item, state))
}
