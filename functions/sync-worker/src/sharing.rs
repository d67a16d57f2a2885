//! What a sync knows of the other integrations of its account, with which it shares a reading.

use std::sync::Mutex;

use domain::{
    Candidate, Integration, integration::SharedAccount, messages::message::SyncMessage, sync::sharing::Readings,
};
use jiff::Timestamp;
use providers::StreamSpec;
use tokio::sync::OnceCell;

/// What a sync knows of the other integrations of its account.
#[derive(Debug)]
pub(crate) struct Sharing {
    /// None if nothing is shared.
    pub(crate) account: Option<SharedAccount>,
    /// Since when a reading must have begun to be copied; none if the sync has to read for itself.
    since: Option<Timestamp>,
    /// The others of the account and the scopes, as an index has them.
    pub(crate) others: OnceCell<Vec<Candidate>>,
    /// The account's lease, while this sync has it.
    pub(crate) held: Mutex<Option<Held>>,
}

/// The lease of an account.
#[derive(Debug)]
pub(crate) struct Held {
    /// The last reading of each stream.
    pub(crate) readings: Readings,
    pub(crate) until: Timestamp,
}

impl Sharing {
    pub(crate) fn of(message: &SyncMessage, integration: &Integration) -> Self {
        Self {
            account: SharedAccount::of(&integration.key, &integration.granted),
            since: message.fresh_since(integration.connected_at),
            others: OnceCell::new(),
            held: Mutex::default(),
        }
    }

    /// Since when a reading must have begun to be copied; none if the sync has to read for itself.
    pub(crate) const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// The account, and since when a reading of this stream must have begun; none if it is not to be shared.
    pub(crate) fn of_stream(&self, stream: &StreamSpec) -> Option<(&SharedAccount, Timestamp)> {
        stream.shared_by?;
        self.account.as_ref().zip(self.since)
    }
}
