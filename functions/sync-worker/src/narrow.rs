//! Syncs of one thing that a report named: an object, or the part of a stream that a watch reports about.
//!
//! *Invariant:* they say nothing of anything else. They take no slot, clear no failure, and leave to a sync of everything whatever
//! can't be had alone.

use domain::{
    Failure, RecordKey,
    sync::{
        Scope, SyncJob,
        outcome::LogEntry,
        stream::{End, Lanes, StreamState},
    },
};
use platform::{
    base::{clock, lock::lock},
    client::CallError,
    stores::{records::Put, syncs::Overview},
};
use providers::{Watched, Watching};

use crate::{SyncWorker, run::Reading, stop::Stop, work::Work};

impl SyncWorker {
    /// Reads what the scope is about. Whether that could be had alone; if not, everything is to be read.
    pub(crate) async fn narrow(&self, work: &Work<'_>, scope: &Scope) -> Result<bool, Stop> {
        let mut entry = LogEntry::begin(SyncJob::Incremental, clock::now(), None);
        let is_read = match scope {
            Scope::All => false,
            Scope::Object(key) => self.object_of(work, key, &mut entry).await?,
            Scope::Channel(channel) => self.part_of(work, channel, &mut entry).await?,
        };
        if is_read {
            entry.finished_at = clock::now();
            if entry.changes + entry.swept > 0 {
                self.announce(work.key, &entry).await?;
            }
            work.log_synced(&entry);
        }
        Ok(is_read)
    }

    async fn object_of(&self, work: &Work<'_>, key: &RecordKey, entry: &mut LogEntry) -> Result<bool, Stop> {
        let now = entry.started_at;
        let Some((request, gone)) = work.provider.again(key.stream(), key.id(), now) else { return Ok(false) };
        let change = match self.object(work, key.stream(), request, gone, now).await {
            Ok(Ok(change)) => change,
            Ok(Err(_)) => return Ok(false),
            Err(CallError::Failed(failure, _)) if !passes(&failure) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        match self.records.put_page(&work.id, &[&change]).await?.first() {
            Some(Put::TooLarge) => return Ok(false),
            Some(Put::Written { .. }) => entry.changes = 1,
            Some(Put::Same | Put::Newer { .. }) | None => {}
        }
        Ok(true)
    }

    async fn part_of(&self, work: &Work<'_>, channel: &str, entry: &mut LogEntry) -> Result<bool, Stop> {
        let spec = work.provider.spec();
        let Some(watching) = &spec.watching else { return Ok(false) };
        let Some(stream) = spec.stream(watching.stream) else { return Ok(false) };
        let stored = self.syncs.overview(&work.id).await?;
        let part = watched_by(&stored, channel);
        let state = stored.streams.get(stream.name).map(Lanes::main).unwrap_or_default();
        *lock(&work.stored) = stored;
        let Some(part) = part.filter(|part| work.reads_alone(watching, &state, part)) else { return Ok(false) };
        let reading = Reading { forced: false, full_since: None, part: Some(&part), source: None };
        match self.stream(work, stream, reading, entry).await? {
            (_, End::Read) => Ok(true),
            (_, End::Failed(failure)) if passes(&failure) => Err(failure.into()),
            (_, End::Failed(_) | End::NothingRead | End::NeedsFull | End::Waiting | End::SourceGone) => Ok(false),
        }
    }
}

impl Work<'_> {
    /// Whether a part of the stream can be read alone now: nothing of the stream, and not the part, is refused or under way.
    fn reads_alone(&self, watching: &Watching, state: &StreamState, part: &str) -> bool {
        let position = state.cursor.as_ref().and_then(|cursor| self.provider.begin_part(watching.stream, cursor, part));
        let member = position.and_then(|position| self.provider.about(watching.stream, &position).member);
        let is_open = member.is_some_and(|it| state.passed.members().iter().all(|passed| passed.extent != it.extent));
        let is_free = state.run.as_ref().is_none_or(|run| run.part.as_deref() == Some(part));
        is_open && is_free && state.has_cursor() && state.backoff.is_none()
    }
}

/// Whether the same call can succeed later, without a change of anything.
fn passes(failure: &Failure) -> bool {
    failure.is_transient() && *failure != Failure::Unreadable
}

/// What the watch with this channel reports changes of; none if there is no such watch any more.
fn watched_by(overview: &Overview, channel: &str) -> Option<String> {
    let is_its = |text: &str| Watched::read(Some(text)).watch.is_some_and(|watch| watch.channel_id == channel);
    overview.watches.iter().find(|(_, text)| is_its(text)).map(|(resource, _)| resource.clone())
}
