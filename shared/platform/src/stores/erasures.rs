//! The erasures of users that were asked for.
//!
//! *Invariant:* an item says when an erasure began; which user it is about can be told only with the session key: its name is a keyed hash
//! of the user id (see [`crate::runtime::session::Sessions::pseudonyms`]), so that the record of an erasure keeps no personal data. The
//! items share the table of OAuth transactions, which expires its items and which only `oauth-callback` reads.

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;

use crate::{
    aws::{Aws, AwsError, client},
    stores::{
        claims,
        item::{n, number, s, time},
    },
};

/// Sets these items apart from transactions, whose keys are hexadecimal.
const PREFIX: &str = "erasure#";

/// The table that holds them.
#[derive(Debug, Clone)]
pub struct Erasures {
    client: Client,
    table: String,
}

impl Erasures {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { client: client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB"), table: table.into() }
    }

    /// Records that the erasure of the user with this pseudonym begins at `now`, in place of an earlier one. It is known as long as
    /// idempotency records are, which may still name what the user's events were about.
    pub async fn begin(&self, pseudonym: &str, now: Timestamp) -> Result<(), AwsError> {
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("state_hash", s(format!("{PREFIX}{pseudonym}")))
            .item("begun_at", s(now.to_string()))
            .item("expires_at", n((now + claims::RETENTION).as_second()));
        call.send().await.map_err(|error| AwsError::new("dynamodb:PutItem", error))?;
        Ok(())
    }

    /// When the latest erasure of a user began, read consistently. A user has a pseudonym for each
    /// session key in force.
    pub async fn begun_at(&self, pseudonyms: &[String], now: Timestamp) -> Result<Option<Timestamp>, AwsError> {
        let mut latest = None;
        for pseudonym in pseudonyms {
            let call = self.client.get_item().table_name(&self.table).consistent_read(true);
            let call = call.key("state_hash", s(format!("{PREFIX}{pseudonym}")));
            let output = call.send().await.map_err(|error| AwsError::new("dynamodb:GetItem", error))?;
            let Some(item) = output.item() else { continue };
            // DynamoDB deletes expired items within days.
            if number::<i64>(item, "expires_at")? > now.as_second() {
                latest = latest.max(Some(time(item, "begun_at")?));
            }
        }
        Ok(latest)
    }
}
