//! The integrations table: one item per user, provider and account.
//!
//! *Invariant:* only a usable integration carries the attributes of the indexes, so webhooks, schedules and watches find no
//! other.

use aws_sdk_dynamodb::{
    Client,
    operation::{delete_item::DeleteItemError, update_item::builders::UpdateItemFluentBuilder},
    types::AttributeValue,
};
use domain::{
    AccountAddress, Integration, IntegrationKey, Lookup, Problem,
    integration::{Ending, IntegrationState, account, spell::Spells},
};

use jiff::Timestamp;

use crate::{
    aws::{Aws, AwsError, client},
    stores::{
        due::shard,
        old::{Item, conditional, create, malformed, n, s, text, time},
    },
};

/// The attributes of the indexes.
const INDEXES: &str = "account, address, due_shard, due_at, watch_shard, watch_due_at";

/// The table.
#[derive(Debug, Clone)]
pub struct Integrations {
    client: Client,
    table: String,
}

impl Integrations {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { client: client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB"), table: table.into() }
    }

    /// Stores an integration, in place of an earlier one of the same key. Its next sync is due at `due_at`.
    pub async fn put(&self, integration: &Integration, due_at: Timestamp) -> Result<(), AwsError> {
        let call = self.client.put_item().table_name(&self.table).set_item(Some(write(integration, due_at)));
        call.send().await.map_err(|error| AwsError::new("dynamodb:PutItem", error))?;
        Ok(())
    }

    /// Stores an integration that is not in use, unless there is one of the same key: so that whoever ends it, or erases its user,
    /// finds it whatever becomes of the one who is connecting it.
    pub async fn reserve(&self, integration: &Integration) -> Result<(), AwsError> {
        let reserved = Integration { state: IntegrationState::Disconnected, ..integration.clone() };
        let item = write(&reserved, integration.connected_at);
        let call = self.client.put_item().table_name(&self.table).set_item(Some(item));
        create(call, "user_id").await.map(|_| ())
    }

