//! Readings of an account that several integrations share.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::id::UserId;

/// By how much a reading may have begun before the slot that it serves: the slots of an account's integrations are a little apart, and so
/// are the clocks of functions.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(3);

/// A reading of a stream that came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Whose integration of the account read.
    pub user_id: UserId,
    /// When it began.
    pub since: Timestamp,
}

/// The last reading of each stream of an account, by the stream's name.
pub type Readings = BTreeMap<String, Reading>;
