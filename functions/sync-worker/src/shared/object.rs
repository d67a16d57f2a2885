//! An object that an event named, for all integrations of its account with equal scopes: asked for once, and written for each.
//!
//! *Invariant:* each record is written under the lease of its integration's syncs, as by a sync of that integration alone. No lease outlives
//! the attempt, whatever fails, and a failure for one integration stops no other. Repeating all of it changes nothing.

use std::time::Duration;

use domain::{
    Change, Deferral, Disposition, Failure, Integration, IntegrationKey, Reason, RecordKey,
    call::Bearing,
    integration::{IntegrationState, SharedAccount},
    messages::message::{Cause, SyncMessage},
    sync::{Scope, SyncJob, outcome::LogEntry, stream::Lane},
};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use platform::{
    AwsError,
    aws::queue::MAX_DELAY,
    base::clock,
    client::{CallContext, CallError},
    runtime::consumer::Attempt,
    stores::{
        records::Put,
        syncs::{Lease, LeaseError, Leasing},
    },
};
use providers::Provider;

use crate::{
    SyncWorker,
    work::{Work, is_over, wait},
};

/// Integrations that are written for at a time.
const CONCURRENCY: usize = 8;
/// After how long the object is asked for again for those that another sync of one object was busy with, or that a call to AWS failed for.
const AGAIN: Duration = Duration::from_secs(2);
/// For how long they stay together, since the event and since such a sync began. Later each gets a message of its own, which waits for a
/// holder that died, and counts its failures.
const TOGETHER: Duration = Duration::from_secs(10);

/// What asking for the object came to.
enum Asked {
    /// This, with the account and scopes of the integration that asked.
    Object(Box<Change>, SharedAccount),
    /// It can't be had alone.
    NotAlone,
    /// Nothing yet: this becomes of the message.
    Stopped(Disposition),
    /// No integration is there that could ask.
    NoReader,
}

/// What is left to do for an integration.
enum Left {
    Nothing,
    /// Its own message: another sync of it runs, or it does not belong to the others any more.
    Alone(Scope),
    /// The same again, soon, with the others for which that holds.
    Again,
}

impl SyncWorker {
    /// Reads the object that a message is about with the token of the first integration that can, and writes it for all that the message
    /// names. Integrations that it can't be written for now get messages.
    pub(crate) async fn object_for_all(
        &self,
        message: &SyncMessage,
        object: &RecordKey,
        attempt: &Attempt,
    ) -> Result<Disposition, AwsError> {
        let keys: Vec<_> = [&message.key].into_iter().chain(&message.others).collect();
        let Some(provider) = self.registry.find(&message.key.provider) else {
            let detail = format!("there is no provider {:?}", message.key.provider.as_str());
            return Ok(Disposition::dead_letter(Reason::UnknownProvider, detail));
        };
        let now = clock::now();
        let (change, account) = match self.ask_once(provider, &keys, object, attempt, now).await? {
            Asked::Object(change, account) => (change, account),
            Asked::NotAlone => {
                let all: Vec<_> = keys.into_iter().map(|key| alone(message, key, Scope::All)).collect();
                self.queue.send_all(&all).await?;
                return Ok(Disposition::Done);
            }
            Asked::Stopped(disposition) => return Ok(disposition),
            Asked::NoReader => return Ok(Disposition::Done),
        };
        let write = async |key: IntegrationKey| {
            let left = match self.write_for(&key, &account, &change, (message, attempt), now).await {
                Ok(left) => left,
                Err(error) => {
                    tracing::warn!(integration.id = %key.id(), reason = error.reason().name(), "not written for one of several");
                    // Whichever call failed, and also if only its reply was lost. If this fails, too, what is left waits for the lease's end.
                    let _ = self.syncs.give_up(&key.id(), &attempt.message_id).await;
                    if is_young(message) { Left::Again } else { Left::Alone(Scope::Object(object.clone())) }
                }
            };
            (key, left)
        };
        let keys = keys.into_iter().cloned().map(write);
        let left: Vec<_> = stream::iter(keys).buffered(CONCURRENCY).collect().await;
        let (mut messages, mut again) = (Vec::new(), Vec::new());
        let all = left.len();
        for (key, left) in left {
            match left {
                Left::Nothing => {}
                Left::Alone(scope) => messages.push(alone(message, &key, scope)),
                Left::Again => again.push(key),
            }
        }
        tracing::info!(all, alone = messages.len(), again = again.len(), "an object was read once for several");
        self.queue.send_all(&messages).await?;
        if !again.is_empty() {
            let key = again.remove(0);
            let rest = SyncMessage { others: again, ..alone(message, &key, Scope::Object(object.clone())) };
            self.queue.send(&rest, AGAIN).await?;
        }
        Ok(Disposition::Done)
    }

