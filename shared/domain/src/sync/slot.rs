//! When an integration is synced by itself: at its *slots*, which are [`INTERVAL`] apart, and in full once a week.
//!
//! *Invariant:* slots follow from the account and the integration's id alone, and weeks from the id, so that an integration keeps its
//! rhythm, and all accounts together are spread evenly over the interval, and all integrations over the week. The integrations of one
//! account have their slots close together, so that one reading can serve them all.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::{
    id::{IntegrationId, spread},
    sync::stream::StreamState,
};

/// The time between two slots of an integration. [`delay`] needs it to be no longer than SQS can delay a message: 15 minutes.
pub const INTERVAL: SignedDuration = SignedDuration::from_mins(15);
/// The time between two sweeps for syncs: the rate of the schedule `incremental` in template.yaml.
pub const SWEEP: SignedDuration = SignedDuration::from_mins(5);
/// The least time from the beginning of a sync to the next slot. It is longer than [`SWEEP`], so that the sweep which finds the next
/// slot is still to come. A sync that begins late by no more than the other half of the interval skips no slot.
const MIN_GAP: SignedDuration = SignedDuration::from_secs(INTERVAL.as_secs() / 2);
const _: () = assert!(MIN_GAP.as_secs() > SWEEP.as_secs());
/// How long a stream is read incrementally after a full run that failed: what it can't list, it may still hear of.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_hours(24);
/// Within how many seconds the integrations of an account have their slots: enough for a reading to end, and for the copies of hundreds
/// not to begin at once. Shorter than [`sharing::TOLERANCE`](super::sharing::TOLERANCE), so that the first serves the last.
const SPREAD: u32 = 90;
const HOUR: i64 = 3_600;
const WEEK: i64 = 7 * 24 * HOUR;

/// At which moments of every interval an integration has its slots, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm(u32);

impl Rhythm {
    /// That of an integration of this account, under its provider.
    pub fn of(account: &str, id: &IntegrationId) -> Self {
        let hash = Sha256::digest(account);
        let (first, _) = hash.split_first_chunk().unwrap_or((&[0; 4], &[]));
        // No sum of the two overflows.
        Self(u32::from_be_bytes(*first) / 2 + spread(id.as_str()) % SPREAD)
    }
}

/// Which slot of an integration is to be served next, and which message serves the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slots {
    /// The next one; none while the integration is not in use.
    pub due_at: Option<Timestamp>,
    /// The [`asked_at`](crate::messages::message::SyncMessage::asked_at) of the message that serves the slot before, until that is done.
    pub served_by: Option<Timestamp>,
}

impl Slots {
    /// Whether a message that was sent for `slot` at `asked_at` has something to do: no other message served the slot, or serves it
    /// now.
    pub fn is_open(&self, slot: Timestamp, asked_at: Timestamp) -> bool {
        self.due_at.is_none_or(|due_at| due_at <= slot) || self.served_by == Some(asked_at)
    }
}

/// The first slot of an integration at this time or later.
pub fn slot(rhythm: Rhythm, at: Timestamp) -> Timestamp {
    let (interval, from) = (INTERVAL.as_secs(), at.as_second() + i64::from(at.subsec_nanosecond() > 0));
    time(from + (i64::from(rhythm.0) - from).rem_euclid(interval), at)
}

/// The slot that follows a sync that begins at `now`, and follows the slot that it serves, if it serves one.
pub fn next_slot(rhythm: Rhythm, served: Option<Timestamp>, now: Timestamp) -> Timestamp {
    slot(rhythm, served.unwrap_or(now).max(now) + MIN_GAP)
}

/// How long a message is delayed that a sweep sends at `now` for what is due at `due_at`: until then.
///
/// What comes late does not come alone. If it is late by less than the time between sweeps, because they take long, its delay is that
/// time once more; if by more, because they did not come at all, it waits for the next slot. So neither brings all at once.
pub fn delay(rhythm: Rhythm, due_at: Timestamp, now: Timestamp) -> Duration {
    let ahead = due_at.duration_since(now);
    let ahead = if ahead < -SWEEP { slot(rhythm, now).duration_since(now) } else { ahead };
    ahead.unsigned_abs()
}

