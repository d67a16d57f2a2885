//! What people and programs see of an integration's state.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    id::{IntegrationId, ProviderId},
    integration::{
        Ending, Integration, IntegrationState,
        account::Account,
        spell::Spell,
        summary::{StreamSummary, Watching},
    },
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
    /// How many records there are, without deleted ones: see [`StreamState::records`](crate::sync::stream::StreamState::records).
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
    /// The status of a provider with these streams at `now`, with the user's integration if there is one.
    pub fn new(
        (provider, name): (&'static ProviderId, &'static str),
        streams: impl IntoIterator<Item = &'static str>,
        integration: Option<&Integration>,
        now: Timestamp,
    ) -> Self {
        let mut status = Self {
            provider,
            name,
            integration_id: None,
            account: None,
            connected: false,
            state: Connection::NeverConnected,
            ending: None,
            last_sync: None,
            sync_in_progress: false,
            error: None,
            degraded: None,
            scopes: Scopes::default(),
            streams: Vec::new(),
            watching: None,
        };
        let Some(integration) = integration else { return status };
        status.integration_id = Some(integration.key.id());
        status.account = Some(Account::of(integration));
        status.scopes = Scopes { granted: integration.granted.clone(), missing: integration.missing.clone() };
        status.error.clone_from(&integration.problem);
        status.ending = integration.ending;
        status.state = match integration.state {
            IntegrationState::Connected => Connection::Connected,
            IntegrationState::ReconnectRequired => Connection::ReconnectRequired,
            IntegrationState::Disconnected => Connection::Disconnected,
        };
        status.connected = status.state == Connection::Connected;
        if status.state == Connection::Disconnected {
            let unfinished =
                || format!("Disconnecting {name} did not finish. Disconnect it again to finish it.").into();
            status.error = status.ending.map(|_| unfinished()).or(status.error);
            return status;
        }
        status.show_syncs(streams, integration, now);
        status
    }

    fn show_syncs(
        &mut self,
        streams: impl IntoIterator<Item = &'static str>,
        integration: &Integration,
        now: Timestamp,
    ) {
        let connected = self.connected;
        let current = integration.spells.current.clone().filter(|_| connected);
        self.degraded = current.map(|Spell { since, failure, .. }| Degraded {
            since,
            message: failure.message,
            next_try: failure.next_try,
        });
        self.sync_in_progress = connected && integration.syncing_until.is_some_and(|until| until > now);
        let mut summary = integration.sync_summary.clone().map(|it| it.under(integration.connected_at));
        let mut of_stream = |name| summary.as_mut().and_then(|it| it.streams.remove(name)).unwrap_or_default();
        for name in streams {
            let StreamSummary { records, last_full_sync, last_incremental_sync, error, next_try } = of_stream(name);
            // Nothing is tried without a grant; what is due is tried by the next sync.
            let next_try = next_try.filter(|_| connected).map(|at| at.max(now));
            self.streams.push(StreamStatus { name, records, last_full_sync, last_incremental_sync, error, next_try });
        }
        if let Some(summary) = summary {
            self.last_sync = summary.last_sync;
            self.error = self.error.take().or(summary.error);
            self.watching = summary.watching.filter(|_| connected);
        }
    }

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
    use crate::integration::{IntegrationKey, summary::SyncSummary};

    static SLACK: ProviderId = ProviderId::of_data("slack");

    #[test]
    fn a_sync_in_progress_ends_by_itself_and_next_tries_are_of_connected_integrations_and_never_over() {
        use IntegrationState::{Connected, Disconnected, ReconnectRequired};
        let at = |second| Timestamp::from_second(second).unwrap();
        let users = StreamSummary { records: 3, next_try: Some(at(20)), ..StreamSummary::default() };
        let streams = [("users".to_owned(), users), ("former".to_owned(), StreamSummary::default())].into();
        let watching = Some(Watching { active: 1, of: 2 });
        let connected_at = at(5);
        let summary = SyncSummary { connected_at, last_sync: Some(at(9)), error: None, streams, watching };
        let key = IntegrationKey::parse("u", "slack#T1").unwrap();
        let connected = Integration {
            sync_summary: Some(summary),
            syncing_until: Some(at(30)),
            ..Integration::connected(key, "Team", connected_at)
        };
        let of = |state, second| {
            let integration = Integration { state, ..connected.clone() };
            Status::new((&SLACK, "Slack"), ["channels", "users"], Some(&integration), at(second))
        };
        for (state, second, in_progress, next_try) in [
            (Connected, 10, true, Some(20)),
            (Connected, 25, true, Some(25)),
            (Connected, 30, false, Some(30)),
            (ReconnectRequired, 10, false, None),
        ] {
            let status = of(state, second);
            assert_eq!(status.sync_in_progress, in_progress, "{state:?} {second}");
            let streams: Vec<_> = status.streams.iter().map(|it| (it.name, it.records)).collect();
            assert_eq!(streams, [("channels", 0), ("users", 3)], "those that the provider has");
            assert_eq!(status.streams[1].next_try, next_try.map(at), "{state:?} {second}");
            assert_eq!(status.watching, watching.filter(|_| state == Connected));
            assert_eq!(status.last_sync, Some(at(9)));
        }
        let ended = of(Disconnected, 10);
        assert!(ended.streams.is_empty() && ended.last_sync.is_none() && !ended.sync_in_progress, "{ended:?}");
    }

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
