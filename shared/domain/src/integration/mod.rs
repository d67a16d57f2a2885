//! One user's grant at one provider account.

pub mod account;
mod shared_account;
pub mod spell;
pub mod status;
pub mod summary;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::shared_account::SharedAccount;
use crate::{
    call::Mode,
    id::{AccountAddress, AccountId, IntegrationId, NotAnId, ProviderId, UserId},
    integration::{spell::Spells, summary::SyncSummary},
    sentence::Sentence,
    sync::{ReadSince, slot::Rhythm},
};

/// What identifies an integration: the user, the provider, and the account there with its mode.
///
/// In tables and messages it is two texts, `user_id` and `integration`, the second as [`Self::account`] writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct IntegrationKey {
    /// The user of the application that granted access.
    pub user_id: UserId,
    /// The provider of the account.
    pub provider: ProviderId,
    /// The account at the provider.
    pub account_id: AccountId,
    /// Which of the account's two worlds it is, where the provider has two: nothing of one is in the other.
    pub mode: Option<Mode>,
}

/// What is stored of an integration beside its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// The key in the table; the public id follows from it.
    pub key: IntegrationKey,
    /// The account's name for people, which can change.
    pub account_name: String,
    /// The account's address, where the provider's events name the account by it.
    pub address: Option<AccountAddress>,
    /// When the name was last read.
    pub named_at: Timestamp,
    /// Whether calls can be made.
    pub state: IntegrationState,
    /// When it was last connected.
    pub connected_at: Timestamp,
    /// What the user granted.
    pub granted: Vec<String>,
    /// What was asked for and not granted.
    pub missing: Vec<String>,
    /// Why it can't be used any more, or until when it can be, for its user.
    pub problem: Option<Sentence>,
    /// Whether it is out of use because its stored credential could not be opened. The grant may still be good: a later read
    /// that opens the credential puts the integration back in use.
    pub unreadable: bool,
    /// What its user asked for when disconnecting it, until all of that is done.
    pub ending: Option<Ending>,
    /// By when its records were last erased. While they are being erased, and after a crash of that, it is a time to come.
    pub erased_at: Option<Timestamp>,
    /// When its syncs or refreshes failed.
    pub spells: Spells,
    /// Since when its streams have been read whole.
    pub read_since: ReadSince,
    /// What is shown of its syncs; none before the first of them.
    pub sync_summary: Option<SyncSummary>,
    /// When the sync that runs is over at the latest.
    pub syncing_until: Option<Timestamp>,
}

impl Integration {
    /// One that was connected at `at`, of which no scopes are known.
    pub fn connected(key: IntegrationKey, account_name: impl Into<String>, at: Timestamp) -> Self {
        Self {
            key,
            account_name: account_name.into(),
            address: None,
            named_at: at,
            state: IntegrationState::Connected,
            connected_at: at,
            granted: Vec::new(),
            missing: Vec::new(),
            problem: None,
            unreadable: false,
            ending: None,
            erased_at: None,
            spells: Spells::default(),
            read_since: ReadSince::default(),
            sync_summary: None,
            syncing_until: None,
        }
    }
}

/// Whether an integration can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegrationState {
    /// Calls can be made, and syncs and webhooks find it.
    Connected,
    /// The user must grant access again.
    ReconnectRequired,
    /// Ended by the user.
    Disconnected,
}

/// What becomes of the records of an integration that is disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The records stay, until the user connects again or erases them.
    Keep,
    /// The records are deleted.
    Erase,
    /// The records are deleted, and then the integration itself.
    Forget,
}

impl Ending {
    /// Its name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Erase => "erase",
            Self::Forget => "forget",
        }
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Keep, Self::Erase, Self::Forget].into_iter().find(|ending| ending.name() == name)
    }
}

impl IntegrationKey {
    /// The key of a user's `provider#account` or `provider#account#mode`: what [`Self::account`] writes.
    pub fn parse(user_id: &str, integration: &str) -> Result<Self, NotAnId> {
        Self::of_user(UserId::parse(user_id)?, integration)
    }

