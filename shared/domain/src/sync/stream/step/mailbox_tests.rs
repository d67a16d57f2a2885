//! An emulated mailbox, whose pages only name messages: full runs skip the known ones, pages are worked on in portions, and runs are
//! killed after any action while the mailbox goes on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::{
    RecordKey,
    sync::{
        SyncJob,
        manifest::{ContentHash, Entry, Manifest},
        stream::{Asked, Ended, Lane, Lanes, ManifestHead},
    },
};

/// Messages or history entries on a page, and messages in a portion.
const PAGE: usize = 5;
const PORTION: usize = 2;
const MAX_STEPS: usize = 400;

/// What happens in the mailbox.
#[derive(Debug, Clone, Copy)]
enum Event {
    Arrives,
    /// The message of this place gets other labels.
    Labelled(usize),
    Deleted(usize),
}

/// What happens before and in a sync.
#[derive(Debug, Clone, Default)]
struct Round {
    before: Vec<Event>,
    /// After this action.
    meanwhile: BTreeMap<usize, Event>,
    /// After these actions of a full run an incremental run goes on beside it.
    beside: BTreeSet<usize>,
    full: bool,
    rebuilds: bool,
    /// The history before now is forgotten.
    forget: bool,
    /// The messages with these remainders can't be read.
    unreadable: BTreeSet<u32>,
    /// The process is killed after these actions.
    kills: BTreeSet<usize>,
    /// At these actions a checkpoint is due.
    checkpoints: BTreeSet<usize>,
}

#[derive(Default)]
struct Mailbox {
    /// The labels of each message, as a number; none if it is deleted.
    messages: BTreeMap<u32, Option<u64>>,
    /// Each change: the message.
    history: Vec<u32>,
    floor: usize,
}

