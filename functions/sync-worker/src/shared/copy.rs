//! A run that copies the records of another integration, in place of the provider's pages.
//!
//! *Invariant:* what is copied is what the provider said at or after the beginning of the source's reading, which is the beginning of the
//! run. Each page counts only if the source was still connected under the same grant after it was read.

use domain::{
    Change, IntegrationId, Record, Version,
    sync::{
        SyncJob,
        stream::{Next, PageRead, Run, Source, StreamState},
    },
};
use platform::{base::clock, stores::records::Selection};
use providers::StreamSpec;
use serde_json::Value;

use crate::{
    SyncWorker,
    objects::{Found, Objects},
    stop::Stop,
    work::Work,
};

/// Records on a page.
const PAGE: usize = 500;

impl SyncWorker {
    /// The page at the run's position; `None` if the source is gone.
    ///
    /// If the manifests of both show that few records differ, that is one page of these. Else the pages have all records of the source.
    pub(crate) async fn copied(
        &self,
        work: &Work<'_>,
        objects: &mut Objects<'_>,
        state: &StreamState,
        source: &Source,
    ) -> Result<Option<(PageRead, Found)>, Stop> {
        let stream = objects.stream();
        let key = work.key_of(&source.user_id);
        let integration = key.id();
        let after = state.run.as_ref().and_then(|run| run.position.as_str());
        let different = match after {
            None => self.different(stream, objects, state, &integration).await?,
            Some(_) => None,
        };
        let (records, next) = match different {
            Some(records) => (records, None),
            None => {
                let selection = Selection { stream: Some(stream.name), after, limit: PAGE, deleted: true };
                let page = self.records.list(&integration, selection).await?;
                (page.records, page.next)
            }
        };
        if self.connected(work, &key).await?.is_none_or(|found| found.connected_at != source.connected_at) {
            tracing::info!(source = %integration, stream = stream.name, "the copy's source is gone");
            return Ok(None);
        }
        let read = stream.clock.listed(source.since);
        let changes: Vec<_> = records.into_iter().filter_map(|record| change(record, read)).collect();
        let mended = state.passed.among(changes.iter().map(|change| change.key().id()));
        let page = PageRead {
            changes: u64::try_from(changes.len()).unwrap_or(u64::MAX),
            // Every run of a shared stream is a full one, which begins after no cursor.
            next: next.map_or(Next::Done(Value::Null), |after| Next::Page(after.into())),
            whole: None,
            objects: 0,
            refused: Vec::new(),
            mended,
            rest: Vec::new(),
        };
        Ok(Some((page, Found { changes, known: Vec::new() })))
    }

    /// The records of the source that are not known to be the same here, if these are few; `None` if all must be read. What is the same
    /// is seen.
    async fn different(
        &self,
        stream: &StreamSpec,
        objects: &mut Objects<'_>,
        state: &StreamState,
        source: &IntegrationId,
    ) -> Result<Option<Vec<Record>>, Stop> {
        let is_repair = state.run.as_ref().is_some_and(|run| run.rebuilds);
        let Some(own) = state.manifest.as_ref().filter(|_| !is_repair) else { return Ok(None) };
        let head =
            async || Ok::<_, Stop>(self.syncs.full_stream(source, stream.name).await?.and_then(|it| it.manifest));
        let Some(before) = head().await? else { return Ok(None) };
        let no_log = Run::new(SyncJob::Full, true, clock::now(), Value::Null);
        let mut theirs = self.syncs.manifest(source, stream.name, Some(&before), &no_log).await?;
        self.records.note_changes(source, stream.name, Some(before.since), &mut theirs).await?;
        theirs.settle();
        // A run of the source that ended meanwhile may have moved its chunks.
        if head().await?.is_none_or(|now| now.bits != before.bits) {
            return Ok(None);
        }
        let mut unknown = objects.unknown_in(&theirs, state).await?;
        let mut keys = Vec::new();
        let note = |key, entry| {
            if !objects.knows(&entry) {
                unknown.remove(&key);
                keys.push(key);
            }
        };
        self.records.each_change(source, stream.name, own.since, note).await?;
        if !unknown.is_empty() || keys.len() > PAGE {
            return Ok(None);
        }
        let records = self.records.some(source, keys).await?;
        objects.see_same(&theirs);
        Ok(Some(records))
    }
}

/// A record of the source as a change here: a state that is there was seen by the reading of this version. What was deleted before that is
/// not there, and only that.
fn change(record: Record, read: Version) -> Option<Change> {
    let Record { key, version, updated_at, deleted, data } = record;
    if deleted {
        return (version > read).then(|| Change::tombstone(key, version, updated_at, data));
    }
    Some(Change::new(key, version.max(read), updated_at, data))
}
