//! Taking an integration out of use and back: each arrow between its states is one conditional update.

use domain::{
    Integration, IntegrationKey,
    integration::{Ending, IntegrationState, account},
    sync::slot::slot,
};
use jiff::Timestamp;

use super::{Integrations, state, stored};
use crate::{
    aws::AwsError,
    stores::{
        due::shard,
        item::{flag, n, s, seconds, time},
    },
};

/// The attributes of the indexes.
const INDEXES: &str = "account, address, due_shard, due_at, watch_shard, watch_due_at";

impl Integrations {
    /// Takes an integration out of use because its grant is over, with this sentence for its user. Whether it was in use.
    ///
    /// `at` is when the grant ended: one that was connected later is another grant, and stays.
    pub async fn end(&self, key: &IntegrationKey, problem: &str, at: Timestamp) -> Result<bool, AwsError> {
        let update = self
            .update(key)
            .set("state = :required, problem = :problem")
            .remove(INDEXES)
            // Ending what the user ended already would make it look like the provider's doing.
            .when("connected_at <= :at AND state = :connected")
            .with([
                (":at", time(at)),
                (":required", state(IntegrationState::ReconnectRequired)),
                (":connected", state(IntegrationState::Connected)),
                (":problem", s(problem)),
            ]);
        Ok(update.send_once().await?.is_written())
    }

    /// Takes an integration out of use because its user disconnects it, and marks what is to be done. Whether there is one that
    /// was connected before `at`. Repeating it is harmless; the latest wish counts.
    pub async fn disconnect(&self, key: &IntegrationKey, ending: Ending, at: Timestamp) -> Result<bool, AwsError> {
        let update = self
            .update(key)
            .set("state = :disconnected, ending = :ending")
            .remove("problem, unreadable, sync_summary, syncing_until, full_until")
            .remove(INDEXES)
            .when("connected_at <= :at")
            .with([
                (":at", time(at)),
                (":disconnected", state(IntegrationState::Disconnected)),
                (":ending", s(ending.name())),
            ]);
        Ok(update.send_once().await?.is_written())
    }

    /// Takes the mark off: all that was to be done is done. One that was put there by another wish stays.
    pub async fn disconnected(&self, key: &IntegrationKey, ending: Ending) -> Result<(), AwsError> {
        let update = self.update(key).remove("ending").when("ending = :ending");
        update.with([(":ending", s(ending.name()))]).send_once().await.map(|_| ())
    }

    /// Takes an integration out of use because its stored credential can't be opened, with this sentence for its user. Whether it
    /// was in use.
    pub async fn set_aside(&self, integration: &Integration, problem: &str) -> Result<bool, AwsError> {
        let update = self
            .update(&integration.key)
            .set("state = :required, problem = :problem, unreadable = :true")
            .remove(INDEXES)
            // One that was connected again meanwhile has another credential.
            .when("state = :connected AND connected_at = :connected_at")
            .with([
                (":connected_at", time(integration.connected_at)),
                (":required", state(IntegrationState::ReconnectRequired)),
                (":connected", state(IntegrationState::Connected)),
                (":problem", s(problem)),
                (":true", flag(true)),
            ]);
        Ok(update.send_once().await?.is_written())
    }

    /// Puts an integration that was set aside back in use: its credential opens again. It is due at its first slot from `due_at` on.
    /// Whether it was set aside.
    pub async fn restore(&self, integration: &Integration, due_at: Timestamp) -> Result<bool, AwsError> {
        let key = &integration.key;
        let mut update = self
            .update(key)
            .set("state = :connected, account = :account, due_shard = :shard, due_at = :at")
            .remove("problem, unreadable")
            .when("state = :required AND unreadable = :true")
            .with([
                (":required", state(IntegrationState::ReconnectRequired)),
                (":connected", state(IntegrationState::Connected)),
                (":account", s(account(&key.provider, &key.account_id))),
                (":shard", n(shard(&key.id()))),
                (":at", seconds(slot(key.rhythm(), due_at))),
                (":true", flag(true)),
            ]);
        if let Some(address) = stored::address(integration) {
            update = update.set("address = :address").with([(":address", s(address))]);
        }
        Ok(update.send_once().await?.is_written())
    }
}
