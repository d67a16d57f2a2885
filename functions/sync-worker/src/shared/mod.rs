//! One reading for all integrations of an account: which of them reads, and what the others copy from.
//!
//! *Invariant:* a stream is copied only from an integration of the same account and equal scopes that is connected, which its own item
//! says and not an index. Whatever is missed here costs one reading more.

mod copy;
mod object;
mod reading;

use crate::{SyncWorker, run::Reading as How, stop::Stop, work::Work};
use domain::{
    Candidate, Integration, IntegrationKey, Lookup,
    integration::{IntegrationState, SharedAccount},
    sync::{
        outcome::LogEntry,
        stream::{End, Run, Source, StreamState},
    },
};
use jiff::Timestamp;
use platform::{
    AwsError,
    base::{clock, lock::lock},
    stores::syncs::{Reading, Shared},
};
use providers::StreamSpec;

/// Integrations that are tried as a source when the account's item names none: each costs two reads.
const MAX_TRIED: usize = 4;
/// How many sources of a copy are tried one after the other before the sync waits.
const MAX_SOURCES: usize = 3;

/// Where a stream is read.
#[derive(Debug)]
enum Origin {
    /// At the provider, or where the run that is under way reads.
    Provider,
    /// In the records of another integration.
    Copy(Source),
    /// Nowhere: an earlier attempt at the message read it.
    Read,
}

impl SyncWorker {
    /// Reads a stream, at the provider or from the records of another integration of the account.
    pub(crate) async fn stream(
        &self,
        work: &Work<'_>,
        stream: &StreamSpec,
        how: How<'_>,
        entry: &mut LogEntry,
    ) -> Result<(StreamState, End), Stop> {
        let mut state = work.state(stream.name);
        // What copies a reading that is not recent enough for this message, which may have to read for itself, says nothing new.
        let is_recent = |run: &Run| {
            run.source.as_ref().is_none_or(|source| work.sharing.since().is_some_and(|since| source.since >= since))
        };
        state.run = state.run.filter(is_recent);
        let mut end = End::SourceGone;
        for _ in 0..MAX_SOURCES {
            let source = match Box::pin(self.origin(work, stream, &state)).await? {
                Origin::Provider => None,
                Origin::Copy(source) => Some(source),
                Origin::Read => return Ok((state, End::Read)),
            };
            let how = How { source: source.as_ref(), ..how };
            (state, end) = Box::pin(self.read_stream(work, stream, state, how, entry)).await?;
            if end == End::SourceGone {
                continue;
            }
            self.stream_is_read(work, stream, &state, &end).await?;
            // A run that an earlier message began may have passed what this one is about.
            let since = work.sharing.of_stream(stream).map(|(_, since)| since);
            if end != End::Read || since.is_none_or(|since| state.full_since >= Some(since)) {
                break;
            }
        }
        Ok((state, end))
    }

    /// Where a stream is to be read. The index that has all integrations of the account is read only where no other one is known to have
    /// read a moment ago: each would read all of it at each slot.
    async fn origin(&self, work: &Work<'_>, stream: &StreamSpec, state: &StreamState) -> Result<Origin, Stop> {
        let Some((account, since)) = work.sharing.of_stream(stream) else { return Ok(Origin::Provider) };
        // A copy that is under way goes on, and finds out whether its source is there. What is refused is no other's to answer.
        let copies = state.run.as_ref().is_some_and(|run| run.source.is_some());
        if copies || state.backoff.is_some() {
            return Ok(Origin::Provider);
        }
        // The first reading of all takes the lease though there may be no other integration yet: others connect in the same moment.
        let is_first = state.last_full_sync.is_none_or(|at| at < work.integration.connected_at);
        let is_read = !is_first && state.run.is_none() && state.full_since.is_some_and(|at| at >= since);
        let goes_on = !work.task.message.stage.is_first();
        if is_read && goes_on {
            return Ok(Origin::Read);
        }
        if lock(&work.sharing.held).is_some() {
            return Ok(Origin::Provider);
        }
        let shared = self.syncs.shared(account).await?;
        let another_read_last = shared.readings.get(stream.name).is_some_and(|it| it.user_id != work.key.user_id);
        if another_read_last && state.run.is_none() {
            if is_read {
                return Ok(Origin::Read);
            }
            if let Some(source) = self.last_reading(work, &shared, stream, since).await? {
                return Ok(Origin::Copy(source));
            }
        }
        let is_busy = |(reader, until): (String, Timestamp)| reader != work.id.as_str() && until > clock::now();
        if state.run.is_none() && shared.reader.is_some_and(is_busy) {
            return Err(Stop::Turn);
        }
        let is_alone = self.others(work).await?.is_empty();
        if is_alone && !is_first {
            return Ok(Origin::Provider);
        }
        if !is_alone && is_read {
            return Ok(Origin::Read);
        }
        if state.run.is_some() {
            // Its pages were read under the lease, which may have ended.
            if let Reading::Won(shared) = self.lease_reading(work, account).await? {
                work.hold(shared);
            }
            return Ok(Origin::Provider);
        }
        if let Some(source) = self.any_source(work, stream, since).await? {
            return Ok(Origin::Copy(source));
        }
        // What was read since this was looked up counts.
        let (shared, won) = match self.lease_reading(work, account).await? {
            Reading::Won(shared) => (shared, true),
            Reading::Busy(shared) => (shared, false),
        };
        match (self.last_reading(work, &shared, stream, since).await?, won) {
            (Some(source), true) => {
                self.syncs.release_shared(account, &work.id).await?;
                Ok(Origin::Copy(source))
            }
            (Some(source), false) => Ok(Origin::Copy(source)),
            (None, true) => {
                work.hold(shared);
                Ok(Origin::Provider)
            }
            (None, false) => Err(Stop::Turn),
        }
    }

