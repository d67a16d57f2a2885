//! Committing the effect of an event: its writes and the proof in the record, in one transaction.
//!
//! *Invariant:* `effects` of a record is 1 exactly if the writes are made, or were left out because newer states are stored.

use domain::ClaimState;

use super::{Claim, ClaimError, Claims};
use crate::{
    aws::AwsError,
    stores::{
        item::{Item, n, s},
        table::Update,
    },
};

/// DynamoDB takes 100 items in a transaction; one is the claim's.
const WRITES: usize = 99;

/// A conditional write that is committed together with the claim. A refused one (a newer state is stored) is left out.
#[derive(Debug, Clone)]
pub struct Write(pub(crate) Update);

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

impl Write {
    /// Whether the stored record has the same version and other data, and neither is an end.
    fn ties(&self, stored: Option<&Item>) -> bool {
        let Some(stored) = stored else { return false };
        let same = |name: &str, value: &str| stored.get(name) == self.0.value(value);
        let ends = self.0.value(":deleted").is_none_or(|it| it.as_bool() != Ok(&false));
        !ends && same("deleted", ":deleted") && same("version", ":version") && !same("data", ":data")
    }
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
            let updates = writes.iter().map(|write| write.0.clone()).chain(claim.map(|claim| self.mark_applied(claim)));
            let all: Vec<_> = updates.map(Update::transact).collect::<Result<_, AwsError>>()?;
            if all.is_empty() {
                return Ok(Applied::Committed);
            }
            let refused = self.table.transact(all).await?;
            if refused.is_empty() {
                return Ok(Applied::Committed);
            }
            if refused.iter().any(|refusal| refusal.index == writes.len()) {
                return Err(ClaimError::Superseded);
            }
            let ties = |write: &Write, index| {
                refused.iter().any(|refusal| refusal.index == index && write.ties(refusal.stored.as_ref()))
            };
            let tied = writes.iter().enumerate().any(|(index, write)| ties(write, index));
            let mut index = 0..;
            writes.retain(|_| index.next().is_none_or(|index| refused.iter().all(|refusal| refusal.index != index)));
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
