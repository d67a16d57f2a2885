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
    /// Sends what is due, shard by shard, as far as the time goes. What is left is due at the next sweep, which begins with
    /// another shard. A shard that fails stops no other.
    pub(crate) async fn sweep(&self, deadline: Timestamp) -> Result<usize, AwsError> {
        let (mut sent, mut failed) = (0, Ok(()));
        let began_at = clock::now();
        let first = u32::try_from(began_at.as_second() / SWEEP).unwrap_or_default();
        for shard in (0..SHARDS).map(|step| (first % SHARDS + step) % SHARDS) {
            let now = clock::now();
            if now + RESERVE >= deadline {
                tracing::warn!(sent, "the rest waits for the next sweep");
                break;
            }
            match self.shard(shard, now).await {
                Ok(count) => sent += count,
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed.map(|()| sent)
    }

    /// Sends what is due in one shard. An item that can't be read stops no other.
    async fn shard(&self, shard: u32, now: Timestamp) -> Result<usize, AwsError> {
        let due = self.due.shard(shard, Some(now)).await?;
        let (mut messages, mut failed) = (Vec::new(), Ok(()));
        for key in due.keys {
            match message(key) {
                Ok(message) => messages.push(message),
                Err(error) => failed = Err(error),
            }
        }
        let count = messages.len();
        self.refreshes.send_all(&messages).await?;
        failed.map(|()| count)
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
    Ok(QueueMessage { body, tenant })
}