    /// Takes an integration out of use because its grant is over, with this sentence for its user. Whether it was in use.
    ///
    /// `at` is when the grant ended: one that was connected later is another grant, and stays.
    pub async fn end(&self, key: &IntegrationKey, problem: &str, at: Timestamp) -> Result<bool, AwsError> {
        let call = self
            .update(key)
            .update_expression(format!("SET #state = :required, problem = :problem REMOVE {INDEXES}"))
            // Ending what the user ended already would make it look like the provider's doing.
            .condition_expression("connected_at <= :at AND #state = :connected")
            .expression_attribute_values(":at", s(at.to_string()))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":required", s(state_name(IntegrationState::ReconnectRequired)))
            .expression_attribute_values(":connected", s(state_name(IntegrationState::Connected)))
            .expression_attribute_values(":problem", s(problem));
        Ok(conditional(call).await?.is_some())
    }

    /// Takes an integration out of use because its user disconnects it, and marks what is to be done. Whether there is one that
    /// was connected before `at`. Repeating it is harmless; the latest wish counts.
    pub async fn disconnect(&self, key: &IntegrationKey, ending: Ending, at: Timestamp) -> Result<bool, AwsError> {
        let call = self
            .update(key)
            .update_expression(format!(
                "SET #state = :disconnected, ending = :ending REMOVE problem, unreadable, {INDEXES}"
            ))
            .condition_expression("connected_at <= :at")
            .expression_attribute_values(":at", s(at.to_string()))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":disconnected", s(state_name(IntegrationState::Disconnected)))
            .expression_attribute_values(":ending", s(ending.name()));
        Ok(conditional(call).await?.is_some())
    }

    /// Takes the mark off: all that was to be done is done. One that was put there by another wish stays.
    pub async fn disconnected(&self, key: &IntegrationKey, ending: Ending) -> Result<(), AwsError> {
        let call = self
            .update(key)
            .update_expression("REMOVE ending")
            .condition_expression("ending = :ending")
            .expression_attribute_values(":ending", s(ending.name()));
        conditional(call).await.map(|_| ())
    }

    /// Takes an integration out of use because its stored credential can't be opened, with this sentence for its user. Whether it
    /// was in use.
    pub async fn set_aside(&self, integration: &Integration, problem: &str) -> Result<bool, AwsError> {
        let call = self
            .update(&integration.key)
            .update_expression(format!(
                "SET #state = :required, problem = :problem, unreadable = :true REMOVE {INDEXES}"
            ))
            // One that was connected again meanwhile has another credential.
            .condition_expression("#state = :connected AND connected_at = :connected_at")
            .expression_attribute_values(":connected_at", s(integration.connected_at.to_string()))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":required", s(state_name(IntegrationState::ReconnectRequired)))
            .expression_attribute_values(":connected", s(state_name(IntegrationState::Connected)))
            .expression_attribute_values(":problem", s(problem))
            .expression_attribute_values(":true", AttributeValue::Bool(true));
        Ok(conditional(call).await?.is_some())
    }

    /// Puts an integration that was set aside back in use: its credential opens again. Whether it was set aside.
    pub async fn restore(&self, integration: &Integration, due_at: Timestamp) -> Result<bool, AwsError> {
        let key = &integration.key;
        let address = address(integration);
        let set = if address.is_some() { ", address = :address" } else { "" };
        let mut call = self
            .update(key)
            .update_expression(format!(
                "SET #state = :connected, account = :account, due_shard = :shard, due_at = :at{set} \
                 REMOVE problem, unreadable"
            ))
            .condition_expression("#state = :required AND unreadable = :true")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":required", s(state_name(IntegrationState::ReconnectRequired)))
            .expression_attribute_values(":connected", s(state_name(IntegrationState::Connected)))
            .expression_attribute_values(":account", s(account(&key.provider, &key.account_id)))
            .expression_attribute_values(":shard", n(shard(&key.id())))
            .expression_attribute_values(":at", n(due_at.as_second()))
            .expression_attribute_values(":true", AttributeValue::Bool(true));
        if let Some(address) = address {
            call = call.expression_attribute_values(":address", s(address));
        }
        Ok(conditional(call).await?.is_some())
    }

    /// Stores the name and the address that an account has now, unless the integration was ended or connected again meanwhile.
    pub async fn rename(&self, integration: &Integration) -> Result<(), AwsError> {
        let address = address(integration);
        let set = if address.is_some() { ", account_address = :account_address, address = :address" } else { "" };
        let mut call = self
            .update(&integration.key)
            .update_expression(format!("SET account_name = :name, named_at = :named_at{set}"))
            .condition_expression("#state = :connected AND connected_at = :connected_at")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":connected", s(state_name(IntegrationState::Connected)))
            .expression_attribute_values(":connected_at", s(integration.connected_at.to_string()))
            .expression_attribute_values(":name", s(&integration.account_name))
            .expression_attribute_values(":named_at", s(integration.named_at.to_string()));
        if let (Some(own), Some(address)) = (&integration.address, address) {
            call = call
                .expression_attribute_values(":account_address", s(own))
                .expression_attribute_values(":address", s(address));
        }
        conditional(call).await.map(|_| ())
    }

    /// Deletes an integration that is not in use.
    pub async fn forget(&self, key: &IntegrationKey) -> Result<(), AwsError> {
        let call = self.client.delete_item().table_name(&self.table);
        let call = call.key("user_id", s(&key.user_id)).key("integration", s(key.account()));
        let call = call
            .condition_expression("#state <> :connected")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":connected", s(state_name(IntegrationState::Connected)));
        match call.send().await {
            Ok(_) => Ok(()),
            // Gone already, or connected again meanwhile.
            Err(error)
                if error.as_service_error().is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(AwsError::new("dynamodb:DeleteItem", error)),
        }
    }

    /// Says when an integration in use is to be synced next. Whether it is in use.
    pub async fn sync_due(&self, key: &IntegrationKey, at: Timestamp) -> Result<bool, AwsError> {
        self.due(key, "SET due_shard = :shard, due_at = :at", at).await
    }

    /// Says when a watch of an integration in use is to be renewed next. Whether it is in use.
    pub async fn watch_due(&self, key: &IntegrationKey, at: Timestamp) -> Result<bool, AwsError> {
        self.due(key, "SET watch_shard = :shard, watch_due_at = :at", at).await
    }

    async fn due(&self, key: &IntegrationKey, update: &str, at: Timestamp) -> Result<bool, AwsError> {
        let call = self
            .update(key)
            .update_expression(update)
            .condition_expression("#state = :connected")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":connected", s(state_name(IntegrationState::Connected)))
            .expression_attribute_values(":shard", n(shard(&key.id())))
            .expression_attribute_values(":at", n(at.as_second()));
        Ok(conditional(call).await?.is_some())
    }

    /// Stores the spells of an integration in place of those that were read. Whether nobody else had stored others, and it is the
    /// same grant.
    pub async fn set_spells(&self, read: &Integration, spells: &Spells) -> Result<bool, AwsError> {
        let json = |spells| serde_json::to_string(spells).map_err(|error| AwsError::unwritable("spells", error));
        let before = if read.spells == Spells::default() { "attribute_not_exists(spells)" } else { "spells = :before" };
        let mut call = self
            .update(&read.key)
            .update_expression("SET spells = :spells")
            .condition_expression(format!("{before} AND connected_at = :connected_at"))
            .expression_attribute_values(":connected_at", s(read.connected_at.to_string()))
            .expression_attribute_values(":spells", s(json(spells)?));
        if read.spells != Spells::default() {
            call = call.expression_attribute_values(":before", s(json(&read.spells)?));
        }
        Ok(conditional(call).await?.is_some())
    }

    fn update(&self, key: &IntegrationKey) -> UpdateItemFluentBuilder {
        let call = self.client.update_item().table_name(&self.table);
        call.key("user_id", s(&key.user_id)).key("integration", s(key.account()))
    }

    /// One integration, read consistently. `integration` is its `provider#account`.
    pub async fn get(&self, user_id: &str, integration: &str) -> Result<Option<Integration>, AwsError> {
        let call = self.client.get_item().table_name(&self.table).consistent_read(true);
        let call = call.key("user_id", s(user_id)).key("integration", s(integration));
        let output = call.send().await.map_err(|error| AwsError::new("dynamodb:GetItem", error))?;
        output.item().map(read).transpose()
    }

    /// All integrations of a user, of one provider or of all.
    pub async fn of_user(&self, user_id: &str, provider: Option<&str>) -> Result<Vec<Integration>, AwsError> {
        let call = self.client.query().table_name(&self.table).consistent_read(true);
        let call = call.expression_attribute_values(":user", s(user_id));
        let call = match provider {
            Some(provider) => call
                .key_condition_expression("user_id = :user AND begins_with(integration, :provider)")
                .expression_attribute_values(":provider", s(account(provider, ""))),
            None => call.key_condition_expression("user_id = :user"),
        };
        let items = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        items.map_err(|error| AwsError::new("dynamodb:Query", error))?.iter().map(read).collect()
    }

    /// The usable integrations of a provider's account, of all users and modes.
    pub async fn of_account(&self, provider: &str, account_id: &str) -> Result<Vec<IntegrationKey>, AwsError> {
        self.indexed("by_account", "account = :key", &account(provider, account_id)).await
    }

    /// The usable integrations that an event of a provider can be for, of all users and modes.
    pub async fn find(&self, provider: &str, lookup: &Lookup) -> Result<Vec<IntegrationKey>, AwsError> {
        match lookup {
            Lookup::Account(id) => self.of_account(provider, id).await,
            Lookup::Address(address) => self.indexed("by_address", "address = :key", &account(provider, address)).await,
        }
    }

    async fn indexed(&self, index: &str, condition: &str, value: &str) -> Result<Vec<IntegrationKey>, AwsError> {
        let call = self.client.query().table_name(&self.table).index_name(index);
        let call = call.key_condition_expression(condition).expression_attribute_values(":key", s(value));
        let items = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        items.map_err(|error| AwsError::new("dynamodb:Query", error))?.iter().map(key).collect()
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

fn write(integration: &Integration, due_at: Timestamp) -> Item {
    let list = |all: &[String]| AttributeValue::L(all.iter().map(s).collect());
    let mut item: Vec<(&str, AttributeValue)> = vec![
        ("user_id", s(&integration.key.user_id)),
        ("integration", s(integration.key.account())),
        ("account_name", s(&integration.account_name)),
        ("named_at", s(integration.named_at.to_string())),
        ("state", s(state_name(integration.state))),
        ("connected_at", s(integration.connected_at.to_string())),
        ("granted", list(&integration.granted)),
        ("missing", list(&integration.missing)),
    ];
    item.extend(integration.problem.as_ref().map(|problem| ("problem", s(problem))));
    item.extend(integration.address.as_ref().map(|address| ("account_address", s(address))));
    if integration.state == IntegrationState::Connected {
        item.push(("account", s(account(&integration.key.provider, &integration.key.account_id))));
        item.extend(address(integration).map(|address| ("address", s(address))));
        item.push(("due_shard", n(shard(&integration.key.id()))));
        item.push(("due_at", n(due_at.as_second())));
    }
    item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Under which address events find an integration, `provider#address`, if they name its account by one.
fn address(integration: &Integration) -> Option<String> {
    integration.address.as_ref().map(|address| account(&integration.key.provider, address))
}

fn read(item: &Item) -> Result<Integration, AwsError> {
    let states = [IntegrationState::Connected, IntegrationState::ReconnectRequired, IntegrationState::Disconnected];
    let state = text(item, "state")?;
    let list = |name: &str| {
        let all = item.get(name).and_then(|list| list.as_l().ok()).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|it| it.as_s().ok().cloned()).collect()
    };
    Ok(Integration {
        key: key(item)?,
        account_name: text(item, "account_name")?.to_owned(),
        address: address_of(item)?,
        named_at: time(item, "named_at")?,
        state: states.into_iter().find(|it| state_name(*it) == state).ok_or_else(|| malformed("state"))?,
        connected_at: time(item, "connected_at")?,
        granted: list("granted"),
        missing: list("missing"),
        problem: text(item, "problem").ok().map(str::to_owned),
        unreadable: item.contains_key("unreadable"),
        ending: text(item, "ending").ok().and_then(Ending::parse),
        // What can't be read is begun anew.
        spells: text(item, "spells").ok().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
    })
}

fn address_of(item: &Item) -> Result<Option<AccountAddress>, AwsError> {
    let address = text(item, "account_address").ok().map(AccountAddress::parse).transpose();
    address.map_err(|_| malformed("account_address"))
}

fn key(item: &Item) -> Result<IntegrationKey, AwsError> {
    IntegrationKey::parse(text(item, "user_id")?, text(item, "integration")?).map_err(|_| malformed("integration"))
}

const fn state_name(state: IntegrationState) -> &'static str {
    match state {
        IntegrationState::Connected => "connected",
        IntegrationState::ReconnectRequired => "reconnect_required",
        IntegrationState::Disconnected => "disconnected",
    }
}