    /// The other integrations of the account and the scopes, as an index has them: one that it does not have yet is missed.
    async fn others<'w>(&self, work: &'w Work<'_>) -> Result<&'w Vec<Candidate>, AwsError> {
        let find = async || {
            if work.sharing.account.is_none() {
                return Ok(Vec::new());
            }
            let lookup = Lookup::Account(work.key.account_id.clone());
            let mut found = self.integrations.find(&work.key.provider, &lookup).await?;
            found.retain(|it| it.key != *work.key && SharedAccount::of(&it.key, &it.granted) == work.sharing.account);
            Ok(found)
        };
        work.sharing.others.get_or_try_init(find).await
    }

    /// The source that the account's item names, if its reading is recent enough.
    async fn last_reading(
        &self,
        work: &Work<'_>,
        shared: &Shared,
        stream: &StreamSpec,
        since: Timestamp,
    ) -> Result<Option<Source>, AwsError> {
        let Some(reading) = shared.readings.get(stream.name).filter(|reading| reading.since >= since) else {
            return Ok(None);
        };
        if reading.user_id == work.key.user_id {
            return Ok(None);
        }
        self.source(work, &work.key_of(&reading.user_id), stream, since).await
    }

    /// A source among the integrations that have begun a reading that is recent enough.
    async fn any_source(
        &self,
        work: &Work<'_>,
        stream: &StreamSpec,
        since: Timestamp,
    ) -> Result<Option<Source>, AwsError> {
        let begun = |it: &&Candidate| it.read_since.of(stream.name);
        let mut others: Vec<_> = self.others(work).await?.iter().filter(|it| begun(it) >= Some(since)).collect();
        others.sort_by_key(|it| std::cmp::Reverse(begun(it)));
        for other in others.into_iter().take(MAX_TRIED) {
            if let Some(source) = self.source(work, &other.key, stream, since).await? {
                return Ok(Some(source));
            }
        }
        Ok(None)
    }

    /// An integration as the source of a stream: its last reading passed over nothing, and began late enough, and not before an earlier
    /// run of this one, whose events are left out already.
    async fn source(
        &self,
        work: &Work<'_>,
        key: &IntegrationKey,
        stream: &StreamSpec,
        since: Timestamp,
    ) -> Result<Option<Source>, AwsError> {
        let Some(found) = self.connected(work, key).await? else { return Ok(None) };
        let Some(state) = self.syncs.full_stream(&key.id(), stream.name).await? else { return Ok(None) };
        let own = lock(&work.read_since).of(stream.name);
        // One that began under an earlier grant may have read by other scopes.
        let read = state.full_since.filter(|at| *at >= found.connected_at && *at >= since && Some(*at) >= own);
        let is_whole = state.passed.is_empty() && state.backoff.is_none();
        Ok(read.filter(|_| is_whole).map(|since| Source {
            user_id: key.user_id.clone(),
            connected_at: found.connected_at,
            since,
        }))
    }

    /// An integration of this key, if it is connected, to the same account with equal scopes.
    async fn connected(&self, work: &Work<'_>, key: &IntegrationKey) -> Result<Option<Integration>, AwsError> {
        let found = self.integrations.get(key).await?;
        Ok(found.filter(|it| {
            work.sharing.account.is_some()
                && it.state == IntegrationState::Connected
                && SharedAccount::of(&it.key, &it.granted) == work.sharing.account
        }))
    }
}
