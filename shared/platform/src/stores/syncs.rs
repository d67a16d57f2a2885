//! The syncs table: per integration a lease, the state of each stream, its watches, and a log.
//!
//! *Invariant:* only the holder of the lease moves a stream's state: every such write is one transaction with a check of its
//! fence. A change that is reported while a sync runs marks the lease, and the lease can't be given back over that mark.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    operation::{
        transact_write_items::TransactWriteItemsError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{AttributeValue, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};
use domain::sync::{SyncJob, outcome::LogEntry, stream::StreamState};
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    aws::{Aws, AwsError, client},
    stores::old::{Item, conditional, malformed, n, number, s, text},
};

/// How long log entries are kept, and the fence of an integration that was ended: long after its last writer.
const RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);
const LEASE: &str = "lease";
const STREAM: &str = "stream#";
const WATCH: &str = "watch#";
/// After all others, so that a query for those reads no log.
const LOG: &str = "~log#";
/// How often a transaction that met another one is repeated, with a longer pause each time.
const MAX_CONFLICTS: u32 = 4;
const CONFLICT_PAUSE: Duration = Duration::from_millis(25);

/// The table.
#[derive(Debug, Clone)]
pub struct Syncs {
    client: Client,
    table: String,
    lease: Duration,
}

/// The right to sync an integration, until its lease ends.
#[derive(Debug, Clone)]
pub struct Lease {
    integration_id: String,
    fence: u64,
}

/// What trying to lease an integration led to.
#[derive(Debug)]
pub enum Leasing {
    /// It is ours.
    Won(Lease),
    /// A sync of this type runs, until then unless it is prolonged.
    Busy(SyncJob, Timestamp),
}

/// Why a write under a lease failed.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else holds it now: nothing was written, and nothing may be.
    #[error("the lease was taken over")]
    Lost,
    /// DynamoDB failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

/// All that is known of an integration's syncs.
#[derive(Debug, Default)]
pub struct Overview {
    /// By stream.
    pub streams: HashMap<String, StreamState>,
    /// By what is watched: as stored.
    pub watches: HashMap<String, String>,
    /// Whether one runs.
    pub in_progress: bool,
    /// The latest entry of the log.
    pub last: Option<LogEntry>,
}

impl Syncs {
    /// How long a lease lasts.
    pub fn lease_time(&self) -> Duration {
        self.lease
    }

