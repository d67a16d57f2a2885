//! A run over a stream: pages in, records out, the position after each, the cursor at the end.

use std::{collections::HashMap, sync::atomic::Ordering};

use domain::{
    Change, Failure, Request,
    message::SyncType,
    stream::{Run, StreamState},
    sync::LogEntry,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use platform::{calls::CallError, clock};
use providers::{Lost, Next, Page, Stream};

use crate::{
    Stop, SyncWorker, Work,
    outcome::{Broken, object},
};

/// More pages than any stream has: ten million objects.
const MAX_PAGES: u32 = 100_000;
/// Calls for single objects of a page at a time.
const CONCURRENCY: usize = 4;

impl SyncWorker {
    /// Runs over every stream. The entry says which failed, and that the sync ended if no failure broke it off.
    pub(crate) async fn streams(
        &self,
        work: &Work<'_>,
        mut states: HashMap<String, StreamState>,
        entry: &mut LogEntry,
    ) -> Result<(), Stop> {
        let (mut first, mut ended) = (Ok(()), false);
        for stream in work.provider.spec().streams {
            let mut state = states.remove(stream.name).unwrap_or_default();
            let Err(broken) = self.stream(work, stream, &mut state, entry).await else {
                entry.streams.remove(stream.name);
                ended = true;
                continue;
            };
            if let Some(failure) = work.stream_failure(stream, &broken) {
                entry.fail(Some(stream.name), failure);
            }
            match broken.stop {
                // What was not granted stops no other stream; the user is told.
                Stop::Failed(Failure::ScopeMissing) => {}
                // Nor does what this stream alone can't have.
                stop @ (Stop::Failed(Failure::Unreadable | Failure::NotFound | Failure::Rejected { .. })
                | Stop::TooLarge(_)) => first = first.and(Err(stop)),
                stop @ (Stop::Time
                | Stop::Lost
                | Stop::NotConnected
                | Stop::Failed(_)
                | Stop::Corrupt(_)
                | Stop::Aws(_)) => {
                    return Err(stop);
                }
            }
        }
        if ended {
            entry.last_sync = Some(clock::now());
        }
        first
    }

    async fn stream(
        &self,
        work: &Work<'_>,
        stream: &Stream,
        state: &mut StreamState,
        entry: &mut LogEntry,
    ) -> Result<(), Broken> {
        let kind = entry.r#type;
        // Read whole since it was asked for, before this sync broke off at another stream.
        if kind == SyncType::Full && state.run.is_none() && state.full_since.is_some_and(|since| since >= work.asked_at)
        {
            return Ok(());
        }
        // A run that broke off goes on, unless more is wanted now than it would see.
        let goes_on = state.run.as_ref().is_some_and(|run| run.full || kind != SyncType::Full);
        if !goes_on {
            state.run = Some(begin(work, stream, state, kind, clock::now()));
            self.syncs.save(&work.lease, stream.name, state, clock::now()).await?;
        }
        let mut begun = false;
        while let Some(mut run) = state.run.clone() {
            // At least one page each time, however short it is: a run that never gets on would go on for ever.
            if begun && work.out_of_time() {
                return Err(Stop::Time.into());
            }
            begun = true;
            let asked_at = clock::now();
            let page = match self.page(work, stream.name, &run, asked_at).await {
                // Only a full run finds out what changed. One that is full already can't be helped that way, or it would
                // never end.
                Err(Broken { stop: Stop::Failed(failure), object }) => match lost(work, stream.name, &run, &failure) {
                    Lost::Cursor if !run.full => {
                        state.run = Some(begin_full(work, stream.name, run.r#type, asked_at));
                        self.syncs.save(&work.lease, stream.name, state, asked_at).await?;
                        continue;
                    }
                    Lost::Part(next) => Page::new(Vec::new(), next),
                    Lost::Cursor | Lost::Run => {
                        // A page that will never come, or that nobody can read, must not be where the next run begins.
                        if !failure.is_transient() || failure == Failure::Unreadable {
                            state.run = None;
                            self.syncs.save(&work.lease, stream.name, state, clock::now()).await?;
                        }
                        let part = object.or_else(|| work.provider.part(stream.name, &run.position));
                        return Err(Broken::from(Stop::Failed(failure)).about(part));
                    }
                },
                page => page?,
            };
            self.records.put_page(&work.id, &page.changes, asked_at).await.map_err(Broken::of_record)?;
            let count = u64::try_from(page.changes.len()).unwrap_or(u64::MAX);
            run.changes += count;
            run.pages += 1;
            entry.changes += count;
            match page.next {
                // A mark that leads to itself, or on for ever.
                Next::Page(position) if position == run.position || run.pages > MAX_PAGES => {
                    state.run = None;
                    self.syncs.save(&work.lease, stream.name, state, clock::now()).await?;
                    return Err(Stop::Failed(Failure::Unreadable).into());
                }
                Next::Page(position) => {
                    run.position = position;
                    state.run = Some(run);
                }
                Next::Done(cursor) => {
                    if run.full {
                        let version = stream.clock.listed(run.started_at);
                        entry.swept += self.records.sweep(&work.id, stream.name, run.started_at, version).await?;
                    }
                    state.run = Some(run);
                    state.finish(cursor, clock::now());
                }
            }
            self.syncs.save(&work.lease, stream.name, state, clock::now()).await?;
            work.progress.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Asks for a page and for the objects that it only names.
    async fn page(&self, work: &Work<'_>, stream: &str, run: &Run, asked_at: Timestamp) -> Result<Page, Broken> {
        let unreadable = |_| Stop::Failed(Failure::Unreadable);
        let request = work.provider.page_request(stream, &run.position).map_err(unreadable)?;
        let reply = self.call(work, &request).await?;
        let mut page = work.provider.page(stream, &run.position, &reply, asked_at).map_err(unreadable)?;
        let details = std::mem::take(&mut page.details);
        let detail = async |(request, gone): (Request, Change)| {
            let about = |broken: Broken| broken.about(Some(object(stream, &gone.id)));
            match self.call(work, &request).await {
                Ok(reply) => {
                    work.provider.detail(stream, &reply, asked_at).map_err(unreadable).map_err(|it| about(it.into()))
                }
                Err(CallError::Failed(Failure::NotFound | Failure::Gone, _)) => Ok(gone),
                Err(error) => Err(about(error.into())),
            }
        };
        let found: Vec<_> =
            stream::iter(details.into_iter().map(detail)).buffer_unordered(CONCURRENCY).try_collect().await?;
        page.changes.extend(found);
        Ok(page)
    }

    pub(crate) async fn call(&self, work: &Work<'_>, request: &Request) -> Result<domain::Reply, CallError> {
        let callee = work.provider.spec().callee();
        self.access.calls.call(&callee, work.key, request, &work.attempt.id, work.attempt.deadline).await
    }
}

/// The run that is asked for: a full one if the stream knows no other, or has no cursor to begin after.
fn begin(work: &Work<'_>, stream: &Stream, state: &StreamState, kind: SyncType, now: Timestamp) -> Run {
    let cursor = state.cursor.as_ref().filter(|_| stream.incremental && kind == SyncType::Incremental);
    let position = cursor.and_then(|cursor| work.provider.begin(stream.name, Some(cursor), now));
    match position {
        Some(position) => Run { r#type: kind, full: false, started_at: now, position, changes: 0, pages: 0 },
        None => begin_full(work, stream.name, kind, now),
    }
}

fn begin_full(work: &Work<'_>, stream: &str, kind: SyncType, now: Timestamp) -> Run {
    let position = work.provider.begin(stream, None, now).unwrap_or_default();
    Run { r#type: kind, full: true, started_at: now, position, changes: 0, pages: 0 }
}

fn lost(work: &Work<'_>, stream: &str, run: &Run, failure: &Failure) -> Lost {
    match failure {
        Failure::Gone => Lost::Cursor,
        Failure::NotFound => work.provider.lost(stream, &run.position),
        Failure::RateLimited(_)
        | Failure::Paced(_)
        | Failure::Busy
        | Failure::Unreached
        | Failure::TokenRefused
        | Failure::GrantEnded
        | Failure::ScopeMissing
        | Failure::Conflict
        | Failure::Rejected { .. }
        | Failure::Down(_)
        | Failure::Unreadable
        | Failure::AppRefused { .. }
        | Failure::Forbidden => Lost::Run,
    }
}
