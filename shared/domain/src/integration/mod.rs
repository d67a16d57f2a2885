//! One user's grant at one provider account.

pub mod account;
pub mod spell;
pub mod status;

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{call::Mode, integration::spell::Spells};

/// What identifies an integration: the user, the provider, and the account there with its mode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IntegrationKey {
    /// The application's user id.
    pub user_id: String,
    /// The provider's id.
    pub provider: String,
    /// The provider's id of the account, which never changes.
    pub account_id: String,
    /// Which of the account's two worlds it is, where the provider has two: nothing of one is in the other.
    pub mode: Option<Mode>,
}

/// The integration record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// What identifies it.
    pub key: IntegrationKey,
    /// The account's name for people, which can change.
    pub account_name: String,
    /// The account's address, in lower case, where the provider's events name the account by it.
    pub address: Option<String>,
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
    /// Why it can't be used any more, or until when it can be, as a sentence for its user.
    pub problem: Option<String>,
    /// Whether it is out of use because its stored credential could not be opened. The grant may still be good: a later read
    /// that opens the credential puts the integration back in use.
    pub unreadable: bool,
    /// What its user asked for when disconnecting it, until all of that is done.
    pub ending: Option<Ending>,
    /// When its syncs or refreshes failed.
    pub spells: Spells,
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
            spells: Spells::default(),
        }
    }
}

/// Whether an integration can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegrationState {
    /// In use.
    Connected,
    /// The user must grant access again.
    ReconnectRequired,
    /// Ended by the user.
    Disconnected,
}

/// What becomes of the records of an integration that is disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// They stay.
    Keep,
    /// They are erased.
    Erase,
    /// They are erased, and the integration itself is deleted.
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
    pub fn parse(user_id: &str, integration: &str) -> Option<Self> {
        let mut parts = integration.splitn(3, '#');
        let (provider, account_id) = (parts.next()?, parts.next()?);
        let mode = match parts.next() {
            Some(name) => Some(Mode::parse(name)?),
            None => None,
        };
        Some(Self {
            user_id: user_id.to_owned(),
            provider: provider.to_owned(),
            account_id: account_id.to_owned(),
            mode,
        })
    }

    /// The integration's public id. It follows from the key, so reconnecting an account finds the same integration.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        let parts = [&*self.user_id, &*self.provider, &*self.account_id];
        for part in parts.into_iter().chain(self.mode.map(Mode::name)) {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize()[..16].iter().fold(String::from("int_"), |mut id, byte| {
            // Writing to a String can't fail.
            let _ = write!(id, "{byte:02x}");
            id
        })
    }

    /// The account with its mode under its provider, `provider#account` or `provider#account#mode`: the sort key of the table.
    pub fn account(&self) -> String {
        let account = account(&self.provider, &self.account_id);
        self.mode.map_or_else(|| account.clone(), |mode| format!("{account}#{}", mode.name()))
    }
}

/// Whether a text could be an integration's id.
pub fn is_integration_id(text: &str) -> bool {
    text.strip_prefix("int_").is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// An account under its provider, whatever its mode, `provider#account`: the routing key of webhooks.
pub fn account(provider: &str, account_id: &str) -> String {
    format!("{provider}#{account_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_differ_whenever_a_part_does() {
        let id = |user: &str, provider: &str, account: &str| {
            IntegrationKey { user_id: user.into(), provider: provider.into(), account_id: account.into(), mode: None }
                .id()
        };
        assert_eq!(id("u", "slack", "T1"), id("u", "slack", "T1"));
        assert!(is_integration_id(&id("u", "slack", "T1")));
        for other in ["", "int_", "int_0", "slack#T1", &format!("int_{}", "g".repeat(32))] {
            assert!(!is_integration_id(other), "{other}");
        }
        assert_ne!(id("u", "slack", "T1"), id("us", "lack", "T1"));
        assert_ne!(id("u", "slack", "T1"), id("u", "slackT", "1"));
    }

    #[test]
    fn a_key_is_read_as_it_was_written_and_modes_are_different_integrations() {
        let key =
            |mode| IntegrationKey { user_id: "u".into(), provider: "p".into(), account_id: "a:test".into(), mode };
        let keys = [key(None), key(Some(Mode::Live)), key(Some(Mode::Test))];
        for key in &keys {
            assert_eq!(IntegrationKey::parse("u", &key.account()).as_ref(), Some(key));
        }
        assert!(keys[0].id() != keys[1].id() && keys[1].id() != keys[2].id());
        assert_eq!(IntegrationKey::parse("u", "p#a#other"), None);
    }
}
