//! The sweep: a message for each credential that is due.
//!
//! *Invariant:* a sweep reads keys only, and costs what is due, not what exists.

use std::time::Duration;

use domain::{
    CredentialName, IntegrationId,
    messages::message::{EnvelopeVersion, RefreshMessage},
};
use jiff::Timestamp;
use platform::{
    AwsError,
    aws::queue::{QueueMessage, group},
    base::clock,
    stores::due::SHARDS,
};

use crate::TokenRefresh;

/// The time between two sweeps, in seconds: the schedule's.
const SWEEP: i64 = 300;
/// Time reserved before the deadline, in which a sweep reads no further shard.
const RESERVE: Duration = Duration::from_secs(5);
impl TokenRefresh {
    /// Sends what is due, shard by shard and page by page, as far as the time goes. What is left is due at the next sweep, which begins
    /// with another shard. A shard that fails stops no other.
    pub(crate) async fn sweep(&self, deadline: Timestamp) -> Result<usize, AwsError> {
        let (mut sent, mut failed) = (0, Ok(()));
        let began_at = clock::now();
        let first = u32::try_from(began_at.as_second() / SWEEP).unwrap_or_default();
        for shard in (0..SHARDS).map(|step| (first % SHARDS + step) % SHARDS) {
            if clock::now() + RESERVE >= deadline {
                tracing::warn!(sent, "the rest waits for the next sweep");
                break;
            }
            if let Err(error) = self.shard(shard, began_at, deadline, &mut sent).await {
                failed = failed.and(Err(error));
            }
        }
        failed.map(|()| sent)
    }

    /// Sends what is due in one shard. An item that can't be read stops no other.
    async fn shard(
        &self,
        shard: u32,
        began_at: Timestamp,
        deadline: Timestamp,
        sent: &mut usize,
    ) -> Result<(), AwsError> {
        let (mut after, mut failed) = (None, Ok(()));
        loop {
            let page = self.due.page(shard, began_at, after.as_ref()).await?;
            after = page.entries.last().cloned();
            let mut messages = Vec::new();
            for entry in page.entries {
                match message(entry.key) {
                    Ok(message) => messages.push(message),
                    Err(error) => failed = Err(error),
                }
            }
            self.refreshes.send_all(&messages).await?;
            *sent += messages.len();
            if !page.more || clock::now() + RESERVE >= deadline {
                return failed;
            }
        }
    }
}

/// The body and the message group for a key of the index.
fn message([integration_id, credential]: [String; 2]) -> Result<QueueMessage, AwsError> {
    let malformed = |name: &str| AwsError::Malformed(name.to_owned());
    let integration_id = IntegrationId::parse(integration_id).map_err(|_| malformed("integration_id"))?;
    let credential = CredentialName::parse(credential).map_err(|_| malformed("credential"))?;
    let tenant = group(integration_id.as_str());
    let message = RefreshMessage { v: EnvelopeVersion, integration_id, credential };
    let body = serde_json::to_string(&message).map_err(|error| AwsError::unwritable("message", error))?;
    Ok(QueueMessage { body, tenant, delay: Duration::ZERO })
}
