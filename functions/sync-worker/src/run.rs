//! A run over a stream: performs the actions that [`Machine`] decides on, and tells it what they came to.

use domain::{
    Change, Failure, Request,
    call::Bearing,
    sync::{
        SyncJob,
        outcome::LogEntry,
        stream::{About, Action, Asked, Course, End, Lane, Machine, Outcome, PageRead, Source, StreamState},
    },
};
use jiff::Timestamp;
use platform::{
    base::{clock, lock::lock},
    client::{CallContext, CallError},
};
use providers::{Provider, StreamSpec};
use serde_json::Value;

use crate::{
    SyncWorker,
    objects::{Found, Objects},
    outcome::object,
    portion::{Object, ObjectsRead, Portion},
    stop::Stop,
    work::Work,
};

/// A stream of a provider, as a run sees it.
struct Of<'a> {
    provider: &'static dyn Provider,
    stream: &'a str,
    /// The only part to read.
    part: Option<&'a str>,
}

/// How a stream is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'p> {
    /// Also if it is refused, though its pause is not over.
    pub(crate) forced: bool,
    /// In full, unless it was since then.
    pub(crate) full_since: Option<Timestamp>,
    /// Only this part of it.
    pub(crate) part: Option<&'p str>,
    /// From the records of another integration, unless a run is under way.
    pub(crate) source: Option<&'p Source>,
}

impl Course for Of<'_> {
    fn begin(&self, cursor: &Value, now: Timestamp) -> Option<Value> {
        let part = self.part.and_then(|part| self.provider.begin_part(self.stream, cursor, part));
        part.or_else(|| self.provider.begin(self.stream, Some(cursor), now))
    }

    fn restart(&self, before: Option<&Value>, now: Timestamp) -> Value {
        self.provider.restart(self.stream, before, now)
    }

    fn meanwhile(&self, position: &Value) -> Option<Value> {
        self.provider.meanwhile(self.stream, position)
    }

    fn without_gone(&self, cursor: &Value, found: &Value) -> Value {
        self.provider.without_gone(self.stream, cursor, found)
    }

    fn about(&self, position: &Value) -> About {
        self.provider.about(self.stream, position)
    }
}

/// A page, or a portion of it, or why it can't be had.
type Asking = Result<(PageRead, Found), Failure>;

impl SyncWorker {
    /// Runs over every stream of the lane. The entry says which failed, and that the sync ended if a stream was read. Whether one was.
    pub(crate) async fn streams(&self, work: &Work<'_>, forced: bool, entry: &mut LogEntry) -> Result<bool, Stop> {
        let (mut first, mut read, mut pauses) = (Ok(()), false, Vec::new());
        let all = work.provider.spec().streams;
        for stream in all {
            let full_since = match work.lane {
                Lane::Main if stream.incremental => None,
                Lane::Full if let Some(since) = work.full_wanted(stream) => Some(since),
                Lane::Main | Lane::Full => continue,
            };
            let reading = Reading { forced, full_since, part: None, source: None };
            let (state, end) = match Box::pin(self.stream(work, stream, reading, entry)).await {
                Ok(ended) => ended,
                // What failed before decides when the rest follows.
                Err(Stop::Time | Stop::Turn) if first.is_err() => return first.map(|()| read),
                Err(stop) => {
                    if let Some(failure) = work.stream_failure(stream, &stop, None) {
                        entry.fail(Some(stream.name), failure);
                    }
                    return Err(stop);
                }
            };
            let backoff = state.backoff.as_ref();
            if end != End::NeedsFull {
                pauses.push(backoff.and_then(|it| it.next_try));
            }
            match end {
                End::NeedsFull => {}
                End::Read => {
                    lock(&work.read).insert(stream.name);
                    read = true;
                }
                End::Waiting => {
                    let last = lock(&work.stored).last.clone();
                    let earlier = last.and_then(|last| last.streams.get(stream.name).cloned());
                    entry.fail(Some(stream.name), earlier.unwrap_or_else(|| work.nothing_read(&state)));
                }
                // It goes on soon, at the provider or from another source.
                End::SourceGone => return Err(Stop::Turn),
                End::NothingRead => entry.fail(Some(stream.name), work.nothing_read(&state)),
                End::Failed(failure) => {
                    let is_news = backoff.is_some_and(|it| it.failures == 1) && !failure.is_users_to_change();
                    let (is_refusal, alone) = (failure.is_refusal(), failure.bearing() == Bearing::Passing);
                    let stop = failure.into();
                    if let Some(failure) = work.stream_failure(stream, &stop, backoff) {
                        entry.fail(Some(stream.name), failure);
                    }
                    // What this stream alone can't have stops no other stream.
                    match (is_refusal, is_news) {
                        // An operator hears of it once, if it is not for the user to change.
                        (_, true) => first = Err(stop),
                        (true, false) => {}
                        (false, false) if alone => first = first.and(Err(stop)),
                        (false, false) => return Err(stop),
                    }
                }
            }
        }
        if read || all.is_empty() {
            entry.last_sync = Some(clock::now());
        } else if pauses.len() == all.len()
            && let Some(earliest) = pauses.into_iter().collect::<Option<Vec<_>>>().and_then(|it| it.into_iter().min())
        {
            // Every stream is refused: the schedule need not ask before that.
            self.integrations.sync_due(work.key, earliest).await?;
        }
        first.map(|()| read)
    }

