//! The erasures of users that were asked for.
//!
//! *Invariant:* an item says when an erasure began; which user it is about can be told only with the session key: its name is a keyed hash
//! of the user id (see [`crate::runtime::session::Sessions::pseudonyms`]), so that the record of an erasure keeps no personal data. The
//! items share the table of authorization requests, which expires its items and which only `oauth-callback` reads.

use jiff::{Timestamp, fmt::serde::timestamp::second};
use serde::{Deserialize, Serialize};

use crate::{
    aws::{Aws, AwsError},
    stores::{
        claims,
        item::{key, read, s, write},
        table::Table,
    },
};

/// Sets these items apart from authorization requests, whose keys are hexadecimal.
const PREFIX: &str = "erasure#";

/// The table that holds them.
#[derive(Debug, Clone)]
pub struct Erasures {
    table: Table,
}

#[derive(Debug, Serialize, Deserialize)]
struct Erasure {
    state_hash: String,
    begun_at: Timestamp,
    #[serde(with = "second::required")]
    expires_at: Timestamp,
}

impl Erasures {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { table: Table::new(aws, table) }
    }

    /// Records that the erasure of the user with this pseudonym begins at `now`, in place of an earlier one. It is known as long as
    /// idempotency records are, which may still name what the user's events were about.
    pub async fn begin(&self, pseudonym: &str, now: Timestamp) -> Result<(), AwsError> {
        let state_hash = format!("{PREFIX}{pseudonym}");
        let erasure = Erasure { state_hash, begun_at: now, expires_at: now + claims::RETENTION };
        self.table.put(write(&erasure)?).await
    }

    /// When the latest erasure of a user began, read consistently. A user has a pseudonym for each
    /// session key in force.
    pub async fn begun_at(&self, pseudonyms: &[String], now: Timestamp) -> Result<Option<Timestamp>, AwsError> {
        let mut latest = None;
        for pseudonym in pseudonyms {
            let item = self.table.get(key([("state_hash", s(format!("{PREFIX}{pseudonym}")))])).await?;
            let Some(erasure) = item.map(read::<Erasure>).transpose()? else { continue };
            // DynamoDB deletes expired items within days.
            if erasure.expires_at > now {
                latest = latest.max(Some(erasure.begun_at));
            }
        }
        Ok(latest)
    }
}
