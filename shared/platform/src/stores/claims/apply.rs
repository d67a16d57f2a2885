//! Committing the effect of an event: its writes and the proof in the record, in one transaction.
//!
//! *Invariant:* `effects` of a record is 1 exactly if the writes are made, or were left out because newer states are stored.

use std::collections::HashMap;

use domain::ClaimState;

use super::{Claim, ClaimError, Claims};
use crate::stores::{
    item::{n, s},
    records::{Refused, Write},
    table::Update,
};

/// DynamoDB takes 100 items in a transaction; one is the claim's.
const WRITES: usize = 99;

/// What became of the effect of an event.
#[derive(Debug)]
#[must_use]
pub enum Applied {
    /// It is committed.
    Committed,
    /// It is not yet: other states of the same version are stored, and only the provider can tell which is the newer. Once
    /// it is certain that the provider will be asked, these writes are what is left to apply.
    VersionConflict(Vec<Write>),
}

impl Claims {
    /// Commits the effect of an event: all `writes` and the mark that they are applied, or nothing.
    ///
    /// Writes beyond a transaction's limit go ahead in transactions of their own; they are conditional on versions, so
    /// repeating them is harmless.
    pub async fn apply(&self, claim: &Claim, mut writes: Vec<Write>) -> Result<Applied, ClaimError> {
        while writes.len() > WRITES {
            let ahead = writes.split_off(writes.len() - WRITES);
            if let Applied::VersionConflict(rest) = self.transact(ahead, None).await? {
                writes.extend(rest);
                return Ok(Applied::VersionConflict(writes));
            }
        }
        self.transact(writes, Some(claim)).await
    }

    async fn transact(&self, mut writes: Vec<Write>, claim: Option<&Claim>) -> Result<Applied, ClaimError> {
        loop {
            if writes.is_empty() && claim.is_none() {
                return Ok(Applied::Committed);
            }
            let mark = claim.map(|claim| self.mark_applied(claim));
            let all = || writes.iter().map(Write::transact).chain(mark.clone().map(Update::transact)).collect();
            let refused = self.table.transact(all).await?;
            if refused.is_empty() {
                return Ok(Applied::Committed);
            }
            if refused.iter().any(|refusal| refusal.index == writes.len()) {
                return Err(ClaimError::Superseded);
            }
            let mut refused: HashMap<_, _> = refused.into_iter().map(|it| (it.index, it.stored)).collect();
            let (mut left, mut tied) = (Vec::new(), false);
            for (index, write) in writes.into_iter().enumerate() {
                let follows = refused.remove(&index).map(|stored| write.after(&stored.unwrap_or_default()));
                match follows {
                    None => left.push(write),
                    Some(Refused::Again(next)) => left.push(*next),
                    Some(Refused::Settled) => {}
                    Some(Refused::Tie) => tied = true,
                }
            }
            writes = left;
            if tied {
                return Ok(Applied::VersionConflict(writes));
            }
        }
    }

    fn mark_applied(&self, claim: &Claim) -> Update {
        self.record(&claim.key)
            .add("effects :one")
            .held(claim.fence)
            .when("state = :claimed AND effects = :zero")
            .with([(":claimed", s(ClaimState::Claimed.name())), (":zero", n(0)), (":one", n(1))])
    }
}
