//! Opening kept messages. `operator-api` does, and no other function.

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Bodies, CONTEXT, Stored, aad};
use crate::{
    aws::{Aws, AwsError, envelope::Vault},
    base::config::Env,
    stores::{
        item::{read, s},
        table,
    },
};

/// Opens kept messages.
#[derive(Debug)]
pub struct BodyReader {
    bodies: Bodies,
    vault: Vault,
}

/// The configuration of a [`BodyReader`].
#[derive(Debug)]
pub struct ReaderConfig {
    table: String,
    prefix: String,
    key: String,
}

impl ReaderConfig {
    /// From the variables of a function.
    pub fn read(env: &mut Env) -> Self {
        Self {
            table: env.text("DELIVERY_BODIES_TABLE"),
            prefix: env.text("RESOURCE_PREFIX"),
            key: env.text("TOKEN_KEY"),
        }
    }
}

/// A message as the queue had it.
#[derive(Debug)]
pub struct KeptMessage {
    /// With the delivery's body.
    pub text: SecretString,
    /// When it is gone.
    pub expires_at: Timestamp,
}

impl BodyReader {
    /// Makes no call.
    pub fn new(aws: &Aws, config: &ReaderConfig) -> Self {
        // Bodies are gone before a key is retired: they are not re-encrypted.
        let vault = Vault::new(aws, &config.key, &config.prefix).without_rewrap();
        Self { bodies: Bodies::new(aws, &config.table), vault }
    }

    /// What is kept under the key of a delivery's record; none if nothing is, if it has expired, or if it does not open any more, which the
    /// log tells.
    pub async fn open(&self, record: &str, now: Timestamp) -> Result<Option<KeptMessage>, AwsError> {
        match self.read(record, now).await {
            Err(error @ (AwsError::Altered | AwsError::DataKey { .. } | AwsError::Malformed(_))) => {
                let (reason, detail) = error.diagnosis().into_parts();
                tracing::error!(reason = reason.name(), detail, "the body of a delivery does not open");
                Ok(None)
            }
            read => read,
        }
    }

    async fn read(&self, record: &str, now: Timestamp) -> Result<Option<KeptMessage>, AwsError> {
        let query = self.bodies.table.query("key = :key", [(":key", s(record))]);
        let items = table::items(query.call().consistent_read(true)).await?;
        let parts = items.into_iter().map(read::<Stored>).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = parts.first() else { return Ok(None) };
        // A write that broke off left parts of an earlier one.
        let whole = parts.get(..first.parts).filter(|parts| parts.iter().all(|part| part.written == first.written));
        let Some(whole) = whole.filter(|_| first.expires_at > now) else { return Ok(None) };
        let mut text = String::new();
        for (number, part) in whole.iter().enumerate() {
            let key = self.vault.open(CONTEXT, &part.data_key, now).await?;
            text.push_str(key.open(&aad(record, number, part.parts, &part.written), &part.sealed)?.expose_secret());
        }
        Ok(Some(KeptMessage { text: text.into(), expires_at: first.expires_at }))
    }
}
