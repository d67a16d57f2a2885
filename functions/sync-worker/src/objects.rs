//! The objects of a stream during a run: their records, the manifest that says what these hold, and when both are stored.
//!
//! *Invariant:* what the run learned of single objects is stored in one transaction with its position, so that a run that goes on
//! elsewhere takes nothing for gone that was seen.

use std::sync::atomic::Ordering;

use domain::{
    Change, Request,
    sync::{
        manifest::{Entry, Manifest, Unknown},
        outcome::LogEntry,
        stream::{Known, Lane, Machine, ManifestHead, Run, StreamState, Sweep},
        tags::Tags,
    },
};
use jiff::{SignedDuration, Timestamp};
use platform::{
    base::{clock, lock::lock},
    stores::records::{Put, Swept},
};
use providers::StreamSpec;

use crate::{SyncWorker, outcome::object, stop::Stop, work::Work};

/// After how long a run is stored: a crash repeats at most the calls of this time.
const CHECKPOINT: SignedDuration = SignedDuration::from_secs(10);
/// After how many objects a run is stored, at the latest: 640 kB of its log, in a transaction that takes 4 MB.
const MAX_UNSAVED: usize = 20_000;
/// For how long before a run its successor looks for changes: longer than a write takes from its stamp to its commit (see
/// [`Patience`](platform::aws::Patience)) and than the clocks of functions differ.
const OVERLAP: SignedDuration = SignedDuration::from_mins(1);

/// What a page, or a portion of it, brought.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) changes: Vec<Change>,
    /// Of objects that need not be asked for.
    pub(crate) known: Vec<Entry>,
}

/// What a run knows of its stream's objects, and what of that is stored.
pub(crate) struct Objects<'a> {
    worker: &'a SyncWorker,
    work: &'a Work<'a>,
    stream: &'a StreamSpec,
    manifest: Manifest,
    /// The run that the manifest is of.
    of: Option<Identity>,
    /// What the run compared.
    tags: Option<Tags>,
    /// The state that was stored, or that the run began with.
    stored: Option<StreamState>,
    saved_at: Timestamp,
    /// Since when the manifest does not know what changed.
    noted_at: Timestamp,
    is_saved: bool,
    wrote: bool,
}

impl<'a> Objects<'a> {
    pub(crate) fn new(worker: &'a SyncWorker, work: &'a Work<'a>, stream: &'a StreamSpec) -> Self {
        Self {
            worker,
            work,
            stream,
            manifest: Manifest::default(),
            of: None,
            tags: None,
            stored: None,
            saved_at: clock::now(),
            noted_at: clock::now(),
            is_saved: true,
            wrote: false,
        }
    }