    /// The same for a user whose id was parsed before.
    pub fn of_user(user_id: UserId, integration: &str) -> Result<Self, NotAnId> {
        let form = NotAnId { kind: "an integration's key", form: "provider#account or provider#account#mode" };
        let mut parts = integration.splitn(3, '#');
        let (provider, account_id) = parts.next().zip(parts.next()).ok_or(form)?;
        let mode = parts.next().map(|name| Mode::parse(name).ok_or(form)).transpose()?;
        let (provider, account_id) = (ProviderId::parse(provider)?, AccountId::parse(account_id)?);
        Ok(Self { user_id, provider, account_id, mode })
    }

    /// The integration's public id. It follows from the key, so reconnecting an account finds the same integration.
    pub fn id(&self) -> IntegrationId {
        let mut hash = Sha256::new();
        let parts = [self.user_id.as_str(), self.provider.as_str(), self.account_id.as_str()];
        for part in parts.into_iter().chain(self.mode.map(Mode::name)) {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        IntegrationId::of_hash(&hash.finalize())
    }

    /// When it is synced by itself: close to the others of its account.
    pub fn rhythm(&self) -> Rhythm {
        Rhythm::of(&self.account(), &self.id())
    }

    /// The account with its mode under its provider, `provider#account` or `provider#account#mode`: the sort key of the table.
    pub fn account(&self) -> String {
        let account = account(&self.provider, &self.account_id);
        self.mode.map_or_else(|| account.clone(), |mode| format!("{account}#{}", mode.name()))
    }
}

#[derive(Serialize, Deserialize)]
struct Form {
    user_id: String,
    integration: String,
}

impl TryFrom<Form> for IntegrationKey {
    type Error = NotAnId;

    fn try_from(form: Form) -> Result<Self, NotAnId> {
        Self::parse(&form.user_id, &form.integration)
    }
}

impl From<IntegrationKey> for Form {
    fn from(key: IntegrationKey) -> Self {
        Self { integration: key.account(), user_id: (&key.user_id).into() }
    }
}

/// An account under its provider, whatever its mode, `provider#account`: the routing key of webhooks.
pub fn account(provider: &ProviderId, account_id: &AccountId) -> String {
    format!("{provider}#{account_id}")
}

/// An account's address under its provider, `provider#address`: the routing key of webhooks that name no id.
pub fn address(provider: &ProviderId, address: &AccountAddress) -> String {
    format!("{provider}#{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_differ_whenever_a_part_does() {
        let id = |user: &str, provider: &str, account: &str| {
            IntegrationKey::parse(user, &format!("{provider}#{account}")).unwrap().id()
        };
        assert_eq!(id("u", "slack", "T1"), id("u", "slack", "T1"));
        assert!(IntegrationId::parse(id("u", "slack", "T1").as_str()).is_ok());
        assert_ne!(id("u", "slack", "T1"), id("us", "lack", "T1"));
        assert_ne!(id("u", "slack", "T1"), id("u", "slackT", "1"));
    }

    #[test]
    fn a_key_is_read_as_it_was_written_and_modes_are_different_integrations() {
        let key = |mode| IntegrationKey { mode, ..IntegrationKey::parse("u", "p#a:test").unwrap() };
        let keys = [key(None), key(Some(Mode::Live)), key(Some(Mode::Test))];
        for key in &keys {
            assert_eq!(IntegrationKey::parse("u", &key.account()).as_ref(), Ok(key));
            let json = serde_json::to_string(key).unwrap();
            assert_eq!(json, format!(r#"{{"user_id":"u","integration":"{}"}}"#, key.account()));
            assert_eq!(&serde_json::from_str::<IntegrationKey>(&json).unwrap(), key);
        }
        assert!(keys[0].id() != keys[1].id() && keys[1].id() != keys[2].id());
        for (user, integration) in
            [("u", "p#a#other"), ("u", "p"), ("u", "p#"), ("u", "#a"), ("", "p#a"), ("u", "p#a b")]
        {
            assert!(IntegrationKey::parse(user, integration).is_err(), "{integration}");
        }
    }
}