    /// Reads a stream: what changed, or all of it in the lane of full runs. A full run that skips what is known says nothing of what
    /// changed in that: the main lane does. If there is a source, its records are read.
    pub(crate) async fn read_stream(
        &self,
        work: &Work<'_>,
        stream: &StreamSpec,
        state: StreamState,
        Reading { forced, full_since, part, source }: Reading<'_>,
        entry: &mut LogEntry,
    ) -> Result<(StreamState, End), Stop> {
        let of = Of { provider: work.provider, stream: stream.name, part };
        // What the schedule reads in full beside the cursor is no incremental run.
        let kind = if work.lane == Lane::Full && stream.incremental && state.has_cursor() {
            SyncJob::Full
        } else {
            entry.r#type
        };
        let asked = Asked {
            kind,
            lane: work.lane,
            at: full_since.unwrap_or(Timestamp::MIN),
            forced,
            part,
            rebuilds: entry.r#type == SyncJob::Full,
            skips_known: stream.skips_known,
            source,
        };
        // What the other lane has passed over since it was looked at is not known to a full run.
        let begins_at = match work.lane {
            Lane::Main => clock::now(),
            Lane::Full => *lock(&work.looked_at),
        };
        let mut run = Machine::start(&of, stream.incremental, state, asked, begins_at);
        let mut objects = Objects::new(self, work, stream);
        let (mut begun, mut found) = (false, Found::default());
        loop {
            let outcome = match run.action() {
                Action::Ask => {
                    // At least one page each time, however short it is: a run that never gets on would go on for ever.
                    if begun && work.out_of_time() {
                        objects.save_unsaved(&mut run).await?;
                        return Err(Stop::Time);
                    }
                    begun = true;
                    let source = run.state().run.as_ref().and_then(|run| run.source.clone());
                    let asked = match &source {
                        // On the heap: each holds a whole call.
                        Some(source) => Box::pin(self.copied(work, &mut objects, run.state(), source)).await?.map(Ok),
                        None => Some(Box::pin(self.ask(work, &mut objects, &mut run, clock::now())).await?),
                    };
                    match asked {
                        Some(Ok((page, new))) => {
                            found = new;
                            Outcome::Read(page)
                        }
                        Some(Err(failure)) => Outcome::Refused(failure),
                        None => Outcome::SourceGone,
                    }
                }
                Action::Write => Outcome::Written(Box::pin(objects.write(&mut run, &found, entry)).await?),
                Action::Sweep(sweep) => {
                    entry.swept += objects.sweep(&mut run, &sweep).await?;
                    Outcome::Swept
                }
                Action::Settle => Outcome::Settled(objects.settle(run.state()).await?),
                Action::Checkpoint => {
                    objects.checkpoint(&mut run).await?;
                    self.reading_goes_on(work).await?;
                    Outcome::Saved
                }
                Action::Save => {
                    objects.save(&mut run).await?;
                    if work.lane == Lane::Full && run.state().run.is_some() {
                        // Changes can be read from now on, so they are to be reported.
                        Box::pin(self.watch(work, false)).await?;
                    }
                    Outcome::Saved
                }
                Action::End(end) => {
                    objects.save_unsaved(&mut run).await?;
                    return Ok((run.state().clone(), end));
                }
            };
            run = run.after(outcome, clock::now());
        }
    }