    /// Asks for the object with one token after the other, until one can.
    async fn ask_once(
        &self,
        provider: &dyn Provider,
        keys: &[&IntegrationKey],
        object: &RecordKey,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Asked, AwsError> {
        let api = provider.spec().provider_api();
        for key in keys {
            let Some(reader) = self.integrations.get(key).await? else { continue };
            let account = SharedAccount::of(key, &reader.granted);
            let Some(account) = account.filter(|_| reader.state == IntegrationState::Connected) else { continue };
            let Some((request, gone)) = provider.again(object.stream(), object.id(), now) else {
                return Ok(Asked::NotAlone);
            };
            let context = CallContext::integration(&api, key, &attempt.id, attempt.deadline);
            match self.client.call(&context, &request).await {
                Ok(reply) => {
                    let change = provider.detail(object.stream(), &reply, now);
                    return Ok(change.map_or(Asked::NotAlone, |change| Asked::Object(Box::new(change), account)));
                }
                Err(CallError::Failed(Failure::GrantEnded, _)) => {
                    self.grants.end(provider.spec().name, key, attempt.at).await?;
                }
                Err(CallError::Failed(failure, _)) => {
                    return Ok(match failure.bearing() {
                        Bearing::Missing => Asked::Object(Box::new(gone), account),
                        _ if !failure.is_transient() || failure == Failure::Unreadable => Asked::NotAlone,
                        Bearing::Lasting | Bearing::Passing | Bearing::None => {
                            let after = wait(&failure, attempt).min(MAX_DELAY);
                            let why = failure.diagnosis(provider.spec().name);
                            let aging = Work::aging(&failure);
                            Asked::Stopped(Disposition::Defer(Deferral {
                                after,
                                why,
                                aging,
                                has_place: false,
                                is_long: false,
                            }))
                        }
                    });
                }
                Err(CallError::Corrupt(_)) => self.grants.set_aside(&api, key).await?,
                Err(CallError::NotConnected) => {}
                Err(CallError::Aws(error)) => return Err(error),
            }
        }
        Ok(Asked::NoReader)
    }

    /// Writes the object for one integration. After a failure the lease may still be held.
    async fn write_for(
        &self,
        key: &IntegrationKey,
        account: &SharedAccount,
        change: &Change,
        (message, attempt): (&SyncMessage, &Attempt),
        now: Timestamp,
    ) -> Result<Left, AwsError> {
        let one = || Scope::Object(change.key().clone());
        if is_over(attempt) {
            return Ok(Left::Again);
        }
        let otherwise = |found: Option<Integration>| match found {
            Some(it) if it.state != IntegrationState::Connected => Some(Left::Nothing),
            Some(it) if SharedAccount::of(key, &it.granted).as_ref() == Some(account) => None,
            Some(_) => Some(Left::Alone(one())),
            None => Some(Left::Nothing),
        };
        // Before the lease, too: what is left of an integration that is gone expires unless it is leased.
        if let Some(left) = otherwise(self.integrations.get(key).await?) {
            return Ok(left);
        }
        // As a sync of one object, which reads nothing that another message asks for.
        let holder = (Lane::Main, attempt.message_id.as_str());
        let lease = match self.syncs.lease(&key.id(), holder, SyncJob::RenewWatches, clock::now()).await? {
            Leasing::Won(lease) => lease,
            Leasing::Busy(SyncJob::RenewWatches, until) if is_young(message) || self.is_fresh(until) => {
                return Ok(Left::Again);
            }
            Leasing::Busy(..) => return Ok(Left::Alone(one())),
        };
        let left = match otherwise(self.integrations.get(key).await?) {
            Some(left) => left,
            None => self.put_for(key, change, now).await?,
        };
        self.give_back(key, &lease).await?;
        Ok(left)
    }

    /// Gives a lease back. What was asked for meanwhile gets a message.
    async fn give_back(&self, key: &IntegrationKey, lease: &Lease) -> Result<(), AwsError> {
        loop {
            let job = match self.syncs.release(lease).await {
                Ok(None) | Err(LeaseError::Lost) => return Ok(()),
                Ok(Some(job)) => job,
                Err(LeaseError::Aws(error)) => return Err(error),
            };
            // The lease is still held: the message may come too early, and then leaves the mark anew.
            let now = clock::now();
            let next = SyncMessage::new(key, job, Cause::Changed, now);
            if let Err(error) = self.queue.send(&next, Duration::ZERO).await {
                // The next holder finds it.
                self.syncs.run_again(&key.id(), Lane::Main, job, now).await?;
                return Err(error);
            }
        }
    }

    async fn put_for(&self, key: &IntegrationKey, change: &Change, now: Timestamp) -> Result<Left, AwsError> {
        match self.records.put_page(&key.id(), &[change]).await?.first() {
            Some(Put::TooLarge) => return Ok(Left::Alone(Scope::All)),
            Some(Put::Written { .. }) => {
                let entry = LogEntry {
                    changes: 1,
                    finished_at: clock::now(),
                    ..LogEntry::begin(SyncJob::Incremental, now, None)
                };
                self.announce(key, &entry).await?;
            }
            Some(Put::Same | Put::Newer { .. }) | None => {}
        }
        Ok(Left::Nothing)
    }

    /// Whether a lease that ends then was taken a moment ago, so that its holder is alive.
    fn is_fresh(&self, until: Timestamp) -> bool {
        until + TOGETHER > clock::now() + self.syncs.lease_time()
    }
}

/// Whether the event was a moment ago.
fn is_young(message: &SyncMessage) -> bool {
    clock::now() < message.asked_at + TOGETHER
}

/// A message of its own for one of the integrations.
fn alone(message: &SyncMessage, key: &IntegrationKey, scope: Scope) -> SyncMessage {
    SyncMessage {
        scope,
        delivery_id: message.delivery_id.clone(),
        ..SyncMessage::new(key, SyncJob::Incremental, Cause::Changed, message.asked_at)
    }
}