impl Mailbox {
    fn happen(&mut self, event: Event) {
        let there: Vec<u32> = self.messages.iter().filter(|(_, it)| it.is_some()).map(|(id, _)| *id).collect();
        let (id, labels) = match event {
            Event::Arrives => (u32::try_from(self.messages.len()).unwrap(), Some(0)),
            Event::Labelled(_) | Event::Deleted(_) if there.is_empty() => return,
            Event::Labelled(place) => {
                let id = there[place % there.len()];
                (id, self.messages[&id].map(|labels| labels + 1))
            }
            Event::Deleted(place) => (there[place % there.len()], None),
        };
        self.messages.insert(id, labels);
        self.history.push(id);
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Position {
    /// Where the next run begins.
    reached: Option<usize>,
    since: Option<usize>,
    page: Option<usize>,
}

struct Walk;

impl Course for Walk {
    fn begin(&self, cursor: &Value, _now: Timestamp) -> Option<Value> {
        let since = usize::try_from(cursor.as_u64()?).ok();
        Some(json!(Position { since, ..Position::default() }))
    }

    fn restart(&self, _before: Option<&Value>, _now: Timestamp) -> Value {
        json!(Position::default())
    }

    fn meanwhile(&self, position: &Value) -> Option<Value> {
        let position: Position = serde_json::from_value(position.clone()).unwrap();
        position.reached.filter(|_| position.since.is_none()).map(Value::from)
    }

    fn about(&self, position: &Value) -> About {
        let position: Position = serde_json::from_value(position.clone()).unwrap();
        About::list(position.since.is_some() || position.page.is_some())
    }
}

#[derive(Debug, Clone, Copy)]
struct Record {
    labels: Option<u64>,
    /// When it was asked for.
    version: Timestamp,
    changed_at: Timestamp,
}

/// What a page, or a portion of it, brought.
#[derive(Default)]
struct Found {
    asked_at: Timestamp,
    changes: Vec<(u32, Option<u64>)>,
    known: Vec<Entry>,
}

#[derive(Default)]
struct Worker {
    mailbox: Mailbox,
    records: BTreeMap<u32, Record>,
    saved: Lanes,
    chunks: BTreeMap<u32, Vec<u8>>,
    /// Of the runs in both lanes.
    logs: [Vec<Vec<u8>>; 2],
    now: Timestamp,
    /// How often messages were asked for, and the most in one portion.
    fetched: usize,
    largest: usize,
}

fn lane(full: bool) -> Lane {
    if full { Lane::Full } else { Lane::Main }
}

fn key(id: u32) -> RecordKey {
    RecordKey::parse(format!("messages#{id}")).unwrap()
}

fn entry(id: u32, labels: Option<u64>) -> Entry {
    Entry::new(&key(id), ContentHash::of(&format!("{labels:?}")), labels.is_none())
}

impl Worker {
    fn tick(&mut self) -> Timestamp {
        self.now += SignedDuration::from_secs(1);
        self.now
    }

    /// The messages that a page names, those that it says are deleted, and what follows it.
    fn page(&self, run: &Run) -> Result<(Vec<u32>, Vec<u32>, Next), Failure> {
        let mut position: Position = serde_json::from_value(run.position.clone()).unwrap();
        let end = self.mailbox.history.len();
        if let Some(since) = position.since {
            if since < self.mailbox.floor {
                return Err(Failure::NotFound);
            }
            position.reached.get_or_insert(end);
            let from = position.page.unwrap_or(since);
            let to = end.min(from + PAGE);
            let named: BTreeSet<u32> = self.mailbox.history[from..to].iter().copied().collect();
            let (named, gone) = named.into_iter().partition(|id| self.mailbox.messages[id].is_some());
            position.page = (to < end).then_some(to);
            return Ok((named, gone, position.next()));
        }
        if position.reached.is_none() {
            return Ok((vec![], vec![], Next::Page(json!(Position { reached: Some(end), ..position }))));
        }
        // The newest first; a page begins below the last message of the one before.
        let below = position.page.unwrap_or(usize::MAX);
        let there = self.mailbox.messages.iter().rev().filter(|(_, it)| it.is_some()).map(|(id, _)| *id);
        let all: Vec<u32> = there.filter(|id| usize::try_from(*id).unwrap() < below).collect();
        let named = all[..all.len().min(PAGE)].to_vec();
        position.page = named.last().filter(|_| all.len() > PAGE).map(|id| usize::try_from(*id).unwrap());
        Ok((named, vec![], position.next()))
    }

    fn ask(&mut self, round: &Round, state: &StreamState, manifest: &Manifest) -> Result<(PageRead, Found), Failure> {
        let run = state.run.as_ref().unwrap();
        let (mut named, gone, next) = match &run.rest {
            Some(rest) => (rest.ids.iter().map(|id| id.parse().unwrap()).collect(), vec![], rest.next.clone()),
            None => {
                let (mut named, gone, next) = self.page(run)?;
                named.extend(run.again.iter().map(|id| id.parse::<u32>().unwrap()));
                (named, gone, next)
            }
        };
        let changes = gone.into_iter().map(|id| (id, None)).collect();
        let mut found = Found { asked_at: self.tick(), changes, known: vec![] };
        if run.known != Known::AskedFor {
            let passed =
                state.passed.among(named.iter().map(u32::to_string).collect::<Vec<_>>().iter().map(String::as_str));
            named.retain(|id| {
                let stored = self.records.get(id).and_then(|record| record.labels);
                let differs = run.known == Known::Compared && stored != self.mailbox.messages[id];
                let live = manifest.live(&key(*id)).filter(|_| !differs && !passed.contains(&id.to_string()));
                found.known.extend(live);
                live.is_none()
            });
        }
        let rest = named.split_off(named.len().min(PORTION)).iter().map(u32::to_string).collect();
        self.largest = self.largest.max(named.len());
        let mut refused = Vec::new();
        for id in named {
            self.fetched += 1;
            match self.mailbox.messages[&id] {
                Some(_) if round.unreadable.contains(&(id % 7)) => {
                    let failure = Failure::Rejected { words: None, code: String::new() };
                    refused.push(("message".to_owned(), id.to_string(), failure));
                }
                labels => found.changes.push((id, labels)),
            }
        }
        let count = u64::try_from(found.changes.len()).unwrap();
        let ids: Vec<_> = found.changes.iter().map(|(id, _)| id.to_string()).collect();
        let mended = state.passed.among(ids.iter().map(String::as_str));
        let objects = count + u64::try_from(found.known.len()).unwrap();
        Ok((PageRead { changes: count, next, whole: None, rest, objects, refused, mended }, found))
    }

    fn write(&mut self, manifest: &mut Manifest, found: &Found) {
        for (id, labels) in &found.changes {
            let entry = entry(*id, *labels);
            let is_news = self.records.get(id).is_none_or(|it| it.labels != *labels && it.version < found.asked_at);
            if !manifest.is_known(&entry) && is_news {
                self.records.insert(*id, Record { labels: *labels, version: found.asked_at, changed_at: self.now });
            }
            manifest.see(entry);
        }
        for known in &found.known {
            manifest.see(*known);
        }
    }

    fn manifest(&self, state: &StreamState) -> Manifest {
        let Some(run) = &state.run else { return Manifest::default() };
        let head = state.manifest.as_ref().filter(|_| run.full && !run.rebuilds);
        let mut manifest = head.map_or_else(Manifest::default, |head| Manifest::in_chunks(head.bits));
        if head.is_some() {
            self.chunks.values().for_each(|chunk| manifest.add_chunk(chunk).unwrap());
        }
        self.logs[usize::from(run.full)][..usize::try_from(run.parts).unwrap()]
            .iter()
            .for_each(|part| manifest.add_part(part).unwrap());
        if run.full {
            let since = head.map_or(Timestamp::MIN, |head| head.since);
            for (id, record) in self.records.iter().filter(|(_, it)| it.changed_at >= since) {
                manifest.note(entry(*id, record.labels));
            }
        }
        manifest.settle();
        manifest
    }

    fn save(&mut self, full: bool, machine: &mut Machine<'_>, manifest: &mut Manifest) {
        if let Some(run) = &machine.state().run {
            let log = &mut self.logs[usize::from(full)];
            log.truncate(usize::try_from(run.parts).unwrap());
            let parts = manifest.unsaved();
            machine.log(u32::try_from(parts.len()).unwrap());
            log.extend(parts);
        }
        let lane = if full { &mut self.saved.full } else { &mut self.saved.main };
        *lane = machine.state().clone();
    }

    fn stands(&self, full: bool) -> StreamState {
        if full { self.saved.full() } else { self.saved.main() }
    }

    fn sync(&mut self, round: &Round) -> End {
        for event in &round.before {
            self.mailbox.happen(*event);
        }
        if round.forget {
            self.mailbox.floor = self.mailbox.history.len();
        }
        // Longer than a lost cursor, or an unreadable message, is waited for.
        self.now += SignedDuration::from_hours(30);
        let at = self.now;
        let end = self.run(round, round.full, at);
        if end != End::NeedsFull {
            return end;
        }
        let now = self.tick();
        self.run(round, true, now)
    }

    /// A run in one lane.
    fn run(&mut self, round: &Round, full: bool, at: Timestamp) -> End {
        let kind = if round.full { SyncJob::Full } else { SyncJob::Incremental };
        let rebuilds = round.full && round.rebuilds;
        let asked =
            Asked { kind, lane: lane(full), at, forced: true, rebuilds, skips_known: true, part: None, source: None };
        let start = |it: &mut Self| {
            let now = it.tick();
            Machine::start(&Walk, true, it.stands(full), asked, now)
        };
        let (mut machine, mut step, mut unsaved, mut found) = (start(self), 0, false, Found::default());
        let mut manifest = self.manifest(machine.state());
        let run = |machine: &Machine<'_>| machine.state().run.as_ref().map(|run| (run.started_at, run.full));
        loop {
            step += 1;
            assert!(step < MAX_STEPS, "the run does not end: {:?}", machine.state());
            let before = run(&machine);
            let outcome = match machine.action() {
                Action::Ask => match self.ask(round, machine.state(), &manifest) {
                    Ok((page, new)) => {
                        found = new;
                        Outcome::Read(page)
                    }
                    Err(failure) => Outcome::Refused(failure),
                },
                Action::Write => {
                    self.write(&mut manifest, &found);
                    Outcome::Written(vec![])
                }
                Action::Sweep(sweep) => {
                    manifest.settle();
                    let now = self.tick();
                    for (id, record) in &mut self.records {
                        let is_old = record.changed_at < sweep.since && record.labels.is_some();
                        let excepted = sweep.except.iter().any(|it| it.holds(&id.to_string()));
                        if is_old && !excepted && manifest.is_gone(&key(*id)) {
                            *record = Record { labels: None, version: sweep.since, changed_at: now };
                            manifest.forget(&key(*id));
                        }
                    }
                    Outcome::Swept
                }
                Action::Settle => {
                    let objects = manifest.finish();
                    let (bits, chunks) = manifest.chunks();
                    self.chunks.extend(chunks);
                    Outcome::Settled(ManifestHead { bits, since: before.unwrap().0, objects })
                }
                Action::Checkpoint if !round.checkpoints.contains(&step) => {
                    unsaved = true;
                    Outcome::Saved
                }
                Action::Checkpoint | Action::Save => {
                    self.save(full, &mut machine, &mut manifest);
                    unsaved = false;
                    Outcome::Saved
                }
                Action::End(end) => {
                    if unsaved {
                        self.save(full, &mut machine, &mut manifest);
                    }
                    return end;
                }
            };
            if let Some(event) = round.meanwhile.get(&step) {
                self.mailbox.happen(*event);
            }
            if full && round.beside.contains(&step) {
                let now = self.tick();
                self.run(&Round { unreadable: round.unreadable.clone(), ..Round::default() }, false, now);
            }
            let now = self.tick();
            let killed = round.kills.contains(&step) && machine.state().run.is_some();
            machine = if killed { start(self) } else { machine.after(outcome, now) };
            if killed || (run(&machine).is_some() && run(&machine) != before) {
                manifest = self.manifest(machine.state());
            }
        }
    }

    fn live(&self) -> BTreeMap<u32, u64> {
        self.records.iter().filter_map(|(id, it)| Some((*id, it.labels?))).collect()
    }

    fn truth(&self) -> BTreeMap<u32, u64> {
        self.mailbox.messages.iter().filter_map(|(id, labels)| Some((*id, (*labels)?))).collect()
    }

    /// A mailbox of this many messages, all of them known.
    fn seeded(messages: usize) -> Self {
        let mut worker = Self::default();
        let round = Round { before: vec![Event::Arrives; messages], full: true, rebuilds: true, ..Round::default() };
        assert_eq!(worker.sync(&round), End::Read);
        assert_eq!(worker.live(), worker.truth());
        worker.fetched = 0;
        worker
    }
}

impl Position {
    fn next(self) -> Next {
        if self.page.is_some() { Next::Page(json!(self)) } else { Next::Done(json!(self.reached)) }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Arrives),
        2 => (0usize..20).prop_map(Event::Labelled),
        1 => (0usize..20).prop_map(Event::Deleted),
    ]
}

prop_compose! {
    fn round()(
        before in proptest::collection::vec(event(), 0..8),
        meanwhile in proptest::collection::btree_map(1usize..40, event(), 0..6),
        full in prop::bool::weighted(0.6),
        rebuilds in prop::bool::weighted(0.2),
        forget in prop::bool::weighted(0.2),
        unreadable in proptest::collection::btree_set(0u32..7, 0..2),
        kills in proptest::collection::btree_set(1usize..40, 0..4),
        checkpoints in proptest::collection::btree_set(1usize..40, 0..20),
        beside in proptest::collection::btree_set(1usize..40, 0..6),
    ) -> Round {
        Round { before, meanwhile, beside, full, rebuilds, forget, unreadable, kills, checkpoints }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_meanwhile_an_incremental_run_after_full_ones_that_skip_what_is_known_ends_in_the_truth(
        first in 0usize..20, rounds in proptest::collection::vec(round(), 1..6)
    ) {
        let mut worker = Worker::seeded(first);
        for round in &rounds {
            worker.sync(round);
        }
        prop_assert!(worker.largest <= PORTION);
        // What could not be read is asked for again by full runs only, and those that are under way go on first.
        for full in [false, true, false] {
            prop_assert_eq!(worker.sync(&Round { full, ..Round::default() }), End::Read);
        }
        prop_assert_eq!(worker.live(), worker.truth());
        prop_assert!(worker.saved.main().passed.members().is_empty());
    }
}

#[test]
fn a_full_run_asks_for_new_messages_only_and_leaves_the_cursor_where_changes_are_still_to_be_read() {
    let mut worker = Worker::seeded(23);
    let cursor = worker.saved.main().cursor;
    let before = vec![Event::Labelled(3), Event::Arrives, Event::Deleted(5)];
    assert_eq!(worker.sync(&Round { before, full: true, ..Round::default() }), End::Read);
    assert_eq!(worker.fetched, 1, "the new one");
    assert_eq!(worker.saved.main().cursor, cursor, "what was labelled is read from there");
    assert_ne!(worker.live(), worker.truth(), "that is not the full run's to find");
    assert_eq!(worker.sync(&Round::default()), End::Read);
    assert_eq!(worker.live(), worker.truth());
    // One that a caller asks for reads all, and needs no change of before.
    worker.fetched = 0;
    let before = vec![Event::Labelled(3)];
    assert_eq!(worker.sync(&Round { before, full: true, rebuilds: true, ..Round::default() }), End::Read);
    assert_eq!((worker.fetched, worker.live()), (23, worker.truth()));
}

#[test]
fn after_a_lost_cursor_the_messages_are_read_whose_labels_differ_or_all_if_that_is_not_known() {
    let lost = Round { before: vec![Event::Labelled(3), Event::Deleted(4)], forget: true, ..Round::default() };
    let mut worker = Worker::seeded(12);
    assert_eq!(worker.sync(&lost), End::Read);
    assert_eq!((worker.fetched, worker.live()), (1, worker.truth()));
    assert_eq!(
        worker.saved.main().cursor,
        Some(json!(worker.mailbox.history.len())),
        "the place that the run took first"
    );

    // Without a manifest, or after a message was forgotten that could not be read.
    let mut forgot = Worker::seeded(12);
    forgot.saved.full.passed.beyond = 1;
    let mut unknown = Worker::seeded(12);
    unknown.saved.full.manifest = None;
    for mut worker in [forgot, unknown] {
        assert_eq!(worker.sync(&lost), End::Read);
        assert_eq!((worker.fetched, worker.live()), (11, worker.truth()));
    }
}

#[test]
fn a_known_message_whose_change_could_not_be_read_is_not_skipped() {
    let mut worker = Worker::seeded(6);
    let before = vec![Event::Labelled(2)];
    worker.sync(&Round { before, unreadable: BTreeSet::from([2]), ..Round::default() });
    assert_eq!(worker.saved.main().passed.members().len(), 1);
    worker.fetched = 0;
    assert_eq!(worker.sync(&Round { full: true, ..Round::default() }), End::Read);
    assert_eq!((worker.fetched, worker.live()), (1, worker.truth()));
    assert!(worker.saved.main().passed.members().is_empty());
}

#[test]
fn nothing_is_skipped_without_a_cursor_or_after_more_was_passed_over_than_is_remembered() {
    let worker = Worker::seeded(1);
    let now = worker.now + SignedDuration::from_mins(1);
    let skips = |state: StreamState, rebuilds| {
        let asked = Asked {
            kind: SyncJob::Full,
            lane: Lane::Full,
            at: now,
            forced: false,
            rebuilds,
            skips_known: true,
            part: None,
            source: None,
        };
        Machine::start(&Walk, true, state, asked, now).state().run.as_ref().unwrap().known == Known::Skipped
    };
    assert!(skips(worker.stands(true), false));
    assert!(!skips(worker.stands(true), true));
    assert!(!skips(StreamState { cursor: None, ..worker.stands(true) }, false));
    assert!(!skips(StreamState { cursor: Some(json!("of another shape")), ..worker.stands(true) }, false));
    let mut forgot = worker.stands(true);
    forgot.passed.beyond = 1;
    assert!(!skips(forgot, false));
}

/// A full run.
fn full(at: Timestamp, rebuilds: bool) -> Asked<'static> {
    Asked {
        kind: SyncJob::Full,
        lane: Lane::Full,
        at,
        forced: true,
        rebuilds,
        skips_known: true,
        part: None,
        source: None,
    }
}

#[test]
fn a_full_run_that_a_caller_asks_for_takes_the_place_of_one_that_skips_known_messages() {
    let mut worker = Worker::seeded(6);
    let (seeded, asked_at) = (worker.saved.full.full_since, worker.tick());
    assert_eq!(worker.saved.full.rebuilt_since, seeded, "the first run reads everything");
    let begun = worker.tick();
    worker.saved.full = Machine::start(&Walk, true, worker.stands(true), full(asked_at, false), begun).state().clone();
    let mut ended = worker.saved.full.clone();
    assert_eq!(ended.run.as_ref().unwrap().known, Known::Skipped);

    let now = worker.tick();
    let goes_on = Machine::start(&Walk, true, worker.stands(true), full(asked_at, false), now);
    assert_eq!(goes_on.state().run, worker.saved.full.run);
    let anew = Machine::start(&Walk, true, worker.stands(true), full(asked_at, true), now);
    let run = anew.state().run.clone().unwrap();
    assert_eq!((run.started_at, run.rebuilds, run.known), (now, true, Known::AskedFor));
    assert_eq!(anew.action(), Action::Checkpoint);
    // The next invocation goes on with it.
    let later = worker.tick();
    let goes_on = Machine::start(&Walk, true, anew.state().clone(), full(asked_at, true), later);
    assert_eq!(goes_on.state().run, Some(run));

    // One that has ended since it was asked for has not read everything either.
    ended.finish(json!(0), now);
    let end = |rebuilds| Machine::start(&Walk, true, ended.clone(), full(asked_at, rebuilds), now).action();
    assert_eq!((end(false), end(true)), (Action::End(End::Read), Action::Checkpoint));

    // The emulated worker reads all messages then, and that counts.
    assert_eq!(worker.sync(&Round { full: true, rebuilds: true, ..Round::default() }), End::Read);
    assert_eq!((worker.fetched, worker.saved.full.rebuilt_since), (6, worker.saved.full.full_since));
    let again = Machine::start(&Walk, true, worker.stands(true), full(asked_at, true), worker.now);
    assert_eq!(again.action(), Action::End(End::Read));
}

#[test]
fn a_first_full_run_that_takes_the_place_of_another_yields_the_cursor_anew() {
    let mut worker = Worker::default();
    for _ in 0..8 {
        worker.mailbox.happen(Event::Arrives);
    }
    // It has yielded its cursor, compares what is known, and is replaced.
    let begun = worker.tick();
    let known = StreamState {
        lost: true,
        manifest: Some(ManifestHead { bits: 0, since: begun, objects: 0 }),
        ..StreamState::default()
    };
    let at = worker.tick();
    let mut first = Machine::start(&Walk, true, known, full(at, false), at).after(Outcome::Saved, at);
    let (page, _) = worker.ask(&Round::default(), first.state(), &Manifest::default()).unwrap();
    for outcome in [Outcome::Read(page), Outcome::Written(vec![]), Outcome::Saved] {
        first = first.after(outcome, at);
    }
    worker.saved.full = first.state().clone();
    assert_eq!(worker.saved.main().cursor, Some(json!(8)), "incremental runs go on from there");
    let now = worker.tick();
    worker.saved.full = Machine::start(&Walk, true, worker.stands(true), full(now, true), now).state().clone();
    assert!(!worker.saved.main().has_cursor(), "the run that yielded it reads nothing more");
    worker.mailbox.happen(Event::Labelled(2));
    assert_eq!(worker.sync(&Round { full: true, rebuilds: true, ..Round::default() }), End::Read);
    assert_eq!((worker.saved.main().cursor, worker.live()), (Some(json!(9)), worker.truth()));
}

#[test]
fn a_cursor_of_a_full_run_that_broke_off_stays_lost_whatever_breaks_off_after_it() {
    let mut worker = Worker::seeded(6);
    let (before, broken, later) = (worker.now, worker.tick(), worker.tick());
    worker.saved.main.cursor_of = Some(broken);
    worker.saved.full = StreamState {
        full_since: Some(before),
        cursor_of: Some(later),
        ended: Some(Ended { began: later, at: worker.tick(), whole: false }),
        ..worker.saved.full
    };
    assert!(!worker.saved.main().has_cursor() && worker.saved.full().lost);
    // Another one reads what they did not.
    assert_eq!(worker.sync(&Round { before: vec![Event::Labelled(3)], ..Round::default() }), End::Read);
    assert_eq!((worker.saved.main().has_cursor(), worker.live()), (true, worker.truth()));
}

#[test]
fn a_first_full_run_under_way_is_what_a_caller_asks_for() {
    let mut worker = Worker::default();
    let now = worker.tick();
    let first = Machine::start(&Walk, true, StreamState::default(), full(now, false), now);
    let later = worker.tick();
    let asked = Machine::start(&Walk, true, first.state().clone(), full(later, true), later);
    assert_eq!(asked.state().run, first.state().run);
}

#[test]
fn a_run_asks_for_every_message_after_three_failed_comparisons() {
    let mut worker = Worker::seeded(6);
    let now = worker.tick();
    let asked = Asked { kind: SyncJob::Incremental, ..full(now, false) };
    let lost = StreamState { lost: true, ..worker.stands(true) };
    let mut machine = Machine::start(&Walk, true, lost, asked, now).after(Outcome::Saved, now);
    for known in [Known::Compared, Known::Compared, Known::AskedFor] {
        machine.comparison_failed();
        machine = machine.after(Outcome::Refused(Failure::ThrottledLocally(std::time::Duration::from_secs(6))), now);
        assert!(matches!(machine.action(), Action::End(End::Failed(_))));
        assert_eq!(machine.state().run.as_ref().unwrap().known, known);
        let stored = serde_json::from_value(json!(machine.state())).unwrap();
        machine = Machine::start(&Walk, true, stored, asked, now);
    }
}

#[test]
fn a_page_is_worked_on_in_portions_and_a_crash_repeats_one_at_most() {
    let mut worker = Worker::seeded(1);
    let all = Round { before: vec![Event::Arrives; 9], full: true, ..Round::default() };
    for kill in 1..=30 {
        let mut worker = Worker::seeded(1);
        let (kills, checkpoints) = (BTreeSet::from([kill]), (1..MAX_STEPS).collect());
        assert_eq!(worker.sync(&Round { kills, checkpoints, ..all.clone() }), End::Read, "killed after {kill}");
        assert_eq!(worker.live(), worker.truth(), "killed after {kill}");
        assert!((9..=9 + PORTION).contains(&worker.fetched), "killed after {kill}: {}", worker.fetched);
    }
    worker.sync(&all);
    assert_eq!((worker.fetched, worker.largest), (9, PORTION));
}

#[test]
fn a_rest_that_gets_no_shorter_ends_the_run() {
    let worker = Worker::seeded(1);
    let asked = Asked {
        kind: SyncJob::Full,
        lane: Lane::Full,
        at: worker.now + SignedDuration::from_secs(1),
        forced: true,
        rebuilds: false,
        skips_known: true,
        part: None,
        source: None,
    };
    let mut machine = Machine::start(&Walk, true, worker.stands(true), asked, worker.now);
    let page = PageRead {
        changes: 0,
        next: Next::Done(json!(1)),
        whole: None,
        rest: vec!["1".to_owned(), "2".to_owned()],
        objects: 0,
        refused: vec![],
        mended: vec![],
    };
    let portion = [Outcome::Read(page), Outcome::Written(vec![]), Outcome::Saved];
    for outcome in [Outcome::Saved].into_iter().chain(portion.clone()) {
        machine = machine.after(outcome, worker.now);
    }
    assert_eq!(machine.action(), Action::Ask);
    for outcome in portion {
        machine = machine.after(outcome, worker.now);
    }
    assert_eq!(machine.action(), Action::End(End::Failed(Failure::Unreadable)));
}
