//! One user's grant at one provider account.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What identifies an integration: the user, the provider and the provider-side account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IntegrationKey {
    /// The application's user id.
    pub user_id: String,
    /// The provider's id.
    pub provider: String,
    /// The provider's id of the account.
    pub account_id: String,
}

/// The integration record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// What identifies it.
    pub key: IntegrationKey,
    /// The account's name for people.
    pub account_name: String,
    /// Whether calls can be made.
    pub state: State,
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
}

impl Integration {
    /// One that was connected at `at`, of which no scopes are known.
    pub fn connected(key: IntegrationKey, account_name: impl Into<String>, at: Timestamp) -> Self {
        Self {
            key,
            account_name: account_name.into(),
            state: State::Connected,
            connected_at: at,
            granted: Vec::new(),
            missing: Vec::new(),
            problem: None,
            unreadable: false,
        }
    }
}

/// Whether an integration can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In use.
    Connected,
    /// The user must grant access again.
    ReconnectRequired,
    /// Ended by the user.
    Disconnected,
}

impl IntegrationKey {
    /// The key of a user's `provider#account`.
    pub fn parse(user_id: &str, integration: &str) -> Option<Self> {
        let (provider, account_id) = integration.split_once('#')?;
        Some(Self { user_id: user_id.to_owned(), provider: provider.to_owned(), account_id: account_id.to_owned() })
    }

    /// The integration's public id. It follows from the key, so reconnecting an account finds the same integration.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.user_id, &self.provider, &self.account_id] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize()[..16].iter().fold(String::from("int_"), |mut id, byte| {
            // Writing to a String can't fail.
            let _ = write!(id, "{byte:02x}");
            id
        })
    }

    /// The account under its provider, `provider#account`: the sort key of the table, and the routing key of webhooks.
    pub fn account(&self) -> String {
        account(&self.provider, &self.account_id)
    }
}

/// Whether a text could be an integration's id.
pub fn is_integration_id(text: &str) -> bool {
    text.strip_prefix("int_").is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// See [`IntegrationKey::account`].
pub fn account(provider: &str, account_id: &str) -> String {
    format!("{provider}#{account_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_differ_whenever_a_part_does() {
        let id = |user: &str, provider: &str, account: &str| {
            IntegrationKey { user_id: user.into(), provider: provider.into(), account_id: account.into() }.id()
        };
        assert_eq!(id("u", "slack", "T1"), id("u", "slack", "T1"));
        assert!(is_integration_id(&id("u", "slack", "T1")));
        for other in ["", "int_", "int_0", "slack#T1", &format!("int_{}", "g".repeat(32))] {
            assert!(!is_integration_id(other), "{other}");
        }
        assert_ne!(id("u", "slack", "T1"), id("us", "lack", "T1"));
        assert_ne!(id("u", "slack", "T1"), id("u", "slackT", "1"));
    }
}
