//! The idempotency record: which attempt may process an event, and which may no longer.
//!
//! ```text
//!            claim (fence+1)                    complete (fence matches)
//!  absent ───────────────────▶ claimed ─────────────────────────┬────▶ done
//!                              ▲  │                             └────▶ unmatched
//!                              │  │  release (fence matches)
//!           claim (fence+1)    │  ├──────────────▶ retry ─┐
//!                              │  ├──────────────▶ dead  ─┤   claimable again: a redrive is a retry
//!                              │  └─ lease over ──────────┤
//!                              └──────────────────────────┘
//! ```
//! *Invariant:* of two claims of one event the later has the higher fence, and every write of a claimant is conditional
//! on its fence, so a late finisher is refused. `effects` grows in the same transaction as the effect itself, so it is
//! the proof of what was applied: a claim that finds it non-zero must not apply again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fence::Fence;

/// Where the processing of an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimState {
    /// An attempt is processing it, until the lease ends.
    Claimed,
    /// An attempt failed and will be repeated.
    Retry,
    /// Its effect is applied, and it is published.
    Done,
    /// Given up: the message is in the dead-letter queue. A redrive claims it again.
    Dead,
    /// Finished, and genuine, but no integration has its account: published once, without a user, and nothing was applied.
    Unmatched,
}

/// What is known of one event's processing, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct IdempotencyRecord {
    /// What the last write of a claimant said.
    pub state: ClaimState,
    /// Counts claims; only the holder of the current one may write.
    pub fence: Fence,
    /// When the current claim may be taken over.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub lease_until: Timestamp,
    /// How often processing was started.
    pub attempts: u64,
    /// How often the effect was committed: 0 or 1.
    pub effects: u64,
    /// See [`Self::is_of`].
    body_hash: String,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// The answer to a request that may be repeated; none for a delivery.
    pub answer: Option<String>,
}

/// What another attempt may do about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be claimed.
    Claim,
    /// Another attempt holds it until then.
    Busy(Timestamp),
    /// Nothing: it is done.
    Finished,
}

impl ClaimState {
    /// In the order of the diagram above.
    pub const ALL: [Self; 5] = [Self::Claimed, Self::Retry, Self::Done, Self::Dead, Self::Unmatched];

    /// The state that is stored under this name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// The name in the table and in `GET /deliveries`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Retry => "retry",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Unmatched => "unmatched",
        }
    }
}

impl IdempotencyRecord {
    /// Whether this is the SHA-256, in hex, of the first body that was seen under the event's id.
    pub fn is_of(&self, body_hash: &str) -> bool {
        self.body_hash == body_hash
    }

    /// What another attempt may do at `now`. The store's condition expression says the same; a test holds the two together.
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        match self.state {
            ClaimState::Done | ClaimState::Unmatched => Verdict::Finished,
            ClaimState::Claimed if self.lease_until > now => Verdict::Busy(self.lease_until),
            ClaimState::Claimed | ClaimState::Retry | ClaimState::Dead => Verdict::Claim,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finished_and_live_claims_stop_another_attempt() {
        let now = Timestamp::from_second(1000).unwrap();
        let record = |state, lease: i64| IdempotencyRecord {
            state,
            fence: Fence::default(),
            lease_until: Timestamp::from_second(lease).unwrap(),
            attempts: 1,
            effects: 0,
            body_hash: String::new(),
            last_error: None,
            answer: None,
        };
        let live = Timestamp::from_second(1001).unwrap();
        assert_eq!(record(ClaimState::Claimed, 1001).verdict(now), Verdict::Busy(live));
        assert_eq!(record(ClaimState::Claimed, 1000).verdict(now), Verdict::Claim);
        for state in [ClaimState::Done, ClaimState::Unmatched] {
            assert_eq!(record(state, 0).verdict(now), Verdict::Finished);
        }
        for state in [ClaimState::Retry, ClaimState::Dead] {
            assert_eq!(record(state, 2000).verdict(now), Verdict::Claim);
        }
    }
}
