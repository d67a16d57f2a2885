//! An emulated provider with members that can't be read, cursors that it refuses and lists that fail; and runs over it that are
//! killed after any action.

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
        backoff::Backoff,
        manifest::{ContentHash, Entry, Manifest},
        stream::{Asked, Carries, Lane, Lanes, MAX_PASSED, ManifestHead, Member, PassedOver, Source, Sync},
    },
};

const MEMBERS: usize = 3;
/// The first of the many objects of a flood, all on the first page of their member.
const FLOOD: usize = 1000;
/// More actions than any run of this provider takes.
const MAX_STEPS: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Forbidden,
    Failing,
    Missing,
    Limited,
    /// What is asked for with a cursor can't be read.
    Garbled,
}

impl Fault {
    fn failure(self, with_cursor: bool) -> Option<Failure> {
        match self {
            Self::None => None,
            Self::Garbled => with_cursor.then_some(Failure::Unreadable),
            Self::Forbidden => Some(Failure::Rejected { words: None, code: "forbidden".into() }),
            Self::Failing => Some(Failure::Down(None)),
            Self::Missing => Some(Failure::NotFound),
            Self::Limited => Some(Failure::RateLimited(None)),
        }
    }
}

/// What a person or the provider does, and then one sync.
#[derive(Debug, Clone)]
struct Round {
    /// Member, object, and whether it is deleted. Ids of deleted objects are not used again.
    changes: Vec<(usize, usize, bool)>,
    /// Of the list, and of each member.
    list: Fault,
    members: [Fault; MEMBERS],
    /// Cursors from before now are refused.
    forget: bool,
    too_large: Option<usize>,
    unreadable: Option<usize>,
    /// A member gets more objects than are remembered, and none of them can be had for now.
    flood: Option<usize>,
    full: bool,
    forced: bool,
    hours: i64,
    /// The process is killed after these actions.
    kills: BTreeSet<usize>,
    /// At these actions a checkpoint is due.
    checkpoints: BTreeSet<usize>,
    /// Before these actions of a full run something changes, and an incremental run reads it beside the full one.
    beside: BTreeMap<usize, (usize, usize, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Object {
    version: u64,
    deleted: bool,
}

#[derive(Default)]
struct Provider {
    members: [BTreeMap<usize, Object>; MEMBERS],
    version: u64,
    /// Cursors from before are refused.
    floor: u64,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Position {
    full: bool,
    known: BTreeMap<usize, u64>,
    reached: BTreeMap<usize, u64>,
    listed: bool,
    left: Vec<usize>,
    /// The second page of a member, and what its cursor will be.
    page: Option<u64>,
    afresh: bool,
    since: Option<Timestamp>,
}

impl Position {
    fn read(value: &Value) -> Self {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn token(&self) -> Option<u64> {
        let member = self.left.first().filter(|_| !self.full && !self.afresh)?;
        self.known.get(member).copied()
    }

    fn leave(&mut self) {
        self.left.remove(0);
        (self.page, self.since, self.afresh) = (None, None, false);
    }

    fn next(self) -> Next {
        if self.listed && self.left.is_empty() { Next::Done(json!(self.reached)) } else { Next::Page(json!(self)) }
    }
}

struct Walk;

impl Course for Walk {
    fn begin(&self, cursor: &Value, _now: Timestamp) -> Option<Value> {
        let known = serde_json::from_value(cursor.clone()).ok()?;
        Some(json!(Position { known, ..Position::default() }))
    }

    fn restart(&self, before: Option<&Value>, _now: Timestamp) -> Value {
        let known = before.and_then(|it| serde_json::from_value(it.clone()).ok()).unwrap_or_default();
        json!(Position { known, full: true, ..Position::default() })
    }

    fn without_gone(&self, cursor: &Value, found: &Value) -> Value {
        let (mut known, found): (BTreeMap<usize, u64>, BTreeMap<usize, u64>) =
            (serde_json::from_value(cursor.clone()).unwrap(), serde_json::from_value(found.clone()).unwrap());
        known.retain(|member, _| found.contains_key(member));
        json!(known)
    }

    fn about(&self, position: &Value) -> About {
        let position = Position::read(position);
        let Some(member) = position.left.first().copied().filter(|_| position.listed) else {
            return About::list(!position.full);
        };
        let mut without = position.clone();
        without.leave();
        let mut passed = without.clone();
        passed.reached.extend(position.known.get(&member).map(|token| (member, *token)));
        let afresh = Position { afresh: true, page: None, since: None, ..position.clone() };
        let carries = match (position.afresh, position.token(), position.page) {
            (false, Some(_), _) | (false, _, Some(_)) => Carries::MembersCursor(json!(afresh)),
            (true, _, Some(_)) => Carries::MembersPage,
            (_, _, None) => Carries::Nothing,
        };
        About {
            carries,
            member: Some(Member {
                extent: Extent::Under(format!("{member}/")),
                kind: "calendar",
                name: member.to_string(),
                passed: passed.next(),
                gone: without.next(),
            }),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    version: u64,
    deleted: bool,
    changed_at: Timestamp,
}

/// What is stored, and the worker.
#[derive(Default)]
struct Worker {
    provider: Provider,
    records: BTreeMap<String, Record>,
    /// How often one was written.
    writes: usize,
    saved: Lanes,
    chunks: BTreeMap<u32, Vec<u8>>,
    /// Of the runs in both lanes.
    logs: [Vec<Vec<u8>>; 2],
    now: Timestamp,
    /// Members that were not found: what was theirs is gone.
    gone: BTreeSet<usize>,
}

fn lane(full: bool) -> Lane {
    if full { Lane::Full } else { Lane::Main }
}

fn id(member: usize, object: usize) -> String {
    format!("{member}/{object}")
}

fn key(id: &str) -> RecordKey {
    RecordKey::parse(format!("events#{id}")).unwrap()
}

fn entry(id: &str, version: u64, deleted: bool) -> Entry {
    Entry::new(&key(id), ContentHash::of(&version.to_string()), deleted)
}

impl Worker {
    fn tick(&mut self) -> Timestamp {
        self.now += SignedDuration::from_secs(1);
        self.now
    }

    fn page(
        &self,
        round: &Round,
        run: &Run,
        asked_at: Timestamp,
        passed: &PassedOver,
    ) -> Result<(PageRead, Vec<(String, Object)>), Failure> {
        let mut position = Position::read(&run.position);
        let mut read = PageRead {
            changes: 0,
            next: Next::Done(Value::Null),
            whole: None,
            rest: vec![],
            objects: 0,
            refused: vec![],
            mended: vec![],
        };
        if !position.listed {
            if let Some(failure) = round.list.failure(!position.full) {
                return Err(failure);
            }
            position.listed = true;
            position.left = (0..MEMBERS).collect();
            let mut found = Vec::new();
            for (member, objects) in self.provider.members.iter().enumerate() {
                let again = objects.iter().filter(|(object, _)| run.again.contains(&id(member, **object)));
                found.extend(again.map(|(object, state)| (member, *object, *state)));
            }
            return Ok(self.sort(round, read, position.next(), found, passed));
        }
        let member = position.left[0];
        let token = position.token();
        if let Some(failure) = round.members[member].failure(token.is_some()) {
            return Err(failure);
        }
        if token.is_some_and(|token| token < self.provider.floor) {
            return Err(Failure::Gone);
        }
        if token.is_none() {
            position.since.get_or_insert(asked_at);
        }
        let second = position.page.is_some();
        let cursor = position.page.unwrap_or(self.provider.version);
        let objects = self.provider.members[member].iter().filter(|(object, _)| (*object % 2 == 1) == second);
        let objects = objects.filter(|(_, it)| token.map_or(!it.deleted, |token| it.version > token));
        let found = objects.map(|(object, state)| (member, *object, *state)).collect();
        if second {
            read.whole = position.since.map(|since| Whole { extent: Extent::Under(format!("{member}/")), since });
            position.reached.insert(member, cursor);
            position.leave();
        } else {
            position.page = Some(cursor);
        }
        Ok(self.sort(round, read, position.next(), found, passed))
    }

    #[expect(clippy::unused_self, reason = "beside the page that it is part of")]
    fn sort(
        &self,
        round: &Round,
        read: PageRead,
        next: Next,
        found: Vec<(usize, usize, Object)>,
        passed: &PassedOver,
    ) -> (PageRead, Vec<(String, Object)>) {
        let failing = |member: usize, object: usize| round.flood == Some(member) && object >= FLOOD;
        let (bad, good): (Vec<_>, Vec<_>) = found.into_iter().partition(|(member, object, it)| {
            (round.unreadable == Some(*object) || failing(*member, *object)) && !it.deleted
        });
        let changes: Vec<_> = good.into_iter().map(|(member, object, it)| (id(member, object), it)).collect();
        let refused = bad.into_iter().map(|(member, object, _)| {
            let lasting = Failure::Rejected { words: None, code: String::new() };
            let failure = if failing(member, object) { Failure::Down(None) } else { lasting };
            ("message".to_owned(), id(member, object), failure)
        });
        let (refused, mended) = (refused.collect(), passed.among(changes.iter().map(|(id, _)| id.as_str())));
        let count = u64::try_from(changes.len()).unwrap();
        (PageRead { changes: count, objects: count, next, refused, mended, ..read }, changes)
    }

    /// What is known when a run begins or goes on.
    fn manifest(&self, state: &StreamState) -> Manifest {
        let Some(run) = &state.run else { return Manifest::default() };
        let head = state.manifest.as_ref().filter(|_| run.full && !run.rebuilds);
        let mut manifest = head.map_or_else(Manifest::default, |head| Manifest::in_chunks(head.bits));
        if head.is_some() {
            self.chunks.values().for_each(|chunk| manifest.add_chunk(chunk).unwrap());
        }
        let parts = usize::try_from(run.parts).unwrap();
        self.logs[usize::from(run.full)][..parts].iter().for_each(|part| manifest.add_part(part).unwrap());
        if run.full {
            let since = head.map_or(Timestamp::MIN, |head| head.since);
            for (id, record) in self.records.iter().filter(|(_, record)| record.changed_at >= since) {
                manifest.note(entry(id, record.version, record.deleted));
            }
        }
        manifest.settle();
        manifest
    }

    fn write(
        &mut self,
        round: &Round,
        manifest: &mut Manifest,
        changes: &[(String, Object)],
        asked_at: Timestamp,
    ) -> Vec<(String, String)> {
        let large = |id: &str| round.too_large.is_some_and(|object| id.ends_with(&format!("/{object}")));
        let mut too_large = Vec::new();
        for (id, Object { version, deleted }) in changes {
            if large(id) && !deleted {
                too_large.push(("event".to_owned(), id.clone()));
                continue;
            }
            let entry = entry(id, *version, *deleted);
            let stored = self.records.get(id);
            let is_news = |it: &Record| it.version < *version || (it.version == *version && it.deleted != *deleted);
            if !manifest.is_known(&entry) && stored.is_none_or(is_news) {
                self.records.insert(id.clone(), Record { version: *version, deleted: *deleted, changed_at: asked_at });
                self.writes += 1;
            }
            manifest.see(entry);
        }
        too_large
    }

    fn sweep(&mut self, sweep: &Sweep, full: bool, manifest: &mut Manifest, now: Timestamp) {
        let provider = &self.provider;
        manifest.settle();
        for (id, record) in &mut self.records {
            let meant = sweep.of.as_ref().is_none_or(|of| of.holds(id)) && !sweep.except.iter().any(|it| it.holds(id));
            let is_gone = if full { manifest.is_gone(&key(id)) } else { !manifest.is_seen(&key(id)) };
            if meant && is_gone && record.changed_at < sweep.since && !record.deleted {
                let (member, object) = id.split_once('/').unwrap();
                let member: usize = member.parse().unwrap();
                let there = provider.members[member].get(&object.parse().unwrap()).is_some_and(|it| !it.deleted);
                assert!(!there || self.gone.contains(&member), "{id} is still there, and was swept: {sweep:?}");
                (record.deleted, record.changed_at) = (true, now);
                self.writes += 1;
                manifest.forget(&key(id));
            }
        }
    }

    /// Stores the state of a run, with what was learned since it was last stored.
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
        self.check();
    }

    /// No cursor, those of the runs included, is ahead of what was written or is noted as passed over.
    fn check(&self) {
        let (main, full) = (self.saved.main(), self.saved.full());
        let cursor = main.cursor.iter().filter(|_| main.has_cursor());
        // Until the run that yielded it has ended, nothing is known of what was there before.
        let cursor = cursor.filter(|_| full.run.as_ref().is_none_or(|run| main.cursor_of != Some(run.started_at)));
        let cursor = cursor.map(|it| match &main.found {
            Some(found) => Walk.without_gone(it, found),
            None => it.clone(),
        });
        let cursor = cursor.map(|it| (false, serde_json::from_value(it).unwrap()));
        let of_run = main.run.iter().chain(&full.run).map(|run| (run.full, Position::read(&run.position).reached));
        // Another full run follows, which finds what this one wrote of a part after an incremental run had found it gone.
        let began = full.run.as_ref().map(|run| run.started_at).or_else(|| full.ended.map(|it| it.began));
        let repeats = began.is_some_and(|began| main.part_swept_at >= Some(began));
        let passed = [&main.passed, &full.passed];
        let noted =
            |id: &str| passed.iter().any(|it| it.members().iter().any(|it| it.extent == Extent::One(id.to_owned())));
        for (full, tokens) in cursor.chain(of_run) {
            let tokens: BTreeMap<usize, u64> = tokens;
            let all = tokens.iter().flat_map(|(member, token)| {
                self.provider.members[*member].iter().map(move |(object, it)| (id(*member, *object), it, *token))
            });
            for (id, it, token) in all.filter(|(_, it, token)| it.version <= *token) {
                let stored = self.records.get(&id);
                let written = match stored {
                    // A full run finds out at its end what is gone.
                    _ if it.deleted => full || repeats || stored.is_none_or(|stored| stored.deleted),
                    Some(stored) => stored.version >= it.version,
                    None => false,
                };
                assert!(written || noted(&id), "{id} is behind the cursor {token}");
            }
        }
    }

    fn stands(&self, full: bool) -> StreamState {
        if full { self.saved.full() } else { self.saved.main() }
    }

    /// One sync: the actions that it took, and how it ended.
    fn sync(&mut self, round: &Round) -> (Vec<Action>, End) {
        let asked_at = self.now;
        if round.full {
            return self.run(round, true, asked_at);
        }
        let (mut actions, end) = self.run(round, false, asked_at);
        if end != End::NeedsFull {
            return (actions, end);
        }
        let now = self.tick();
        let (more, end) = self.run(round, true, now);
        actions.extend(more);
        (actions, end)
    }

    /// A run in one lane.
    fn run(&mut self, round: &Round, full: bool, at: Timestamp) -> (Vec<Action>, End) {
        let kind = if round.full { SyncJob::Full } else { SyncJob::Incremental };
        let rebuilds = round.full && round.forced;
        let asked = Asked {
            kind,
            lane: lane(full),
            at,
            forced: round.forced,
            part: None,
            source: None,
            rebuilds,
            skips_known: false,
        };
        let (mut actions, mut step) = (Vec::new(), 0);
        let start = |it: &mut Self| {
            let now = it.tick();
            Machine::start(&Walk, true, it.stands(full), asked, now)
        };
        let mut machine = start(self);
        let mut manifest = self.manifest(machine.state());
        let (mut changes, mut asked_at, mut unsaved) = (Vec::new(), self.now, false);
        loop {
            step += 1;
            assert!(step < MAX_STEPS, "the run does not end: {:?}", machine.state());
            // What is written twice, since it was killed in between, and gone by the second time, the next full run finds.
            if let Some(change) = round.beside.get(&step).filter(|_| full && round.kills.is_empty()) {
                self.change(*change);
                self.tick();
                self.run(&calm(false), false, self.now);
            }
            let action = machine.action();
            actions.push(action.clone());
            let run = |machine: &Machine<'_>| {
                machine.state().run.as_ref().map(|run| (run.started_at, run.full, run.restarts))
            };
            let before = run(&machine);
            let outcome = match action {
                Action::Ask => {
                    asked_at = self.tick();
                    let (run, passed) = (machine.state().run.clone().unwrap(), &machine.state().passed);
                    match self.page(round, &run, asked_at, passed) {
                        Ok((page, found)) => {
                            changes = found;
                            Outcome::Read(page)
                        }
                        Err(failure) => Outcome::Refused(failure),
                    }
                }
                Action::Write => Outcome::Written(self.write(round, &mut manifest, &changes, asked_at)),
                Action::Sweep(sweep) => {
                    let (full, now) = (before.unwrap().1, self.tick());
                    self.sweep(&sweep, full, &mut manifest, now);
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
                    return (actions, end);
                }
            };
            let now = self.tick();
            // Killed after it has ended, it would be another run.
            let ended = machine.state().run.is_none();
            let killed = round.kills.contains(&step) && !ended;
            machine = if killed { start(self) } else { machine.after(outcome, now) };
            if killed || (run(&machine).is_some() && run(&machine) != before) {
                manifest = self.manifest(machine.state());
            }
        }
    }

    fn change(&mut self, (member, object, deleted): (usize, usize, bool)) {
        self.provider.version += 1;
        let new = Object { version: self.provider.version, deleted };
        let objects = &mut self.provider.members[member];
        match objects.get(&object) {
            Some(old) if old.deleted => {}
            None if deleted => {}
            Some(_) | None => drop(objects.insert(object, new)),
        }
    }

    fn round(&mut self, round: &Round) -> (Vec<Action>, End) {
        self.now += SignedDuration::from_hours(round.hours);
        self.gone.extend((0..MEMBERS).filter(|member| round.members[*member] == Fault::Missing));
        for change in &round.changes {
            self.change(*change);
        }
        if let Some(member) = round.flood {
            self.provider.version += 1;
            let new = Object { version: self.provider.version, deleted: false };
            self.provider.members[member].extend((0..=MAX_PASSED).map(|number| (FLOOD + 2 * number, new)));
        }
        if round.forget {
            self.provider.version += 1;
            self.provider.floor = self.provider.version;
        }
        self.sync(round)
    }

    fn live(&self) -> BTreeMap<&str, u64> {
        let live = self.records.iter().filter(|(_, record)| !record.deleted);
        live.map(|(id, record)| (id.as_str(), record.version)).collect()
    }

    fn truth(&self) -> BTreeMap<String, u64> {
        let all = self.provider.members.iter().enumerate();
        let all = all.flat_map(|(member, objects)| objects.iter().map(move |(object, it)| (id(member, *object), *it)));
        all.filter(|(_, it)| !it.deleted).map(|(id, it)| (id, it.version)).collect()
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::Forbidden),
        1 => Just(Fault::Failing),
        1 => Just(Fault::Missing),
        1 => Just(Fault::Limited),
        1 => Just(Fault::Garbled),
    ]
}

prop_compose! {
    fn round()(
        changes in proptest::collection::vec((0..MEMBERS, 0usize..4, prop::bool::weighted(0.3)), 0..6),
        list in prop_oneof![8 => Just(Fault::None), 1 => fault()],
        members in [fault(), fault(), fault()],
        forget in prop::bool::weighted(0.2),
        too_large in prop::option::weighted(0.2, 0usize..4),
        unreadable in prop::option::weighted(0.2, 0usize..4),
        flood in prop::option::weighted(0.1, 0..MEMBERS),
        full in prop::bool::weighted(0.3),
        forced in prop::bool::ANY,
        hours in 0i64..30,
        kills in proptest::collection::btree_set(1usize..20, 0..4),
        checkpoints in proptest::collection::btree_set(1usize..30, 0..20),
        beside in proptest::collection::btree_map(1usize..30, (0..MEMBERS, 0usize..4, prop::bool::weighted(0.3)), 0..4),
    ) -> Round {
        Round {
            changes, list, members, forget, too_large, unreadable, flood, full, forced, hours, kills, checkpoints, beside,
        }
    }
}

/// A sync in which nothing goes wrong.
fn calm(full: bool) -> Round {
    let (none, kills) = (Fault::None, BTreeSet::new());
    Round {
        changes: vec![],
        list: none,
        members: [none; MEMBERS],
        forget: false,
        too_large: None,
        unreadable: None,
        flood: None,
        full,
        forced: true,
        hours: 30,
        kills,
        checkpoints: BTreeSet::new(),
        beside: BTreeMap::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_fails_and_whenever_it_is_killed_no_cursor_is_ahead_and_a_full_run_ends_in_the_truth(
        rounds in proptest::collection::vec(round(), 1..6)
    ) {
        let mut worker = Worker::default();
        for round in &rounds {
            let begins = worker.saved.full.run.is_none();
            let (actions, end) = worker.round(round);
            let whole = |it: &Action| matches!(it, Action::Sweep(Sweep { of: None, .. }));
            let lost = begins && !matches!(round.list, Fault::None | Fault::Garbled);
            prop_assert!(!lost || !actions.iter().any(whole), "swept without a list: {actions:?}, {end:?}");
        }
        // A run that was broken off by a limit goes on first.
        worker.round(&calm(true));
        let (_, end) = worker.round(&calm(true));
        prop_assert_eq!(end, End::Read);
        let live: BTreeMap<_, _> = worker.live().into_iter().map(|(id, version)| (id.to_owned(), version)).collect();
        prop_assert_eq!(live, worker.truth());
        let (main, full) = (worker.saved.main(), worker.saved.full());
        prop_assert!(main.passed.members().is_empty() && main.backoff.is_none() && full.backoff.is_none());
        // What changes then is found by the cursor that stands.
        let changes = vec![(0, 1, false), (1, 2, true), (2, 3, false)];
        worker.round(&Round { changes, ..calm(false) });
        let (_, end) = worker.round(&calm(false));
        prop_assert_eq!(end, End::Read);
        let live: BTreeMap<_, _> = worker.live().into_iter().map(|(id, version)| (id.to_owned(), version)).collect();
        prop_assert_eq!(live, worker.truth());
    }

    #[test]
    fn a_run_that_is_killed_ends_in_the_same_records_and_cursor(rounds in proptest::collection::vec(round(), 1..5)) {
        let (mut killed, mut whole) = (Worker::default(), Worker::default());
        for round in rounds {
            let round = Round { beside: BTreeMap::new(), ..round };
            killed.round(&round);
            whole.round(&Round { kills: BTreeSet::new(), ..round.clone() });
            prop_assert_eq!(killed.live(), whole.live());
            prop_assert_eq!(killed.saved.main().cursor, whole.saved.main().cursor);
        }
    }
}

fn seeded() -> Worker {
    let mut worker = Worker::default();
    let changes = (0..MEMBERS).flat_map(|member| (0..4).map(move |object| (member, object, false))).collect();
    let (_, end) = worker.round(&Round { changes, ..calm(true) });
    assert_eq!(end, End::Read);
    worker
}

fn count(actions: &[Action], wanted: &Action) -> usize {
    actions.iter().filter(|it| *it == wanted).count()
}

#[test]
fn a_full_run_writes_the_records_of_what_changed_and_no_other() {
    let mut worker = seeded();
    for (changes, writes) in [(vec![], 0), (vec![(1, 0, false), (2, 3, true)], 2), (vec![], 0)] {
        let before = worker.writes;
        worker.round(&Round { changes, forced: false, ..calm(true) });
        assert_eq!(worker.writes - before, writes);
        assert_eq!(worker.saved.main().manifest.unwrap().objects, u64::try_from(worker.live().len()).unwrap());
    }
}

#[test]
fn a_refused_cursor_of_a_list_begins_one_full_run() {
    let mut worker = seeded();
    let refused = Failure::Rejected { words: None, code: "invalid".into() };
    let asked = Asked {
        lane: Lane::Main,
        kind: SyncJob::Incremental,
        at: worker.now,
        forced: true,
        part: None,
        source: None,
        rebuilds: false,
        skips_known: false,
    };
    let machine =
        Machine::start(&Walk, true, worker.stands(false), asked, worker.now).after(Outcome::Saved, worker.now);
    assert!(!machine.state().run.as_ref().unwrap().full);
    let machine = machine.after(Outcome::Refused(refused.clone()), worker.now).after(Outcome::Saved, worker.now);
    assert_eq!(machine.action(), Action::End(End::NeedsFull));
    worker.saved.main = machine.state().clone();
    assert!(!worker.stands(false).has_cursor());
    let now = worker.tick();
    let full = Asked { lane: Lane::Full, at: now, ..asked };
    let machine = Machine::start(&Walk, true, worker.stands(true), full, now);
    let run = machine.state().run.clone().unwrap();
    assert!(run.full && run.restarted && machine.state().cursor.is_some());
    // What refuses the full run likewise is not its cursor.
    let machine = machine.after(Outcome::Saved, now).after(Outcome::Refused(refused.clone()), now);
    let machine = machine.after(Outcome::Saved, now);
    assert_eq!(machine.action(), Action::End(End::Failed(refused.clone())));
    assert!(machine.state().run.is_none());
    // A full run yields another cursor. If that is refused soon after, no other full run begins for the same cause.
    worker.round(&calm(true));
    let later = worker.now;
    let refused_cursors = Some(Backoff::after(None, Pace::Hours, later));
    let state = StreamState { refused_cursors, ..worker.stands(false) };
    let machine = Machine::start(&Walk, true, state, asked, later).after(Outcome::Saved, later);
    let machine = machine.after(Outcome::Refused(refused), later).after(Outcome::Saved, later);
    assert!(matches!(machine.action(), Action::End(End::Failed(_))), "{:?}", machine.action());
}

#[test]
fn a_refused_cursor_of_a_member_reads_that_member_whole_and_no_other() {
    let mut worker = seeded();
    let changes = vec![(1, 0, true)];
    let (actions, end) = worker.round(&Round { changes, forget: true, ..calm(false) });
    assert_eq!(end, End::Read);
    let partial = actions.iter().filter(|it| matches!(it, Action::Sweep(Sweep { of: Some(_), .. }))).count();
    assert_eq!(partial, MEMBERS, "each has lost its cursor");
    assert_eq!(actions.iter().filter(|it| matches!(it, Action::Sweep(Sweep { of: None, .. }))).count(), 0);
    assert!(worker.records["1/0"].deleted, "what was deleted while the cursor was lost");
}

#[test]
fn members_that_cannot_be_read_are_passed_over_and_keep_their_records_and_their_cursors() {
    let mut worker = seeded();
    let cursor = worker.saved.main().cursor.unwrap();
    let members = [Fault::Forbidden, Fault::Failing, Fault::None];
    let changes = vec![(0, 0, true), (2, 1, false)];
    let (_, end) = worker.round(&Round { changes, members, ..calm(true) });
    assert_eq!(end, End::Read);
    assert!(worker.records.values().all(|record| !record.deleted), "a member that could not be read was swept");
    assert_eq!(worker.saved.main().cursor, Some(cursor), "it stands, and leads over what changed");
    let told = worker.saved.main().passed.sentence().unwrap();
    assert_eq!(told, "2 calendars can't be read: 0, 1.");
    // The refused one is asked again by a full run only, the failing one by the next run.
    let (actions, _) = worker.round(&Round { members, hours: 0, ..calm(false) });
    assert_eq!(count(&actions, &Action::Ask), 1 + 1 + 2, "the list, the failing one, two pages of the other");
    let (actions, _) = worker.round(&Round { members, hours: 0, ..calm(false) });
    assert_eq!(count(&actions, &Action::Ask), 1 + 2, "now it pauses");
    worker.round(&calm(true));
    assert!(worker.records["0/0"].deleted);
    assert_eq!(worker.saved.main().passed, PassedOver::default());
}

#[test]
fn a_full_run_yields_another_cursor_where_incremental_ones_met_a_page_that_cannot_be_read() {
    let mut worker = seeded();
    let cursor = worker.saved.main().cursor.unwrap();
    let garbled = Round { list: Fault::Garbled, ..calm(false) };
    let changes = vec![(0, 1, true), (1, 1, false)];
    for round in [Round { changes, ..garbled.clone() }, garbled.clone()] {
        assert_eq!(worker.round(&round).1, End::Failed(Failure::Unreadable));
        assert_eq!(worker.saved.main().cursor.as_ref(), Some(&cursor));
    }
    assert_eq!(worker.round(&Round { full: true, ..garbled }).1, End::Read);
    assert_ne!(worker.saved.main().cursor, Some(cursor), "the page before it is not asked for again");
    let changes = vec![(2, 1, false)];
    assert_eq!(worker.round(&Round { changes, ..calm(false) }).1, End::Read);
    let live: BTreeMap<_, _> = worker.live().into_iter().map(|(id, version)| (id.to_owned(), version)).collect();
    assert_eq!((live, worker.saved.main().stuck), (worker.truth(), false));
}

#[test]
fn a_member_whose_page_cannot_be_read_twice_is_read_whole() {
    let mut worker = seeded();
    let garbled = Round { members: [Fault::None, Fault::Garbled, Fault::None], ..calm(false) };
    let changes = vec![(1, 0, true), (1, 3, false)];
    assert_eq!(worker.round(&Round { changes, ..garbled.clone() }).1, End::Read);
    assert_eq!(worker.saved.main().passed.members().len(), 1);
    assert_eq!(worker.round(&garbled).1, End::Read);
    let live: BTreeMap<_, _> = worker.live().into_iter().map(|(id, version)| (id.to_owned(), version)).collect();
    assert_eq!((live, worker.saved.main().passed.is_empty()), (worker.truth(), true));
}

#[test]
fn a_run_whose_every_member_is_passed_over_has_failed() {
    let mut worker = seeded();
    let before = worker.saved.main();
    let (_, end) = worker.round(&Round { members: [Fault::Forbidden; MEMBERS], ..calm(false) });
    assert_eq!(end, End::NothingRead);
    assert_eq!(
        (&worker.saved.main.cursor, worker.saved.main.last_incremental_sync),
        (&before.cursor, before.last_incremental_sync)
    );
    let backoff = worker.saved.main.backoff.clone().unwrap();
    assert_eq!((backoff.failures, backoff.next_try.is_some()), (1, true));
    // The stream is tried again after its pause, with all its members, though no full sync was asked for.
    let (_, end) = worker.round(&calm(false));
    assert_eq!(end, End::Read);
    assert!(worker.saved.main.backoff.is_none());
}

#[test]
fn a_stream_that_is_refused_is_left_alone_unless_a_user_asks() {
    let worker = seeded();
    let asked = Asked {
        lane: Lane::Main,
        kind: SyncJob::Incremental,
        at: worker.now,
        forced: false,
        part: None,
        source: None,
        rebuilds: false,
        skips_known: false,
    };
    let backoff = Some(Backoff::after(None, Pace::Hours, worker.now));
    let start = |asked, minutes| {
        let state = StreamState { backoff: backoff.clone(), ..worker.stands(false) };
        Machine::start(&Walk, true, state, asked, worker.now + SignedDuration::from_mins(minutes)).action()
    };
    assert_eq!(start(asked, 59), Action::End(End::Waiting));
    assert_eq!(start(asked, 60), Action::Checkpoint);
    assert_eq!(start(Asked { forced: true, ..asked }, 1), Action::Checkpoint);
}

#[test]
fn with_more_objects_down_than_are_remembered_a_run_waits_where_it_stands() {
    for full in [true, false] {
        let mut worker = seeded();
        let before = worker.saved.main().cursor;
        let (actions, end) = worker.round(&Round { flood: Some(1), ..calm(full) });
        assert_eq!(end, End::Failed(Failure::Down(None)), "full: {full}");
        assert_eq!(actions.last(), Some(&Action::End(end)));
        assert_eq!(worker.saved.main().cursor, before, "full: {full}");
        let stands = Position::read(&worker.stands(full).run.unwrap().position);
        assert_eq!((stands.left, stands.page), (vec![1, 2], None), "at the page of the flood");
        assert!(!worker.live().keys().any(|id| id.starts_with("1/10")), "nothing of it is written");
        // When they can be had, the run goes on and has them all.
        let (_, end) = worker.round(&Round { hours: 0, ..calm(full) });
        assert_eq!(end, End::Read);
        let live: BTreeMap<_, _> = worker.live().into_iter().map(|(id, version)| (id.to_owned(), version)).collect();
        assert_eq!(live, worker.truth());
    }
}

#[test]
fn a_call_that_names_a_wait_is_about_the_service_and_no_member_is_passed_over() {
    let worker = seeded();
    let asked = Asked {
        kind: SyncJob::Full,
        lane: Lane::Full,
        at: worker.now + SignedDuration::from_secs(1),
        forced: true,
        part: None,
        source: None,
        rebuilds: false,
        skips_known: false,
    };
    let down = Failure::Down(Some(std::time::Duration::from_secs(30)));
    let page = PageRead {
        changes: 0,
        next: Next::Page(json!(Position { full: true, listed: true, left: vec![0, 1], ..Position::default() })),
        whole: None,
        rest: vec![],
        objects: 0,
        refused: vec![],
        mended: vec![],
    };
    let mut machine = Machine::start(&Walk, true, worker.stands(true), asked, worker.now);
    let to_the_first_member = [Outcome::Saved, Outcome::Read(page), Outcome::Written(vec![]), Outcome::Saved];
    for outcome in to_the_first_member.into_iter().chain([Outcome::Refused(down.clone())]) {
        machine = machine.after(outcome, worker.now);
    }
    assert_eq!(machine.action(), Action::End(End::Failed(down)));
    assert!(machine.state().passed.members().is_empty() && machine.state().run.is_some());
}

#[test]
fn what_only_the_operators_can_repair_leaves_the_run_where_it_stands() {
    let worker = seeded();
    let asked = Asked {
        kind: SyncJob::Full,
        lane: Lane::Full,
        at: worker.now + SignedDuration::from_secs(1),
        forced: true,
        part: None,
        source: None,
        rebuilds: false,
        skips_known: false,
    };
    let off = Failure::AppRefused { code: "accessNotConfigured".into() };
    let mut machine = Machine::start(&Walk, true, worker.stands(true), asked, worker.now);
    for outcome in [Outcome::Saved, Outcome::Refused(off.clone())] {
        machine = machine.after(outcome, worker.now);
    }
    assert_eq!(machine.action(), Action::End(End::Failed(off)));
    assert!(machine.state().run.is_some() && machine.state().backoff.is_none());
}

#[test]
fn a_forced_run_that_another_invocation_goes_on_with_is_not_put_off() {
    let worker = seeded();
    let backoff = Some(Backoff::after(None, Pace::Hours, worker.now));
    let state = StreamState { backoff, ..worker.stands(false) };
    let asked = Asked {
        lane: Lane::Main,
        kind: SyncJob::Incremental,
        at: worker.now,
        forced: true,
        part: None,
        source: None,
        rebuilds: false,
        skips_known: false,
    };
    let begun = Machine::start(&Walk, true, state, asked, worker.now).after(Outcome::Saved, worker.now);
    let next = Asked { forced: false, ..asked };
    let machine = Machine::start(&Walk, true, begun.state().clone(), next, worker.now);
    assert_eq!(machine.action(), Action::Ask);
}

#[test]
fn a_run_over_a_part_moves_the_cursor_and_says_nothing_of_the_rest() {
    let worker = seeded();
    let passed = |now| {
        let mut passed = PassedOver::default();
        let why = (Reason::ProviderDown, Pace::FullSyncs);
        assert!(passed.note((Extent::Under("2/".into()), "calendar", "2"), why, now, now));
        passed
    };
    let now = worker.now + SignedDuration::from_mins(1);
    let state = StreamState { passed: passed(worker.now), ..worker.stands(false) };
    let whole = Asked {
        lane: Lane::Main,
        kind: SyncJob::Incremental,
        at: now,
        forced: false,
        part: None,
        source: None,
        rebuilds: false,
        skips_known: false,
    };
    let part = Asked { part: Some("0"), ..whole };
    let machine = Machine::start(&Walk, true, state.clone(), part, now);
    assert_eq!(machine.state().run.as_ref().unwrap().part.as_deref(), Some("0"));
    // It goes on with itself, and a run over another part, or over all, begins anew.
    let stands = machine.state().clone();
    for (asked, begins) in [(part, false), (Asked { part: Some("1"), ..whole }, true), (whole, true)] {
        let later = now + SignedDuration::from_mins(1);
        let next = Machine::start(&Walk, true, stands.clone(), asked, later);
        assert_eq!(next.state().run.as_ref().unwrap().started_at == later, begins, "{asked:?}");
    }
    // What can't be read is found out by a run over all.
    let at_member = Position { listed: true, left: vec![0], ..Position::default() };
    let mut refused = stands.clone();
    refused.run.as_mut().unwrap().position = json!(at_member);
    let machine = Machine::start(&Walk, true, refused, part, now);
    let forbidden = Failure::Rejected { words: None, code: "forbidden".into() };
    let machine = machine.after(Outcome::Refused(forbidden.clone()), now).after(Outcome::Saved, now);
    assert_eq!(machine.action(), Action::End(End::Failed(forbidden)));
    assert_eq!((&machine.state().run, &machine.state().passed), (&None, &state.passed));
    // Its end leaves what is known of the others.
    let read = page(Next::Done(json!({ "0": 9 })));
    let machine = Machine::start(&Walk, true, stands, part, now);
    let machine =
        machine.after(Outcome::Read(read), now).after(Outcome::Written(vec![]), now).after(Outcome::Saved, now);
    let ended = machine.state();
    assert_eq!(machine.action(), Action::End(End::Read));
    assert_eq!((&ended.cursor, &ended.passed), (&Some(json!({ "0": 9 })), &state.passed));
    assert_eq!((ended.last_incremental_sync, ended.full_since), (state.last_incremental_sync, state.full_since));
}

#[test]
fn after_a_full_run_that_failed_the_stream_is_read_incrementally_for_a_day() {
    let worker = seeded();
    let id = crate::IntegrationKey::parse("ada", "stripe#acct_1").unwrap().id();
    let week_later = worker.now + SignedDuration::from_hours(7 * 24);
    let due = |state: &StreamState, now| crate::sync::slot::full_due(&id, "events", state, now).is_some();
    assert!(due(&worker.stands(true), week_later));
    let asked = Asked {
        lane: Lane::Full,
        kind: SyncJob::Full,
        at: week_later,
        forced: false,
        part: None,
        source: None,
        rebuilds: false,
        skips_known: false,
    };
    let machine = Machine::start(&Walk, true, worker.stands(true), asked, week_later).after(Outcome::Saved, week_later);
    let machine = machine.after(Outcome::Refused(Failure::Unreadable), week_later).after(Outcome::Saved, week_later);
    assert!(machine.state().run.is_none());
    assert!(!due(machine.state(), week_later + SignedDuration::from_hours(23)));
    assert!(due(machine.state(), week_later + SignedDuration::from_hours(24)));
}

#[test]
fn a_first_full_run_that_meets_a_page_that_cannot_be_read_is_made_again_less_and_less_often() {
    let id = crate::IntegrationKey::parse("ada", "stripe#acct_1").unwrap().id();
    let (mut lanes, mut now) = (Lanes::default(), Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000));
    let sync = |at| Sync { kind: SyncJob::Incremental, at, is_report: false, forced: false };
    let mut runs = Vec::new();
    for slot in 0..96 {
        now += crate::sync::slot::INTERVAL;
        if lanes.full_wanted((&id, "events", true), sync(now), now).is_none() {
            continue;
        }
        let asked = Asked {
            lane: Lane::Full,
            kind: SyncJob::Incremental,
            at: now,
            forced: false,
            part: None,
            source: None,
            rebuilds: false,
            skips_known: false,
        };
        let machine = Machine::start(&Walk, true, lanes.full(), asked, now).after(Outcome::Saved, now);
        let machine = machine.after(Outcome::Refused(Failure::Unreadable), now).after(Outcome::Saved, now);
        assert_eq!(machine.action(), Action::End(End::Failed(Failure::Unreadable)));
        lanes.full = machine.state().clone();
        runs.push(slot);
    }
    assert_eq!(runs, [0, 1, 2, 4, 8, 16, 32, 64]);
}

/// A run that stands at a member, with what is known of it.
fn at_member(worker: &Worker, full: bool, position: Position, passed: PassedOver) -> Machine<'static> {
    let kind = if full { SyncJob::Full } else { SyncJob::Incremental };
    let run = Run::new(kind, full, worker.now, json!(Position { full, listed: true, ..position }));
    let state = StreamState { run: Some(run), passed, ..worker.stands(full) };
    let asked = Asked {
        kind,
        lane: lane(full),
        at: worker.now + SignedDuration::from_secs(1),
        forced: true,
        part: None,
        source: None,
        rebuilds: false,
        skips_known: false,
    };
    Machine::start(&Walk, true, state, asked, worker.now)
}

fn page(next: Next) -> PageRead {
    PageRead { changes: 0, next, whole: None, rest: vec![], objects: 0, refused: vec![], mended: vec![] }
}

#[test]
fn a_mark_of_a_page_that_is_gone_twice_passes_the_member_over_and_deletes_nothing_of_it() {
    let worker = seeded();
    let position = Position { left: vec![0, 1], afresh: true, page: Some(7), ..Position::default() };
    let machine = at_member(&worker, true, position, PassedOver::default());
    let machine = machine.after(Outcome::Refused(Failure::Gone), worker.now);
    let passed = machine.state().passed.members();
    assert_eq!(passed.iter().map(|it| it.extent.id()).collect::<Vec<_>>(), ["0/"]);
    assert!(passed[0].backoff.next_try.is_some(), "the next run reads it");
}

#[test]
fn a_member_whose_later_pages_fail_every_time_pauses_for_longer_each_time() {
    let worker = seeded();
    let mut passed = PassedOver::default();
    for failures in 1..4 {
        let first = Position { left: vec![0, 1], ..Position::default() };
        let second = Position { full: true, listed: true, page: Some(7), afresh: true, ..first.clone() };
        let mut machine = at_member(&worker, true, first, passed);
        for outcome in [
            Outcome::Read(page(Next::Page(json!(second)))),
            Outcome::Written(vec![]),
            Outcome::Saved,
            Outcome::Refused(Failure::Down(None)),
        ] {
            machine = machine.after(outcome, worker.now);
        }
        assert_eq!(machine.state().run.as_ref().unwrap().read, 0);
        passed = machine.state().passed.clone();
        assert_eq!(passed.members()[0].backoff.failures, failures);
    }
}

#[test]
fn a_member_that_was_read_whole_is_not_swept_if_more_was_passed_over_than_is_remembered() {
    let worker = seeded();
    for (count, sweeps) in [(MAX_PASSED, true), (MAX_PASSED + 1, false)] {
        let refused = (0..count).map(|number| {
            ("event".to_owned(), format!("0/x{number}"), Failure::Rejected { words: None, code: String::new() })
        });
        let whole = Some(Whole { extent: Extent::Under("0/".into()), since: worker.now });
        let next = Position { listed: true, left: vec![1], ..Position::default() };
        let read = PageRead { refused: refused.collect(), whole, ..page(Next::Page(json!(next))) };
        let position = Position { left: vec![0, 1], ..Position::default() };
        let mut machine = at_member(&worker, false, position, PassedOver::default());
        for outcome in [Outcome::Read(read), Outcome::Written(vec![])] {
            machine = machine.after(outcome, worker.now);
        }
        assert_eq!(matches!(machine.action(), Action::Sweep(_)), sweeps, "{count}");
    }
}

#[test]
fn a_run_asks_again_for_some_of_what_was_passed_over_and_the_next_ones_for_the_rest() {
    let worker = seeded();
    let mut passed = PassedOver::default();
    for number in 0..MAX_PASSED {
        let id = format!("m{number}");
        let why = (Reason::ProviderDown, Pace::Minutes);
        assert!(passed.note((Extent::One(id.clone()), "message", &id), why, worker.now, worker.now));
    }
    let mut asked_for = BTreeSet::new();
    for run in 1..=4 {
        let now = worker.now + SignedDuration::from_mins(run);
        let again = passed.again(now, false);
        assert_eq!(again.len(), 25);
        for id in &again {
            passed.note((Extent::One(id.clone()), "message", id), (Reason::ProviderDown, Pace::Minutes), now, now);
        }
        asked_for.extend(again);
    }
    assert_eq!(asked_for.len(), MAX_PASSED);
}

#[test]
fn with_more_members_passed_over_than_are_remembered_nothing_is_swept() {
    let mut worker = seeded();
    let asked = Asked {
        kind: SyncJob::Full,
        lane: Lane::Full,
        at: worker.now + SignedDuration::from_secs(1),
        forced: true,
        part: None,
        source: None,
        rebuilds: false,
        skips_known: false,
    };
    let mut machine = Machine::start(&Walk, true, worker.stands(true), asked, worker.now);
    let refused: Vec<_> = (0..=MAX_PASSED)
        .map(|number| ("message".to_owned(), format!("m{number}"), Failure::NotFound))
        .map(|(kind, id, _)| (kind, id, Failure::Rejected { words: None, code: String::new() }))
        .collect();
    let page = PageRead {
        changes: 1,
        next: Next::Done(json!({})),
        whole: None,
        rest: vec![],
        objects: 1,
        refused,
        mended: vec![],
    };
    for outcome in [Outcome::Saved, Outcome::Read(page), Outcome::Written(vec![])] {
        worker.tick();
        machine = machine.after(outcome, worker.now);
    }
    assert_eq!(machine.action(), Action::Settle, "no sweep");
    let head = ManifestHead { bits: 0, since: worker.now, objects: 1 };
    machine = machine.after(Outcome::Settled(head), worker.now);
    assert_eq!(machine.action(), Action::Save);
    assert!(machine.state().run.is_none() && machine.state().last_full_sync.is_some());
}

/// A run that copies what another integration read at `worker.now`, a minute later.
fn copy(worker: &Worker) -> (Machine<'static>, Timestamp) {
    let user_id = crate::IntegrationKey::parse("bob", "slack#T1").unwrap().user_id;
    let source = Source { user_id, connected_at: Timestamp::UNIX_EPOCH, since: worker.now };
    let later = worker.now + SignedDuration::from_mins(1);
    let asked = Asked {
        lane: Lane::Full,
        kind: SyncJob::Incremental,
        at: later,
        forced: false,
        part: None,
        source: Some(&source),
        rebuilds: false,
        skips_known: false,
    };
    (Machine::start(&Walk, true, worker.stands(true), asked, later).after(Outcome::Saved, later), later)
}

#[test]
fn a_copy_is_a_full_run_that_counts_from_the_reading_and_asks_the_provider_about_no_position() {
    let worker = seeded();
    let (mut machine, later) = copy(&worker);
    let page = |next| {
        let (changes, whole, objects) = (2, None, 0);
        Outcome::Read(PageRead { changes, next, whole, objects, refused: vec![], mended: vec![], rest: vec![] })
    };
    // A position that the provider could not read.
    for outcome in [page(Next::Page(json!("events#7"))), Outcome::Written(vec![]), Outcome::Saved] {
        machine = machine.after(outcome, later);
    }
    assert_eq!(machine.action(), Action::Ask);
    for outcome in [page(Next::Done(Value::Null)), Outcome::Written(vec![])] {
        machine = machine.after(outcome, later);
    }
    assert_eq!(machine.action(), Action::Sweep(Sweep { since: worker.now, of: None, except: vec![] }));
    let head = ManifestHead { bits: 0, since: worker.now, objects: 4 };
    for outcome in [Outcome::Swept, Outcome::Settled(head)] {
        machine = machine.after(outcome, later);
    }
    let state = machine.state();
    assert_eq!((state.full_since, state.last_full_sync, &state.run), (Some(worker.now), Some(later), &None));
}

#[test]
fn a_copy_whose_source_is_gone_ends_without_a_sweep_and_leaves_the_stream_where_it_stood() {
    let worker = seeded();
    let (machine, later) = copy(&worker);
    let machine = machine.after(Outcome::SourceGone, later);
    assert_eq!(machine.action(), Action::Save);
    let machine = machine.after(Outcome::Saved, later);
    assert_eq!(machine.action(), Action::End(End::SourceGone));
    assert_eq!(*machine.state(), worker.stands(true));
}