    /// The table of this name; leases end after `lease` unless they are prolonged.
    pub fn new(aws: &Aws, table: impl Into<String>, lease: Duration) -> Self {
        Self { client: client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB"), table: table.into(), lease }
    }

    /// Leases an integration for the message `holder`. The same message takes its own lease over: it comes again only when
    /// its earlier attempt is dead or given up.
    ///
    /// What an erasure leases expires by itself: the integration may be gone, and with it all that could delete the item.
    pub async fn lease(
        &self,
        integration_id: &str,
        holder: &str,
        kind: SyncJob,
        now: Timestamp,
    ) -> Result<Leasing, AwsError> {
        let expires_at = match kind {
            SyncJob::PurgeRecords | SyncJob::DeleteIntegration => Some(expiry(now)),
            SyncJob::Full | SyncJob::Incremental | SyncJob::RenewWatches => None,
        };
        let and = if expires_at.is_some() { ", expires_at = :expires_at" } else { " REMOVE expires_at" };
        let call = self
            .update(integration_id, LEASE)
            .update_expression(format!(
                "SET fence = if_not_exists(fence, :zero) + :one, lease_until = :until, holder = :holder, #type = :type{and}"
            ))
            .condition_expression("attribute_not_exists(lease_until) OR lease_until <= :now OR holder = :holder")
            .expression_attribute_names("#type", "type")
            .expression_attribute_values(":zero", n(0))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":until", n((now + self.lease).as_millisecond()))
            .expression_attribute_values(":now", n(now.as_millisecond()))
            .expression_attribute_values(":holder", s(holder))
            .expression_attribute_values(":type", s(json(&kind)?))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let call = match expires_at {
            Some(expires_at) => call.expression_attribute_values(":expires_at", expires_at),
            None => call,
        };
        match call.send().await {
            Ok(output) => {
                let item = output.attributes().ok_or_else(|| malformed("fence"))?;
                Ok(Leasing::Won(Lease { integration_id: integration_id.to_owned(), fence: number(item, "fence")? }))
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    let item = refusal.item().ok_or_else(|| malformed("lease_until"))?;
                    Ok(Leasing::Busy(parse(item, "type")?, millis(item, "lease_until")?))
                }
                _ => Err(AwsError::new("dynamodb:UpdateItem", error)),
            },
        }
    }

    /// Tells the holder of the lease to run again. Whether there was one.
    pub async fn run_again(&self, integration_id: &str, kind: SyncJob, now: Timestamp) -> Result<bool, AwsError> {
        // A full run covers an incremental one.
        let set = match kind {
            SyncJob::Full => "SET again = :type",
            SyncJob::Incremental | SyncJob::RenewWatches | SyncJob::PurgeRecords | SyncJob::DeleteIntegration => {
                "SET again = if_not_exists(again, :type)"
            }
        };
        let call = self
            .update(integration_id, LEASE)
            .update_expression(set)
            .condition_expression("lease_until > :now")
            .expression_attribute_values(":type", s(json(&kind)?))
            .expression_attribute_values(":now", n(now.as_millisecond()));
        Ok(conditional(call).await?.is_some())
    }

    /// Gives a lease back, unless a change was reported meanwhile: then it stays, the mark is taken off, and this is what to
    /// run.
    pub async fn release(&self, lease: &Lease) -> Result<Option<SyncJob>, LeaseError> {
        let give_back = self
            .update(&lease.integration_id, LEASE)
            .update_expression("REMOVE lease_until, holder, #type")
            .condition_expression("fence = :fence AND attribute_not_exists(again)")
            .expression_attribute_names("#type", "type")
            .expression_attribute_values(":fence", n(lease.fence));
        if conditional(give_back).await?.is_some() {
            return Ok(None);
        }
        let take_mark = self
            .update(&lease.integration_id, LEASE)
            .update_expression("REMOVE again")
            .condition_expression("fence = :fence AND attribute_exists(again)")
            .expression_attribute_values(":fence", n(lease.fence))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match take_mark.send().await {
            Ok(output) => Ok(Some(parse(output.attributes().ok_or_else(|| malformed("again"))?, "again")?)),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    // Still ours, so the mark was taken off by this very call, whose reply was lost: what it said is not known. A full
                    // sync covers whatever it was.
                    let fence = refusal.item().and_then(|item| number::<u64>(item, "fence").ok());
                    if fence == Some(lease.fence) { Ok(Some(SyncJob::Full)) } else { Err(LeaseError::Lost) }
                }
                _ => Err(AwsError::new("dynamodb:UpdateItem", error).into()),
            },
        }
    }

    /// Gives a lease back. What was reported meanwhile stays marked, and the next holder runs again for it.
    pub async fn abandon(&self, lease: &Lease) -> Result<(), AwsError> {
        let call = self
            .update(&lease.integration_id, LEASE)
            .update_expression("REMOVE lease_until, holder, #type")
            .condition_expression("fence = :fence")
            .expression_attribute_names("#type", "type")
            .expression_attribute_values(":fence", n(lease.fence));
        conditional(call).await.map(|_| ())
    }

    /// Makes sure that a message holds no lease, whatever became of its calls.
    pub async fn give_up(&self, integration_id: &str, holder: &str) -> Result<(), AwsError> {
        let call = self
            .update(integration_id, LEASE)
            .update_expression("REMOVE lease_until, holder, #type")
            .condition_expression("holder = :holder")
            .expression_attribute_names("#type", "type")
            .expression_attribute_values(":holder", s(holder));
        conditional(call).await.map(|_| ())
    }

    /// Takes the lease of an integration that is being ended from its holder: what the holder still writes about its run is
    /// refused. Until when it was last held so, for the holder may be in the middle of a page. The item, which has the fence,
    /// expires by itself unless a sync leases the integration again.
    pub async fn break_lease(&self, integration_id: &str, now: Timestamp) -> Result<Option<Timestamp>, AwsError> {
        let update = |more: &str| {
            self.update(integration_id, LEASE)
                .update_expression(format!(
                    "SET fence = if_not_exists(fence, :zero) + :one, expires_at = :expires_at{more} \
                     REMOVE lease_until, holder, #type, again"
                ))
                .expression_attribute_names("#type", "type")
                .expression_attribute_values(":zero", n(0))
                .expression_attribute_values(":one", n(1))
                .expression_attribute_values(":expires_at", expiry(now))
                .return_values(ReturnValue::AllNew)
        };
        let broken = update(", held_until = lease_until").condition_expression("attribute_exists(lease_until)");
        if let Some(item) = conditional(broken).await? {
            return Ok(millis(&item, "held_until").ok());
        }
        let output = update("").send().await.map_err(|error| AwsError::new("dynamodb:UpdateItem", error))?;
        Ok(output.attributes().and_then(|item| millis(item, "held_until").ok()))
    }

    /// Stores where a stream stands, and prolongs the lease.
    pub async fn save(
        &self,
        lease: &Lease,
        stream: &str,
        state: &StreamState,
        now: Timestamp,
    ) -> Result<(), LeaseError> {
        self.put(lease, format!("{STREAM}{stream}"), json(state)?, now).await
    }

    /// Stores a watch, as text of the worker's own form.
    pub async fn save_watch(
        &self,
        lease: &Lease,
        resource: &str,
        watch: &str,
        now: Timestamp,
    ) -> Result<(), LeaseError> {
        self.put(lease, format!("{WATCH}{resource}"), watch.to_owned(), now).await
    }

    /// Adds to the log. Repeating it changes nothing.
    pub async fn log(&self, integration_id: &str, entry: &LogEntry) -> Result<(), AwsError> {
        let item = format!("{LOG}{}", entry.started_at.as_millisecond());
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("integration_id", s(integration_id))
            .item("item", s(item))
            .item("state", s(json(entry)?))
            .item("expires_at", expiry(entry.finished_at));
        call.send().await.map_err(|error| AwsError::new("dynamodb:PutItem", error))?;
        Ok(())
    }

    /// All that is known of an integration's syncs.
    pub async fn overview(&self, integration_id: &str, now: Timestamp) -> Result<Overview, AwsError> {
        let mut overview = Overview::default();
        for item in self.items(integration_id, LEASE, "watch$").await? {
            let name = text(&item, "item")?;
            if let Some(stream) = name.strip_prefix(STREAM) {
                overview.streams.insert(stream.to_owned(), parse(&item, "state")?);
            } else if let Some(resource) = name.strip_prefix(WATCH) {
                overview.watches.insert(resource.to_owned(), text(&item, "state")?.to_owned());
            } else {
                overview.in_progress = millis(&item, "lease_until").is_ok_and(|until| until > now);
            }
        }
        let log = self.client.query().table_name(&self.table).scan_index_forward(false).limit(1);
        let log = log
            .key_condition_expression("integration_id = :id AND begins_with(#item, :log)")
            .expression_attribute_names("#item", "item")
            .expression_attribute_values(":id", s(integration_id))
            .expression_attribute_values(":log", s(LOG));
        let output = log.send().await.map_err(|error| AwsError::new("dynamodb:Query", error))?;
        overview.last = output.items().first().map(|item| parse(item, "state")).transpose()?;
        Ok(overview)
    }

    /// Deletes everything of an integration but the lease, whose fence must go on counting.
    pub async fn erase(&self, integration_id: &str) -> Result<(), AwsError> {
        for item in self.items(integration_id, "lease$", "~z").await? {
            let call = self.client.delete_item().table_name(&self.table).key("integration_id", s(integration_id));
            let call = call.key("item", s(text(&item, "item")?));
            call.send().await.map_err(|error| AwsError::new("dynamodb:DeleteItem", error))?;
        }
        Ok(())
    }

    /// The items between two names.
    async fn items(&self, integration_id: &str, from: &str, to: &str) -> Result<Vec<Item>, AwsError> {
        let call = self.client.query().table_name(&self.table).consistent_read(true);
        let call = call
            .key_condition_expression("integration_id = :id AND #item BETWEEN :from AND :to")
            .expression_attribute_names("#item", "item")
            .expression_attribute_values(":id", s(integration_id))
            .expression_attribute_values(":from", s(from))
            .expression_attribute_values(":to", s(to));
        let items = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        items.map_err(|error| AwsError::new("dynamodb:Query", error))
    }

    fn update(&self, integration_id: &str, item: &str) -> UpdateItemFluentBuilder {
        let call = self.client.update_item().table_name(&self.table);
        call.key("integration_id", s(integration_id)).key("item", s(item))
    }

    /// Puts an item in one transaction with the check that the lease is still ours, which prolongs it.
    async fn put(&self, lease: &Lease, item: String, state: String, now: Timestamp) -> Result<(), LeaseError> {
        let failed = |error: BuildError| AwsError::unwritable("save", error);
        let put = Put::builder()
            .table_name(&self.table)
            .item("integration_id", s(&lease.integration_id))
            .item("item", s(item))
            .item("state", s(state))
            .build()
            .map_err(failed)?;
        let prolong = Update::builder()
            .table_name(&self.table)
            .key("integration_id", s(&lease.integration_id))
            .key("item", s(LEASE))
            .update_expression("SET lease_until = :until")
            .condition_expression("fence = :fence AND attribute_exists(lease_until)")
            .expression_attribute_values(":until", n((now + self.lease).as_millisecond()))
            .expression_attribute_values(":fence", n(lease.fence))
            .build()
            .map_err(failed)?;
        let items =
            [TransactWriteItem::builder().update(prolong).build(), TransactWriteItem::builder().put(put).build()];
        let mut conflicts = 0;
        loop {
            let call = self.client.transact_write_items().set_transact_items(Some(items.to_vec()));
            let Err(error) = call.send().await else { return Ok(()) };
            let cancelled = |code: &str| match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    cancelled.cancellation_reasons().iter().any(|reason| reason.code() == Some(code))
                }
                _ => false,
            };
            if cancelled("ConditionalCheckFailed") {
                return Err(LeaseError::Lost);
            }
            // Somebody marks the lease at the same moment: the SDK repeats what was throttled, but not this.
            if !cancelled("TransactionConflict") || conflicts == MAX_CONFLICTS {
                return Err(AwsError::new("dynamodb:TransactWriteItems", error).into());
            }
            conflicts += 1;
            tokio::time::sleep(CONFLICT_PAUSE * conflicts).await;
        }
    }
}

/// When DynamoDB may delete an item that was written at this time.
fn expiry(at: Timestamp) -> AttributeValue {
    n((at + RETENTION).as_second())
}

fn json<T: Serialize>(value: &T) -> Result<String, AwsError> {
    serde_json::to_string(value).map_err(|error| AwsError::unwritable("write", error))
}

fn parse<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T, AwsError> {
    serde_json::from_str(text(item, name)?).map_err(|_| malformed(name))
}

fn millis(item: &Item, name: &str) -> Result<Timestamp, AwsError> {
    Timestamp::from_millisecond(number(item, name)?).map_err(|_| malformed(name))
}
