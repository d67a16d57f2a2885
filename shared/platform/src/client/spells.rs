//! Announces to the application when an integration's syncs or refreshes begin to fail, and when they work again.
//!
//! *Invariant:* a notice is stored before it is published, by a write that only one of several processes wins, and is taken
//! off the item after the bus has it: a crash between publishes it again, under the same id.

use domain::{
    Integration, IntegrationKey,
    integration::{
        IntegrationState,
        spell::{Notice, Spells, Task, Turn},
    },
    provider_api::ProviderApi,
    sync::outcome::SyncFailure,
};
use jiff::Timestamp;
use serde_json::json;

use crate::{aws::AwsError, base::clock, client::grants::Grants};

/// How often a write is tried again where another process was faster.
const MAX_RACES: usize = 4;

impl Grants {
    /// Records how `task` of an integration ended. `seen` is the integration as it was read when the task began: an outcome that
    /// changes nothing costs no call.
    pub async fn report(
        &self,
        provider: &ProviderApi,
        seen: &Integration,
        task: Task,
        outcome: &Result<(), SyncFailure>,
    ) -> Result<(), AwsError> {
        let now = clock::now();
        let quiet = seen.spells.unpublished.is_empty() && (seen.spells.current.is_none() || outcome.is_err());
        if quiet && seen.spells.after(task, outcome, now).is_none() {
            return Ok(());
        }
        for _ in 0..MAX_RACES {
            let found = self.integrations.get(&seen.key).await?;
            // Another grant starts over, and the end of one has an event of its own.
            let same =
                |it: &Integration| it.state == IntegrationState::Connected && it.connected_at == seen.connected_at;
            let Some(found) = found.filter(same) else { return Ok(()) };
            let next = self.spells_after(provider, &found, task, outcome, now).await?;
            if next != found.spells && !self.integrations.set_spells(&found, &next).await? {
                continue;
            }
            for notice in &next.unpublished {
                self.publish(&found, notice).await?;
            }
            if !next.unpublished.is_empty() {
                let announced = Integration { spells: next.clone(), ..found };
                // If another process was faster, it publishes the same again under the same id.
                self.integrations.set_spells(&announced, &next.without_notice()).await?;
            }
            return Ok(());
        }
        Ok(())
    }

    async fn spells_after(
        &self,
        provider: &ProviderApi,
        found: &Integration,
        task: Task,
        outcome: &Result<(), SyncFailure>,
        now: Timestamp,
    ) -> Result<Spells, AwsError> {
        let next = found.spells.after(task, outcome, now).unwrap_or_else(|| found.spells.clone());
        // A call refreshes a token too, and then no sweep finds it for long.
        let refreshed = task == Task::Syncs
            && outcome.is_ok()
            && next.is_failing(Task::Refreshes)
            && self.refreshes_work(provider, &found.key, now).await?;
        Ok(next.after(Task::Refreshes, &Ok(()), now).filter(|_| refreshed).unwrap_or(next))
    }

    async fn refreshes_work(
        &self,
        provider: &ProviderApi,
        key: &IntegrationKey,
        now: Timestamp,
    ) -> Result<bool, AwsError> {
        let found = self.credentials.get(&key.id(), provider.credential, now).await?;
        Ok(found.is_some_and(|credential| credential.failures == 0))
    }

    async fn publish(&self, integration: &Integration, notice: &Notice) -> Result<(), AwsError> {
        let (kind, key) = (notice.turn.name(), &integration.key);
        let id = format!("{}:{kind}:{}:{}", key.id(), integration.connected_at.as_millisecond(), notice.number);
        let data = match &notice.turn {
            Turn::Degraded(failure) => json!({ "message": failure.message, "next_try": failure.next_try }),
            Turn::Recovered(since) => json!({ "since": since }),
        };
        self.bus.announce(kind, &id, key, notice.at, &data).await
    }
}
