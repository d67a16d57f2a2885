//! When a token is refreshed: the one definition by which a sweep finds it and a refresher refreshes it.
//!
//! *Invariant:* what is due is refreshed, and a token that was just issued for more than a few seconds is not due.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::id::IntegrationId;

/// A refresh token that is never used dies with some providers; one without a known end is used this often.
const KEEP_ALIVE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// When a token of the integration `id`, issued now for `life`, is due, in whole seconds: `ahead` of its end, or half of a life
/// that is shorter than two of that, and up to a quarter of it earlier, so that what was connected together is not refreshed
/// together.
pub fn due_at(id: &IntegrationId, life: Option<Duration>, ahead: Duration, now: Timestamp) -> Timestamp {
    let at = match life {
        Some(life) => {
            let early = ahead.min(life / 2);
            now + life.saturating_sub(early + early * spread(id) / 1024)
        }
        None => now + KEEP_ALIVE,
    };
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Whether a token is due that has this due time; one without is never due.
pub fn is_due(due_at: Option<Timestamp>, now: Timestamp) -> bool {
    due_at.is_some_and(|at| at <= now)
}

/// A number below 256 that differs between integrations: of an id, which is a hash, the last byte.
fn spread(id: &IntegrationId) -> u32 {
    let id = id.as_str();
    id.get(id.len().saturating_sub(2)..).and_then(|byte| u32::from_str_radix(byte, 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn integration(id: &str) -> IntegrationId {
        IntegrationId::parse(id).unwrap()
    }

    /// What the index of due times compares: whole seconds.
    fn is_swept(due_at: Timestamp, now: Timestamp) -> bool {
        due_at.as_second() <= now.as_second()
    }

    proptest! {
        #[test]
        fn what_a_sweep_finds_due_is_refreshed_by_the_refresher_and_then_not_due(
            id in "int_[0-9a-f]{32}",
            life in proptest::option::of(10..200_000u64),
            ahead in 0..20_000u64,
            now in 1_500_000_000_000..2_000_000_000_000i64,
            later in 0..300_000_000i64,
        ) {
            let (life, ahead) = (life.map(Duration::from_secs), Duration::from_secs(ahead));
            let issued_at = Timestamp::from_millisecond(now).unwrap();
            let due = due_at(&integration(&id), life, ahead, issued_at);
            prop_assert!(!is_swept(due, issued_at) && !is_due(Some(due), issued_at), "due when it was issued");
            let swept_at = issued_at + SignedDuration::from_millis(later);
            prop_assert_eq!(is_swept(due, swept_at), is_due(Some(due), swept_at));
            if is_swept(due, swept_at) {
                let next = due_at(&integration(&id), life, ahead, swept_at);
                prop_assert!(!is_swept(next, swept_at) && !is_due(Some(next), swept_at), "due again at once");
            }
        }

        #[test]
        fn a_token_is_due_before_its_end_by_the_margin_or_half_of_a_short_life_and_a_quarter_more_at_most(
            id in "int_[0-9a-f]{32}",
            life in 10..200_000u64,
            ahead in 0..20_000u64,
        ) {
            let (life, ahead) = (Duration::from_secs(life), Duration::from_secs(ahead));
            let now = Timestamp::UNIX_EPOCH;
            let left = Duration::try_from((now + life).duration_since(due_at(&integration(&id), Some(life), ahead, now))).unwrap();
            let early = ahead.min(life / 2);
            prop_assert!(left >= early && left <= early + early / 4 + Duration::from_secs(1), "{left:?} of {early:?}");
        }
    }

    #[test]
    fn one_without_a_due_time_is_never_due() {
        assert!(!is_due(None, Timestamp::MAX));
    }
}
