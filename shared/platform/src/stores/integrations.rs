//! The integrations table: one item per user, provider and account.
//!
//! *Invariant:* only a usable integration carries the attributes of the indexes, so webhooks, schedules and watches find no
//! other.

mod state;
mod stored;
mod syncs;

use domain::{
    AccountId, Candidate, Integration, IntegrationKey, Lookup, Problem, ProviderId, UserId,
    integration::{IntegrationState, account, address, spell::Spells},
    sync::slot::Slots,
};
use jiff::Timestamp;

use self::stored::{integration, stored};
use crate::{
    aws::{Aws, AwsError},
    base::clock,
    stores::{
        item::{self, Item, s, time, write},
        table::{self, Table, Update},
    },
};

/// The table of integrations.
#[derive(Debug, Clone)]
pub struct Integrations {
    table: Table,
}

impl Integrations {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { table: Table::new(aws, table) }
    }

    /// Stores an integration, in place of an earlier one of the same key. Its next sync is due at its first slot from `due_at` on.
    /// When its records were erased stays as it is stored.
    pub async fn put(&self, integration: &Integration, due_at: Timestamp) -> Result<(), AwsError> {
        loop {
            let earlier = self.get(&integration.key).await?;
            let erased_at = earlier.and_then(|earlier| earlier.erased_at);
            let item = write(&stored(&Integration { erased_at, ..integration.clone() }, due_at))?;
            // If the records are being erased right now, it moves once or twice.
            let put = match erased_at {
                None => self.table.put_when(item, "attribute_not_exists(erased_at)", []).await,
                Some(at) => {
                    let condition = "attribute_not_exists(erased_at) OR erased_at = :erased_at";
                    self.table.put_when(item, condition, [(":erased_at", time(at))]).await
                }
            };
            match put {
                Err(AwsError::Conflict(_)) => {}
                done => return done,
            }
        }
    }

    /// Says by when records of an integration were erased, if it is there. Repeating it is harmless.
    pub(crate) async fn set_erased_at(&self, key: &IntegrationKey, at: Timestamp) -> Result<(), AwsError> {
        let update = self.update(key).set("erased_at = :at").when("attribute_exists(user_id)");
        update.with([(":at", time(at))]).send().await.map(|_| ())
    }

    /// Stores an integration that is not in use, unless there is one of the same key: so that a later request that ends it, or erases
    /// its user, finds it even if the request that is connecting it crashes.
    ///
    /// Followers of changes begin anew with it: an earlier integration of this key, of a user that was erased, may have left a record, or
    /// a follower its copy.
    pub async fn reserve(&self, integration: &Integration) -> Result<(), AwsError> {
        let erased_at = Some(clock::now());
        let reserved = Integration { state: IntegrationState::Disconnected, erased_at, ..integration.clone() };
        let item = write(&stored(&reserved, integration.connected_at))?;
        self.table.create(item, "user_id").await.map(|_| ())
    }

    /// One integration, read consistently.
    pub async fn get(&self, key: &IntegrationKey) -> Result<Option<Integration>, AwsError> {
        self.table.get(item_key(key)).await?.map(integration).transpose()
    }

    /// The same, with its slots.
    pub async fn get_with_slots(&self, key: &IntegrationKey) -> Result<Option<(Integration, Slots)>, AwsError> {
        let Some(item) = self.table.get(item_key(key)).await? else { return Ok(None) };
        let slots = stored::slots(&item);
        Ok(Some((integration(item)?, slots)))
    }

    /// All integrations of a user, of one provider or of all.
    pub async fn of_user(&self, user_id: &UserId, provider: Option<&ProviderId>) -> Result<Vec<Integration>, AwsError> {
        let user = (":user", s(user_id));
        let query = match provider {
            Some(provider) => self.table.query(
                "user_id = :user AND begins_with(integration, :provider)",
                [user, (":provider", s(format!("{provider}#")))],
            ),
            None => self.table.query("user_id = :user", [user]),
        };
        let items = table::items(query.call().consistent_read(true)).await?;
        items.into_iter().map(integration).collect()
    }

    /// The usable integrations of a provider's account, of all users and modes.
    pub async fn of_account(
        &self,
        provider: &ProviderId,
        account_id: &AccountId,
    ) -> Result<Vec<IntegrationKey>, AwsError> {
        let found = self.find(provider, &Lookup::Account(account_id.clone())).await?;
        Ok(found.into_iter().map(|found| found.key).collect())
    }

    /// The usable integrations that an event of a provider can be for, of all users and modes.
    pub async fn find(&self, provider: &ProviderId, lookup: &Lookup) -> Result<Vec<Candidate>, AwsError> {
        match lookup {
            Lookup::Account(id) => self.indexed("by_account", "account = :key", &account(provider, id)).await,
            Lookup::Address(to) => self.indexed("by_address", "address = :key", &address(provider, to)).await,
        }
    }

    async fn indexed(&self, index: &str, condition: &str, value: &str) -> Result<Vec<Candidate>, AwsError> {
        let query = self.table.query(condition, [(":key", s(value))]);
        let items = table::items(query.call().index_name(index)).await?;
        items.iter().map(stored::candidate).collect()
    }

    /// Stores the name and the address that an account has now, unless the integration was ended or connected again meanwhile.
    pub async fn rename(&self, integration: &Integration) -> Result<(), AwsError> {
        let mut update = self
            .update(&integration.key)
            .set("account_name = :name, named_at = :named_at")
            .when("state = :connected AND connected_at = :connected_at")
            .with([
                (":connected", state(IntegrationState::Connected)),
                (":connected_at", time(integration.connected_at)),
                (":name", s(&integration.account_name)),
                (":named_at", time(integration.named_at)),
            ]);
        if let (Some(own), Some(address)) = (&integration.address, stored::address(integration)) {
            let values = [(":account_address", s(own)), (":address", s(address))];
            update = update.set("account_address = :account_address, address = :address").with(values);
        } else {
            update = update.remove("account_address, address");
        }
        update.send_once().await.map(|_| ())
    }

    /// Deletes an integration that is not in use. One that was connected again meanwhile stays.
    pub async fn forget(&self, key: &IntegrationKey) -> Result<(), AwsError> {
        let values = [(":connected", state(IntegrationState::Connected))];
        self.table.delete_when(item_key(key), "state <> :connected", values).await
    }

    /// Stores the spells of an integration in place of those that were read. Whether no other process had stored others, and it is
    /// the same grant.
    pub async fn set_spells(&self, read: &Integration, spells: &Spells) -> Result<bool, AwsError> {
        let json = |spells| serde_json::to_string(spells).map_err(|error| AwsError::unwritable("spells", error));
        let update = self
            .update(&read.key)
            .set("spells = :spells")
            .when("connected_at = :connected_at")
            .with([(":connected_at", time(read.connected_at)), (":spells", s(json(spells)?))]);
        let update = if read.spells == Spells::default() {
            update.when("attribute_not_exists(spells)")
        } else {
            update.when("spells = :before").with([(":before", s(json(&read.spells)?))])
        };
        Ok(update.send_once().await?.is_written())
    }

    fn update(&self, key: &IntegrationKey) -> Update {
        self.table.update(item_key(key))
    }
}

/// Whether calls can be made for it; `name` is the provider's.
pub fn usable(integration: Integration, name: &str) -> Result<Integration, Problem> {
    match integration.state {
        IntegrationState::Connected => Ok(integration),
        IntegrationState::ReconnectRequired if integration.unreadable => Err(Problem::credential_unreadable(name)),
        IntegrationState::ReconnectRequired => Err(Problem::reconnect_required(name)),
        IntegrationState::Disconnected => Err(Problem::not_connected(name)),
    }
}

fn item_key(key: &IntegrationKey) -> Item {
    item::key([("user_id", s(&key.user_id)), ("integration", s(key.account()))])
}

/// A state as stored.
fn state(state: IntegrationState) -> aws_sdk_dynamodb::types::AttributeValue {
    s(match state {
        IntegrationState::Connected => "connected",
        IntegrationState::ReconnectRequired => "reconnect_required",
        IntegrationState::Disconnected => "disconnected",
    })
}
