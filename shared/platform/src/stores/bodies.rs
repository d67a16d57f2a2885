//! Kept messages of deliveries that failed, so that an operator can read and replay them.
//!
//! *Invariant:* what is stored is ciphertext under a data key of KMS with a purpose of its own: a role that may decrypt bodies
//! opens no credential, and `webhook-process`, which keeps them, opens none of them. Each item expires by itself.
//!
//! A message may be larger than an item of DynamoDB (400 KB), so it is stored in parts. Those of one write carry the same random
//! number: parts of two writes are no message.

mod keep;
mod open;

use domain::{IntegrationKey, webhook::event};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    keep::{BodyKeeper, BodyPolicy, KeeperConfig},
    open::{BodyReader, KeptMessage, ReaderConfig},
};
use crate::{
    aws::{Aws, AwsError, envelope::Context},
    stores::{
        item::{key, n, number, s, text},
        table::{self, Table},
    },
};

/// The most of a message in one part, in bytes: with the other attributes less than the 400 KB that an item may have
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>, read 2026-11).
const PART: usize = 380_000;
/// What the data keys of bodies are bound to.
const CONTEXT: Context<'static> = Context::Stack { purpose: "delivery_body" };

/// The table of bodies.
#[derive(Debug, Clone)]
pub struct Bodies {
    table: Table,
}

/// A part of a message.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// The key of the delivery's idempotency record.
    key: String,
    /// Counts from 0.
    part: usize,
    parts: usize,
    /// Drawn for each write.
    written: String,
    /// Under which an erasure finds it: see [`owner`].
    owner: String,
    #[serde(with = "serde_bytes")]
    data_key: Vec<u8>,
    #[serde(with = "serde_bytes")]
    sealed: Vec<u8>,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    expires_at: Timestamp,
}

impl Bodies {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { table: Table::new(aws, table) }
    }

    /// Deletes what is kept of a delivery.
    pub async fn delete(&self, record: &str) -> Result<(), AwsError> {
        let query = self.table.query("key = :key", [(":key", s(record))]).project("key, part");
        for item in table::items(query.call().consistent_read(true)).await? {
            self.delete_part(record, number(&item, "part")?).await?;
        }
        Ok(())
    }

    /// Deletes what is kept of deliveries for the account of an integration, other users' too: by the account, by the
    /// integration's own endpoint, and by the address under which the provider names the account.
    pub async fn erase(&self, integration: &IntegrationKey, address: Option<&str>) -> Result<(), AwsError> {
        let id = integration.id();
        for scope in [Some(integration.account_id.as_str()), Some(id.as_str()), address].into_iter().flatten() {
            let owner = format!("{}#{scope}", integration.provider);
            let query = self.table.query("owner = :owner", [(":owner", s(owner))]);
            for item in table::items(query.call().index_name("by_owner")).await? {
                self.delete_part(text(&item, "key")?, number(&item, "part")?).await?;
            }
        }
        Ok(())
    }

    async fn delete_part(&self, record: &str, part: u32) -> Result<(), AwsError> {
        self.table.delete(key([("key", s(record)), ("part", n(part))])).await
    }
}

/// Provider and scope of a record's key: whose delivery it is.
fn owner(record: &str) -> String {
    let (provider, scope, _) = event::parts(record).unwrap_or(("-", "-", None));
    format!("{provider}#{scope}")
}

/// What a ciphertext is bound to beside its data key.
fn aad(record: &str, part: usize, parts: usize, written: &str) -> String {
    format!("delivery-bodies|{record}|{part}|{parts}|{written}")
}
