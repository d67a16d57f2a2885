//! The item of an integration.

use domain::{
    AccountAddress, Candidate, Integration, IntegrationKey, Sentence, UserId,
    integration::{self, Ending, IntegrationState, account},
    sync::{
        ReadSince,
        slot::{Slots, slot},
    },
};
use jiff::{Timestamp, fmt::serde::timestamp::second};
use serde::{Deserialize, Serialize};

use crate::{
    aws::AwsError,
    stores::{
        due::shard,
        item::{Item, malformed, number, read, text},
    },
};

/// The item of an integration. Syncs add the attributes of the index of watches, and `served_by`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    user_id: UserId,
    /// See [`IntegrationKey::account`].
    integration: String,
    account_name: String,
    account_address: Option<String>,
    named_at: Timestamp,
    state: IntegrationState,
    connected_at: Timestamp,
    #[serde(default)]
    granted: Vec<String>,
    #[serde(default)]
    missing: Vec<String>,
    problem: Option<Sentence>,
    unreadable: Option<bool>,
    /// The name of an [`Ending`].
    ending: Option<String>,
    erased_at: Option<Timestamp>,
    /// JSON.
    spells: Option<String>,
    /// JSON of a [`ReadSince`].
    read_since: Option<String>,
    /// JSON of a [`SyncSummary`].
    sync_summary: Option<String>,
    #[serde(default, with = "second::optional")]
    syncing_until: Option<Timestamp>,
    /// The same for the lane of full runs.
    #[serde(default, with = "second::optional")]
    full_until: Option<Timestamp>,
    /// Of the index by account: `provider#account`, without the mode. Indexes are written and never read back.
    #[serde(skip_deserializing)]
    account: Option<String>,
    /// Of the index by address: `provider#address`.
    #[serde(skip_deserializing)]
    address: Option<String>,
    /// Of the index of due syncs.
    #[serde(skip_deserializing)]
    due_shard: Option<u32>,
    #[serde(skip_deserializing, with = "second::optional")]
    due_at: Option<Timestamp>,
}

/// The item of a new grant: what the user wished of an earlier one, and how that one worked, goes. What is shown of its syncs says
/// which grant it is of.
pub(super) fn stored(integration: &Integration, due_at: Timestamp) -> Stored {
    let key = &integration.key;
    let in_use = integration.state == IntegrationState::Connected;
    Stored {
        user_id: key.user_id.clone(),
        integration: key.account(),
        account_name: integration.account_name.clone(),
        account_address: integration.address.as_ref().map(ToString::to_string),
        named_at: integration.named_at,
        state: integration.state,
        connected_at: integration.connected_at,
        granted: integration.granted.clone(),
        missing: integration.missing.clone(),
        problem: integration.problem.clone(),
        unreadable: None,
        ending: None,
        erased_at: integration.erased_at,
        spells: None,
        read_since: None,
        sync_summary: integration.sync_summary.as_ref().and_then(|it| serde_json::to_string(it).ok()),
        syncing_until: None,
        full_until: None,
        account: in_use.then(|| account(&key.provider, &key.account_id)),
        address: address(integration).filter(|_| in_use),
        due_shard: in_use.then(|| shard(&key.id())),
        due_at: in_use.then(|| slot(key.rhythm(), due_at)),
    }
}

pub(super) fn integration(item: Item) -> Result<Integration, AwsError> {
    let stored: Stored = read(item)?;
    let key = IntegrationKey::of_user(stored.user_id, &stored.integration).map_err(|_| malformed("integration"))?;
    Ok(Integration {
        key,
        account_name: stored.account_name,
        // No event can name an account by anything else, and nothing else depends on it.
        address: stored.account_address.and_then(|address| AccountAddress::parse(address).ok()),
        named_at: stored.named_at,
        state: stored.state,
        connected_at: stored.connected_at,
        granted: stored.granted,
        missing: stored.missing,
        problem: stored.problem,
        unreadable: stored.unreadable.unwrap_or_default(),
        ending: stored.ending.as_deref().and_then(Ending::parse),
        erased_at: stored.erased_at,
        // What can't be read starts over.
        spells: stored.spells.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        read_since: read_since(stored.read_since.as_deref()),
        // What can't be read is written anew by the next sync.
        sync_summary: stored.sync_summary.and_then(|text| serde_json::from_str(&text).ok()),
        syncing_until: stored.syncing_until.max(stored.full_until),
    })
}

/// What can't be read is none: the slot is served again.
pub(super) fn slots(item: &Item) -> Slots {
    let due_at = number(item, "due_at").ok().and_then(|second| Timestamp::from_second(second).ok());
    Slots { due_at, served_by: text(item, "served_by").ok().and_then(|time| time.parse().ok()) }
}

/// The key of an item of which nothing else is read: an index has the keys only.
pub(super) fn integration_key(item: &Item) -> Result<IntegrationKey, AwsError> {
    IntegrationKey::parse(text(item, "user_id")?, text(item, "integration")?).map_err(|_| malformed("integration"))
}

/// What the index by account has of an integration.
pub(super) fn candidate(item: &Item) -> Result<Candidate, AwsError> {
    let since = item.get("read_since").and_then(|value| value.as_s().ok());
    let granted = item.get("granted").and_then(|value| value.as_l().ok()).into_iter().flatten();
    let granted = granted.filter_map(|scope| scope.as_s().ok().cloned()).collect();
    Ok(Candidate { key: integration_key(item)?, read_since: read_since(since.map(String::as_str)), granted })
}

/// What can't be read outdates nothing.
fn read_since(text: Option<&str>) -> ReadSince {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The address under which events find an integration, `provider#address`, if they name its account by one.
pub(super) fn address(integration: &Integration) -> Option<String> {
    integration.address.as_ref().map(|own| integration::address(&integration.key.provider, own))
}

#[cfg(test)]
mod tests {
    use domain::integration::IntegrationState::Connected;

    use super::*;
    use crate::stores::item::{s, write};

    #[test]
    fn an_address_that_no_event_can_name_is_none_and_costs_nothing_else() {
        let key = IntegrationKey::parse("ada", "gmail#1").unwrap();
        let connected = Integration::connected(key, "Ada", Timestamp::UNIX_EPOCH);
        let mut item = write(&stored(&connected, Timestamp::UNIX_EPOCH)).unwrap();
        item.insert("account_address".into(), s("Ada B@example.com"));
        let read = integration(item).unwrap();
        assert_eq!((read.address, read.state, read.account_name.as_str()), (None, Connected, "Ada"));
    }
}
