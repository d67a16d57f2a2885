//! Until when a user's browser sessions are ended: those that began later go on.
//!
//! *Invariant:* an item names its user by a keyed hash of the user id (see
//! [`Sessions::pseudonyms`](crate::runtime::session::Sessions::pseudonyms)), and lasts as long as a session that it ends can. The items
//! share the table of idempotency records, which expires its items.

use jiff::{SignedDuration, Timestamp, fmt::serde::timestamp::millisecond};
use serde::Deserialize;

use crate::{
    aws::{Aws, AwsError},
    stores::{
        item::{key, millis, read, s, seconds},
        table::Table,
    },
};

const PREFIX: &str = "session-end#";
/// The longest life of a session: what template.yaml allows for `SessionSeconds`. A session keeps the life that it began with.
const LONGEST: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The table that holds them.
#[derive(Debug, Clone)]
pub struct SessionEnds {
    table: Table,
}

#[derive(Debug, Deserialize)]
struct SessionEnd {
    #[serde(with = "millisecond::required")]
    ended_at: Timestamp,
}

impl SessionEnds {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { table: Table::new(aws, table) }
    }

    /// Ends the sessions that the user with these pseudonyms began until `now`. Each gets an item, so that functions that have not heard
    /// of a new session key find it, too.
    pub async fn end(&self, pseudonyms: &[String], now: Timestamp) -> Result<(), AwsError> {
        for pseudonym in pseudonyms {
            let mut item = item_key(pseudonym);
            item.extend([("ended_at".to_owned(), millis(now)), ("expires_at".to_owned(), seconds(now + LONGEST))]);
            self.table.put(item).await?;
        }
        Ok(())
    }

    /// Until when the sessions of the user are ended, read consistently. A user has a pseudonym for each session key in force.
    pub async fn ended_at(&self, pseudonyms: &[String]) -> Result<Option<Timestamp>, AwsError> {
        let mut latest = None;
        for pseudonym in pseudonyms {
            let item = self.table.get(item_key(pseudonym)).await?.map(read::<SessionEnd>).transpose()?;
            latest = latest.max(item.map(|it| it.ended_at));
        }
        Ok(latest)
    }
}

fn item_key(pseudonym: &str) -> super::item::Item {
    key([("key", s(format!("{PREFIX}{pseudonym}")))])
}
