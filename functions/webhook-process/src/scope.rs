//! For whom an event is.

use domain::{Event, message::WebhookMessage};

/// Whose event it is. Event ids are unique within it.
pub(crate) enum Scope<'a> {
    /// Of this account.
    Account(&'a str),
    /// Of this account, told to one integration at its own address: others of the account hear of it at theirs.
    Integration {
        /// Which.
        id: &'a str,
        /// The account.
        account: &'a str,
    },
    /// Of no known account.
    Nobody,
}

impl<'a> Scope<'a> {
    /// Whoever signs with an integration's own secret can speak for this integration only, whatever account they name.
    pub(crate) fn of(message: &'a WebhookMessage<'_>, event: &'a Event<'_>) -> Self {
        let account = message.account.as_deref();
        match (message.integration_id.as_deref(), account) {
            (Some(id), Some(account)) => Self::Integration { id, account },
            (Some(_), None) => Self::Nobody,
            (None, _) => {
                let named = event.account.as_deref().or(account).filter(|account| !account.is_empty());
                named.map_or(Self::Nobody, Self::Account)
            }
        }
    }

    /// Within what the event's id is unique.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Account(account) => account,
            Self::Integration { id, .. } => id,
            Self::Nobody => "-",
        }
    }
}
