//! What people and programs see of an integration's state.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    id::{IntegrationId, ProviderId},
    integration::{Ending, Integration, IntegrationState, account::Account, spell::Spell},
    sentence::Sentence,
};

/// The status of one provider for one user, as the contract's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The provider's id, as in `GET /integrations/{provider}`.
    pub provider: &'static ProviderId,
    /// The provider's name for people.
    pub name: &'static str,
    /// The integration, if there ever was one.
    pub integration_id: Option<IntegrationId>,
    /// The account, if there ever was one.
    pub account: Option<Account>,
    /// Whether calls can be made.
    pub connected: bool,
    /// The state in one word.
    pub state: Connection,
    /// What its user asked for when disconnecting it, while not all of that is done.
    #[serde(skip)]
    pub ending: Option<Ending>,
    /// When a sync last ended: one that broke off does not count.
    pub last_sync: Option<Timestamp>,
    /// Whether a sync is running.
    pub sync_in_progress: bool,
    /// What is wrong.
    pub error: Option<Sentence>,
    /// Since when syncs or refreshes fail; none while they work.
    pub degraded: Option<Degraded>,
    /// What the user granted.
    pub scopes: Scopes,
    /// The kinds of records kept.
    pub streams: Vec<StreamStatus>,
    /// How much of what the provider could report is watched; none where nothing is.
    pub watching: Option<Watching>,
}

/// How much is watched: the rest is synced by schedule alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Watching {
    /// Those that the provider reports changes of.
    pub active: usize,
    /// What the provider could report changes of.
    pub of: usize,
}

/// A spell in which syncs or refreshes fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Degraded {
    /// The time of the first failure.
    pub since: Timestamp,
    /// What failed first.
    pub message: Sentence,
    /// When the next attempt was to come after that.
    pub next_try: Option<Timestamp>,
}

/// The state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// Calls can be made.
    Connected,
    /// The user must grant access again.
    ReconnectRequired,
    /// Ended by the user.
    Disconnected,
    /// There never was an integration.
    NeverConnected,
}

/// What the user granted of what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Scopes {
    /// What the provider says that the user allowed.
    pub granted: Vec<String>,
    /// Asked for and not granted.
    pub missing: Vec<String>,
}

/// One kind of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    pub name: &'static str,
    /// How many records there are, without deleted ones.
    pub records: u64,
    /// When a full sync last finished.
    pub last_full_sync: Option<Timestamp>,
    /// When an incremental sync last finished.
    pub last_incremental_sync: Option<Timestamp>,
    /// Why it was not read to its end the last time.
    pub error: Option<Sentence>,
    /// When it is tried again by itself.
    pub next_try: Option<Timestamp>,
}

impl Status {
    /// The status of a provider, with the user's integration if there is one.
    pub fn new(provider: &'static ProviderId, name: &'static str, integration: Option<&Integration>) -> Self {
        let state = match integration.map(|it| it.state) {
            None => Connection::NeverConnected,
            Some(IntegrationState::Connected) => Connection::Connected,
            Some(IntegrationState::ReconnectRequired) => Connection::ReconnectRequired,
            Some(IntegrationState::Disconnected) => Connection::Disconnected,
        };
        let current = integration.and_then(|it| it.spells.current.clone()).filter(|_| state == Connection::Connected);
        let degraded = current.map(|Spell { since, failure, .. }| Degraded {
            since,
            message: failure.message,
            next_try: failure.next_try,
        });
        Self {
            degraded,
            provider,
            name,
            integration_id: integration.map(|it| it.key.id()),
            account: integration.map(Account::of),
            connected: state == Connection::Connected,
            state,
            ending: integration.and_then(|it| it.ending),
            last_sync: None,
            sync_in_progress: false,
            error: None,
            scopes: Scopes::default(),
            streams: Vec::new(),
            watching: None,
        }
    }
}

impl Status {
    /// Whether its records were to stay when its user disconnected it.
    pub const fn keeps_records(&self) -> bool {
        matches!(self.ending, Some(Ending::Keep))
    }

    /// Whether there is something that its user can end.
    pub const fn needs_end(&self) -> bool {
        self.ending.is_some() || matches!(self.state, Connection::Connected | Connection::ReconnectRequired)
    }
}

/// How a provider's API did in the last 24 hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceHealth {
    /// The provider's id, as in `GET /health/{provider}`.
    pub service: &'static ProviderId,
    /// Calls that were sent, each attempt counted.
    pub calls: u64,
    /// Those that failed by the provider's doing.
    pub failures: u64,
    /// When one last worked.
    pub last_success: Option<Timestamp>,
    /// When one last failed.
    pub last_failure: Option<Timestamp>,
}

impl ServiceHealth {
    /// The share of calls that failed; none without calls.
    #[expect(clippy::cast_precision_loss, reason = "a share of counts far below 2^52")]
    pub fn error_rate(&self) -> Option<f64> {
        (self.calls > 0).then(|| self.failures as f64 / self.calls as f64)
    }

    /// `idle`, `healthy`, `degraded` from 1 % of failures on, or `down` from 10 %.
    pub fn words(&self) -> &'static str {
        match self.error_rate() {
            None => "idle",
            Some(rate) if rate < 0.01 => "healthy",
            Some(rate) if rate < 0.10 => "degraded",
            Some(_) => "down",
        }
    }
}

impl Connection {
    /// The words on the status page's badge.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Connected => "Connected",
            Self::ReconnectRequired => "Reconnect needed",
            Self::Disconnected => "Disconnected",
            Self::NeverConnected => "Not connected",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SLACK: ProviderId = ProviderId::of_data("slack");

    #[test]
    fn a_service_without_calls_is_idle_and_has_no_rate() {
        let health = |calls, failures| ServiceHealth {
            service: &SLACK,
            calls,
            failures,
            last_success: None,
            last_failure: None,
        };
        assert_eq!((health(0, 0).words(), health(0, 0).error_rate()), ("idle", None));
        let words = [(1000, 0), (1000, 9), (1000, 10), (1000, 99), (1000, 100), (1, 1)];
        let words = words.map(|(calls, failures)| health(calls, failures).words());
        assert_eq!(words, ["healthy", "healthy", "degraded", "degraded", "down", "down"]);
    }
}