/// Since when a stream is to be read in full, if it has not been since then: since its own hour of the week. A stream that is refused
/// waits for the end of its pause, and after a full run that failed the stream is read incrementally for a day.
pub fn full_due(id: &IntegrationId, stream: &str, state: &StreamState, now: Timestamp) -> Option<Timestamp> {
    let since = week(id, stream, now);
    let is_read = state.full_since.is_some_and(|read| read >= since);
    let is_refused = state.backoff.as_ref().is_some_and(|it| !it.is_due(now, false));
    let has_failed = state.full_failed_at.is_some_and(|at| now.duration_since(at) < AFTER_FAILURE);
    (!is_read && !is_refused && !has_failed).then_some(since)
}

/// When a stream's own hour of the week last began.
fn week(id: &IntegrationId, stream: &str, now: Timestamp) -> Timestamp {
    let begin = i64::from(spread(&format!("{id}#{stream}"))) * HOUR;
    time(now.as_second() - (now.as_second() - begin).rem_euclid(WEEK), now)
}

/// A time in seconds since 1970; the other one if it is out of range.
fn time(second: i64, otherwise: Timestamp) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        IntegrationKey,
        sync::{
            backoff::{Backoff, Pace},
            sharing::TOLERANCE,
        },
    };

    /// That of a user with an account of its own.
    fn key(user: u32) -> IntegrationKey {
        of_account(user, user)
    }

    fn of_account(account: u32, user: u32) -> IntegrationKey {
        IntegrationKey::parse(&format!("user-{user}"), &format!("slack#T{account}")).unwrap()
    }

    fn id(user: u32) -> IntegrationId {
        key(user).id()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    proptest! {
        #[test]
        fn slots_are_an_interval_apart_whatever_the_delays(user: u32, now in 0i64..4_000_000_000, late in 0i64..450) {
            let (key, now) = (key(user), at(now));
            let first = slot(key.rhythm(), now);
            prop_assert!(first >= now && first < now + INTERVAL);
            prop_assert_eq!(slot(key.rhythm(), first), first);
            prop_assert_eq!(slot(key.rhythm(), first + SignedDuration::from_nanos(1)), first + INTERVAL);
            let began = first + SignedDuration::from_secs(late);
            prop_assert_eq!(next_slot(key.rhythm(), Some(first), began), first + INTERVAL, "no slot is skipped");
            // The clock of the worker is behind that of SQS.
            prop_assert_eq!(next_slot(key.rhythm(), Some(first), first - SignedDuration::from_secs(late)), first + INTERVAL);
            let unasked = next_slot(key.rhythm(), None, now);
            prop_assert!(unasked >= now + MIN_GAP && unasked < now + MIN_GAP + INTERVAL && unasked == slot(key.rhythm(), unasked));
        }

        #[test]
        fn a_message_is_delivered_at_its_slot_or_a_little_later_if_that_has_just_passed_or_else_at_the_next_one(
            user: u32, now in 1_000_000i64..4_000_000_000, late in -300i64..100_000,
        ) {
            let (key, now) = (key(user), at(now));
            let due_at = now - SignedDuration::from_secs(late);
            let delivered = now + delay(key.rhythm(), due_at, now);
            prop_assert!(delivered >= now && delivered < now + INTERVAL);
            let expected = if late > 300 { slot(key.rhythm(), now) } else { now + SignedDuration::from_secs(late.abs()) };
            prop_assert_eq!(delivered, expected);
        }

        #[test]
        fn the_hour_of_a_week_comes_once_a_week(user: u32, now in 1_000_000i64..4_000_000_000) {
            let (id, now) = (id(user), at(now));
            let since = week(&id, "channels", now);
            prop_assert!(since <= now && now < since + SignedDuration::from_secs(WEEK));
            prop_assert_eq!(since.as_second() % HOUR, 0);
            prop_assert_eq!(week(&id, "channels", since), since);
        }
    }

    /// How many of so many fall on each of the values, at least and at most.
    fn counts(values: impl Iterator<Item = i64>, of: usize) -> (usize, usize) {
        let mut counts = BTreeMap::<i64, usize>::new();
        values.for_each(|value| *counts.entry(value).or_default() += 1);
        assert_eq!(counts.len(), of);
        (*counts.values().min().unwrap(), *counts.values().max().unwrap())
    }

    #[test]
    fn integrations_are_spread_over_the_interval_and_their_streams_over_the_week() {
        let ids: Vec<_> = (0..90_000).map(id).collect();
        let keys: Vec<_> = (0..90_000).map(key).collect();
        // 6,000 a minute, with a deviation of 75.
        let minutes = counts(keys.iter().map(|key| slot(key.rhythm(), at(0)).as_second() / 60), 15);
        assert!(minutes.0 > 5_600 && minutes.1 < 6_400, "{minutes:?}");
        let hours = counts(ids.iter().map(|id| week(id, "users", at(WEEK)).as_second() / HOUR), 168);
        // 536 an hour, with a deviation of 23.
        assert!(hours.0 > 420 && hours.1 < 660, "{hours:?}");
        let apart = ids.iter().filter(|id| week(id, "users", at(WEEK)) != week(id, "channels", at(WEEK)));
        assert!(apart.count() > 80_000, "the streams of an integration have hours of their own");
    }

    #[test]
    fn the_integrations_of_an_account_have_their_slots_close_together_and_their_weeks_apart() {
        for account in 0..50 {
            let keys: Vec<_> = (0..400).map(|user| of_account(account, user)).collect();
            // From a moment that is in none of their slots.
            let from = slot(keys[0].rhythm(), at(1_000_000)) + INTERVAL / 2;
            let seconds: BTreeMap<_, _> =
                keys.iter().map(|key| (slot(key.rhythm(), from).as_second(), key.id())).collect();
            let (first, last) = (seconds.first_key_value().unwrap().0, seconds.last_key_value().unwrap().0);
            assert!(last - first < TOLERANCE.as_secs() / 2 + 1 && seconds.len() > 60, "{first} to {last}");
            let weeks: std::collections::BTreeSet<_> =
                keys.iter().map(|key| week(&key.id(), "users", at(WEEK)).as_second()).collect();
            assert!(weeks.len() > 100);
        }
    }

    #[test]
    fn a_stream_is_read_in_full_once_after_its_hour_and_not_while_it_is_refused() {
        let (id, now) = (id(1), at(2_000_000_000));
        let since = week(&id, "users", now);
        let state = |full_since| StreamState { full_since, ..StreamState::default() };
        let due = |state: &StreamState| full_due(&id, "users", state, now);
        assert_eq!(due(&state(None)), Some(since));
        assert_eq!(due(&state(Some(since - SignedDuration::from_nanos(1)))), Some(since));
        assert_eq!((due(&state(Some(since))), due(&state(Some(now)))), (None, None));
        let refused = |at| {
            let backoff = Some(Backoff::after(None, Pace::Hours, at));
            StreamState { backoff, ..state(Some(since - SignedDuration::from_hours(1))) }
        };
        assert_eq!(due(&refused(now)), None, "a full sync would not wait for the end of the pause");
        assert_eq!(due(&refused(now - SignedDuration::from_hours(1))), Some(since));
    }

    #[test]
    fn a_slot_is_open_until_a_message_serves_it_and_for_that_message_until_it_is_done() {
        let (slot, mine, another) = (at(900), at(600), at(601));
        assert!(Slots { due_at: Some(slot), served_by: None }.is_open(slot, mine));
        assert!(
            Slots { due_at: Some(at(1)), served_by: Some(another) }.is_open(slot, mine),
            "an earlier slot is overdue"
        );
        assert!(Slots { due_at: Some(at(1_800)), served_by: Some(mine) }.is_open(slot, mine), "its own, deferred");
        assert!(!Slots { due_at: Some(at(1_800)), served_by: Some(another) }.is_open(slot, mine));
        assert!(!Slots { due_at: Some(at(1_800)), served_by: None }.is_open(slot, mine), "done");
    }
}