    pub(crate) const fn stream(&self) -> &'a StreamSpec {
        self.stream
    }

    /// Whether the run needs to compare tags that were not compared in this invocation.
    pub(crate) fn lacks_tags(&self, run: &Run) -> bool {
        run.known == Known::Compared && self.tags.is_none()
    }

    pub(crate) fn set_tags(&mut self, tags: Tags) {
        self.tags = Some(tags);
    }

    /// Has the state stored at the end of this turn, though no page was written.
    pub(crate) const fn note_unsaved(&mut self) {
        self.is_saved = false;
    }

    /// Takes the calls for objects away that need not be made, because their records are current. What is known of them.
    pub(crate) async fn known(
        &mut self,
        state: &StreamState,
        details: &mut Vec<(Request, Change)>,
    ) -> Result<Vec<Entry>, Stop> {
        let known = state.run.as_ref().map_or(Known::AskedFor, |run| run.known);
        if details.is_empty() || known == Known::AskedFor {
            return Ok(Vec::new());
        }
        self.load(state).await?;
        // What changed in an object that could not be read is behind the cursor.
        let passed = state.passed.among(details.iter().map(|(_, gone)| gone.key().id()));
        let is_current = |id: &str| match (known, &self.tags) {
            (Known::Skipped, _) => true,
            (Known::Compared, Some(tags)) => !tags.differ(id),
            (Known::Compared, None) | (Known::AskedFor, _) => false,
        };
        let mut found = Vec::new();
        details.retain(|(_, gone)| {
            let id = gone.key().id();
            let is_current = is_current(id) && !passed.iter().any(|passed| passed == id);
            let live = self.manifest.live(gone.key()).filter(|_| is_current);
            found.extend(live);
            live.is_none()
        });
        Ok(found)
    }

    /// Notes that a full run has begun, once its first page was read: a list that is refused says nothing. Events of before have nothing
    /// new to say.
    async fn begin(&self, state: &StreamState) -> Result<(), Stop> {
        let Some(run) = state.run.as_ref().filter(|run| run.full) else { return Ok(()) };
        let since = {
            let mut since = lock(&self.work.read_since);
            if !since.begins(self.stream.name, run.started_at) {
                return Ok(());
            }
            since.clone()
        };
        Ok(self.worker.integrations.set_read_since(self.work.integration, &since).await?)
    }

    /// Writes the records of a page that don't say the same already, and notes what was seen. What each object is that is too large for one, and its id.
    pub(crate) async fn write(
        &mut self,
        run: &mut Machine<'_>,
        Found { changes, known }: &Found,
        entry: &mut LogEntry,
    ) -> Result<Vec<(String, String)>, Stop> {
        self.begin(run.state()).await?;
        let full = self.load(run.state()).await?;
        let entries: Vec<_> = changes.iter().map(Entry::from).collect();
        let is_known: Vec<_> = entries.iter().map(|entry| full && self.manifest.is_known(entry)).collect();
        let mut unknown = Vec::new();
        for (change, is_known) in changes.iter().zip(&is_known) {
            if !is_known {
                unknown.push(change);
            }
        }
        let puts = self.worker.records.put_page(&self.work.id, &unknown).await?;
        let (mut puts, mut too_large, mut more) = (puts.into_iter(), Vec::new(), 0_i64);
        for ((change, seen), is_known) in changes.iter().zip(entries).zip(is_known) {
            match if is_known { None } else { puts.next() } {
                Some(Put::TooLarge) => {
                    too_large.push((object(self.stream.name), change.key().id().to_owned()));
                    continue;
                }
                Some(Put::Written { was_live }) => {
                    entry.changes += 1;
                    more += i64::from(!change.is_deleted()) - i64::from(was_live);
                }
                Some(Put::Newer { content, deleted }) => {
                    self.manifest.see(Entry::new(change.key(), content, deleted));
                    continue;
                }
                Some(Put::Same) | None => {}
            }
            self.manifest.see(seen);
        }
        for known in known {
            self.manifest.see(*known);
        }
        if !full {
            run.count(more);
        }
        self.wrote = true;
        Ok(too_large)
    }

    /// Of what another integration's manifest has, what is not known to be the same here.
    pub(crate) async fn unknown_in(&mut self, theirs: &Manifest, state: &StreamState) -> Result<Unknown, Stop> {
        self.load(state).await?;
        Ok(self.manifest.unknown_in(theirs))
    }

    /// Whether the record of an object is known to say this.
    pub(crate) fn knows(&self, entry: &Entry) -> bool {
        self.manifest.is_known(entry)
    }

    /// Sees what another integration's manifest has and is known to be the same here: in a run of one page only.
    pub(crate) fn see_same(&mut self, theirs: &Manifest) {
        self.manifest.see_same(theirs);
    }

    /// Deletes the records of what the run found gone. How many.
    pub(crate) async fn sweep(&mut self, run: &mut Machine<'_>, sweep: &Sweep) -> Result<u64, Stop> {
        let full = self.load(run.state()).await?;
        self.manifest.settle();
        if full && !self.manifest.misses_any() {
            return Ok(0);
        }
        let (records, version) = (&self.worker.records, self.stream.clock.listed(sweep.since));
        // A copy is of the beginning of the source's reading, and an earlier copy may have written since: the versions decide.
        let is_copy = run.state().run.as_ref().is_some_and(|run| run.source.is_some());
        let sweep = &Sweep { since: if is_copy { clock::now() } else { sweep.since }, ..sweep.clone() };
        let manifest = &self.manifest;
        let is_gone = |key: &_| if full { manifest.is_gone(key) } else { !manifest.is_seen(key) };
        let Swept { keys: swept, all } =
            records.delete_unseen(&self.work.id, self.stream.name, sweep, version, is_gone).await?;
        for key in &swept {
            self.manifest.forget(key);
        }
        // All records were looked through, and none of what is still missed was there unchanged.
        if full && all && sweep.except.is_empty() {
            self.manifest.forget_missed();
        }
        if !full {
            run.count(-i64::try_from(swept.len()).unwrap_or(i64::MAX));
        }
        Ok(u64::try_from(swept.len()).unwrap_or(u64::MAX))
    }

    /// Stores the manifest as it is after a full run, with what others wrote beside it.
    pub(crate) async fn settle(&mut self, state: &StreamState) -> Result<ManifestHead, Stop> {
        self.load(state).await?;
        let since = self.noted_at.checked_sub(OVERLAP).unwrap_or(self.noted_at);
        let (records, name) = (&self.worker.records, self.stream.name);
        records.note_changes(&self.work.id, name, Some(since), &mut self.manifest).await?;
        let objects = self.manifest.finish();
        let (bits, chunks) = self.manifest.chunks();
        let began = state.run.as_ref().map_or(Timestamp::UNIX_EPOCH, |run| run.started_at);
        let syncs = &self.worker.syncs;
        syncs.save_chunks(&self.work.lease, self.stream.name, (bits, chunks), clock::now()).await?;
        Ok(ManifestHead { bits, since: began.checked_sub(OVERLAP).unwrap_or(began), objects })
    }

    /// Stores the state if that is due.
    pub(crate) async fn checkpoint(&mut self, run: &mut Machine<'_>) -> Result<(), Stop> {
        let is_due = clock::now().duration_since(self.saved_at) >= CHECKPOINT;
        if is_due || self.manifest.unsaved_entries() >= MAX_UNSAVED {
            return self.save(run).await;
        }
        self.is_saved = false;
        Ok(())
    }

    /// Stores the state unless it is stored.
    pub(crate) async fn save_unsaved(&mut self, run: &mut Machine<'_>) -> Result<(), Stop> {
        if self.is_saved { Ok(()) } else { self.save(run).await }
    }

    /// Stores the state and what was learned since it was last stored; after a run's end, deletes what only the run needed.
    pub(crate) async fn save(&mut self, run: &mut Machine<'_>) -> Result<(), Stop> {
        let mut parts = Vec::new();
        if self.of.is_some() && self.of == identity(run.state()) {
            parts = self.manifest.unsaved();
            run.log(u32::try_from(parts.len()).unwrap_or(u32::MAX));
        }
        let (syncs, now) = (&self.worker.syncs, clock::now());
        syncs.save(&self.work.lease, self.stream.name, run.state(), parts, now).await?;
        {
            let mut stored = lock(&self.work.stored);
            let lanes = stored.streams.entry(self.stream.name.to_owned()).or_default();
            match self.work.lane {
                Lane::Main => lanes.main = run.state().clone(),
                Lane::Full => lanes.full = run.state().clone(),
            }
        }
        (self.saved_at, self.is_saved) = (now, true);
        if std::mem::take(&mut self.wrote) {
            self.work.task.progress.store(true, Ordering::Relaxed);
        }
        if let Some(before) = self.stored.replace(run.state().clone())
            && run.state().run.is_none()
        {
            syncs.clean_up(&self.work.id, self.stream.name, &before, run.state()).await?;
        }
        // The only way to see how far a first full run has come.
        if self.work.lane == Lane::Full && run.state().manifest.is_none() && run.state().run.is_some() {
            let stored = syncs.overview(&self.work.id).await?;
            *lock(&self.work.stored) = stored;
            self.worker.show(self.work, Some(self.work.attempt.deadline), None).await?;
        }
        Ok(())
    }

    /// Makes sure that the manifest is that of this run. Whether the run is a full one.
    async fn load(&mut self, state: &StreamState) -> Result<bool, Stop> {
        let Some(run) = &state.run else { return Ok(false) };
        let of = identity(state);
        if self.of == of {
            return Ok(run.full);
        }
        let (id, name) = (&self.work.id, self.stream.name);
        let head = state.manifest.as_ref().filter(|_| run.full && !run.rebuilds);
        self.manifest = self.worker.syncs.manifest(id, name, head, run).await?;
        if run.full {
            // Each time: events go on while a run waits for its next invocation.
            let since = head.map(|head| head.since);
            self.noted_at = clock::now();
            self.worker.records.note_changes(id, name, since, &mut self.manifest).await?;
            self.manifest.settle();
        }
        (self.of, self.stored) = (of, Some(state.clone()));
        Ok(run.full)
    }
}

/// What tells the run of a stream from its other runs.
type Identity = (Timestamp, bool, u32);

fn identity(state: &StreamState) -> Option<Identity> {
    state.run.as_ref().map(|run| (run.started_at, run.full, run.restarts))
}