    /// Asks for a page, or takes up its rest, and asks for some of the objects that it only names.
    async fn ask(
        &self,
        work: &Work<'_>,
        known_objects: &mut Objects<'_>,
        machine: &mut Machine<'_>,
        asked_at: Timestamp,
    ) -> Result<Asking, Stop> {
        let Some(run) = machine.state().run.clone() else { return Ok(Err(Failure::Unreadable)) };
        let (provider, position, stream) = (work.provider, &run.position, known_objects.stream().name);
        let page = if let Some(rest) = &run.rest {
            Portion::rest(provider, stream, rest, asked_at)
        } else {
            let Ok(request) = provider.page_request(stream, position) else { return Ok(Err(Failure::Unreadable)) };
            let reply = match self.call(work, &request).await {
                Ok(reply) => reply,
                Err(CallError::Failed(failure, _)) => return Ok(Err(failure)),
                Err(error) => return Err(error.into()),
            };
            provider.page(stream, position, &reply, asked_at).ok().map(|page| {
                let mut page = Portion::from(page);
                page.add(run.again.iter().filter_map(|id| provider.again(stream, id, asked_at)));
                page
            })
        };
        let Some(mut page) = page else { return Ok(Err(Failure::Unreadable)) };
        if !page.details.is_empty()
            && known_objects.lacks_tags(&run)
            && let Err(failure) = Box::pin(self.compare_known(work, known_objects, machine)).await?
        {
            return Ok(Err(failure));
        }
        let state = machine.state();
        let known = known_objects.known(state, &mut page.details).await?;
        let mut rest = page.split();
        let Portion { mut changes, details, next, whole } = page;
        let ObjectsRead { found, left, failed } = Box::pin(self.objects(work, stream, details, asked_at)).await;
        match failed {
            // What was read is kept, and the rest asked for again: that meets the failure first.
            Some(CallError::Failed(..)) if !found.is_empty() && whole.is_none() => {
                rest = left.into_iter().chain(rest).collect();
            }
            Some(CallError::Failed(failure, _)) => return Ok(Err(failure)),
            Some(error) => return Err(error.into()),
            None => {}
        }
        let (mut objects, mut refused) = (u64::try_from(known.len()).unwrap_or(u64::MAX), Vec::new());
        for object in found {
            match object {
                Ok(change) => {
                    objects += 1;
                    changes.push(change);
                }
                Err(refusal) => refused.push(refusal),
            }
        }
        let mended = state.passed.among(changes.iter().map(|change| change.key().id()));
        let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        let read = PageRead { changes: count, next, whole, rest, objects, refused, mended };
        Ok(Ok((read, Found { changes, known })))
    }

    /// Asks for an object. An error is about more than this object.
    pub(crate) async fn object(
        &self,
        work: &Work<'_>,
        stream: &str,
        request: Request,
        gone: Change,
        asked_at: Timestamp,
    ) -> Result<Object, CallError> {
        let failure = match self.call(work, &request).await {
            Ok(reply) => match work.provider.detail(stream, &reply, asked_at) {
                Ok(change) => return Ok(Ok(change)),
                Err(_) => Failure::Unreadable,
            },
            Err(CallError::Failed(failure, reply)) => match failure.bearing() {
                Bearing::Missing => return Ok(Ok(gone)),
                Bearing::Lasting | Bearing::Passing => failure,
                Bearing::None => return Err(CallError::Failed(failure, reply)),
            },
            Err(error) => return Err(error),
        };
        Ok(Err((object(stream), gone.key().id().to_owned(), failure)))
    }

    pub(crate) async fn call(&self, work: &Work<'_>, request: &Request) -> Result<domain::Reply, CallError> {
        let api = work.provider.spec().provider_api();
        let context = CallContext::integration(&api, work.key, &work.attempt.id, work.attempt.deadline);
        self.client.call(&context.in_line(work.has_place), request).await
    }
}
