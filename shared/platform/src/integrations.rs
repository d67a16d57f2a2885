//! The integrations table: one item per user, provider and account.
//!
//! *Invariant:* only a usable integration carries the index attribute `account`, so webhooks are routed to no other.

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use domain::{
    Integration, IntegrationKey,
    integration::{State, account},
};

use crate::{
    aws::{Aws, AwsError, client},
    item::{Item, malformed, s, text, time},
};

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

    /// Stores an integration, in place of an earlier one of the same key.
    pub async fn put(&self, integration: &Integration) -> Result<(), AwsError> {
        let call = self.client.put_item().table_name(&self.table).set_item(Some(write(integration)));
        call.send().await.map_err(|error| AwsError::new("dynamodb:PutItem", &error))?;
        Ok(())
    }

    /// One integration, read consistently. `integration` is its `provider#account`.
    pub async fn get(&self, user_id: &str, integration: &str) -> Result<Option<Integration>, AwsError> {
        let call = self.client.get_item().table_name(&self.table).consistent_read(true);
        let call = call.key("user_id", s(user_id)).key("integration", s(integration));
        let output = call.send().await.map_err(|error| AwsError::new("dynamodb:GetItem", &error))?;
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
        items.map_err(|error| AwsError::new("dynamodb:Query", &error))?.iter().map(read).collect()
    }

    /// The usable integrations of a provider's account, of all users.
    pub async fn of_account(&self, provider: &str, account_id: &str) -> Result<Vec<IntegrationKey>, AwsError> {
        let call = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("by_account")
            .key_condition_expression("account = :account")
            .expression_attribute_values(":account", s(account(provider, account_id)));
        let items = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        items.map_err(|error| AwsError::new("dynamodb:Query", &error))?.iter().map(key).collect()
    }
}

fn write(integration: &Integration) -> Item {
    let account = integration.key.account();
    let mut item: Vec<(&str, AttributeValue)> = vec![
        ("user_id", s(&integration.key.user_id)),
        ("integration", s(&account)),
        ("account_name", s(&integration.account_name)),
        ("state", s(state_name(integration.state))),
        ("connected_at", s(integration.connected_at.to_string())),
    ];
    if integration.state == State::Connected {
        item.push(("account", s(account)));
    }
    item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn read(item: &Item) -> Result<Integration, AwsError> {
    let states = [State::Connected, State::ReconnectRequired, State::Disconnected];
    let state = text(item, "state")?;
    Ok(Integration {
        key: key(item)?,
        account_name: text(item, "account_name")?.to_owned(),
        state: states.into_iter().find(|it| state_name(*it) == state).ok_or_else(|| malformed("state"))?,
        connected_at: time(item, "connected_at")?,
    })
}

fn key(item: &Item) -> Result<IntegrationKey, AwsError> {
    let (provider, account_id) = text(item, "integration")?.split_once('#').ok_or_else(|| malformed("integration"))?;
    Ok(IntegrationKey {
        user_id: text(item, "user_id")?.to_owned(),
        provider: provider.to_owned(),
        account_id: account_id.to_owned(),
    })
}

const fn state_name(state: State) -> &'static str {
    match state {
        State::Connected => "connected",
        State::ReconnectRequired => "reconnect_required",
        State::Disconnected => "disconnected",
    }
}
