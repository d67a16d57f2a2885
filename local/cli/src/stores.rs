//! Reads the stores directly, past the code that wrote them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::IntegrationKey;
use local_base::terminal::Failed;
use local_sandbox::LOCAL_ACCOUNT;
use serde_json::Value;

use crate::bundle::Bundle;

pub type Item = HashMap<String, AttributeValue>;

/// Reads the stores of a stack.
pub struct Stores<'s> {
    stack: &'s Bundle,
}

/// An idempotency record.
#[derive(Debug)]
pub struct Seen {
    pub state: String,
    /// How often processing was started.
    pub attempts: u64,
    /// How often the effect was committed.
    pub effects: u64,
}

/// The item of a credential.
#[derive(Debug)]
pub struct Stored {
    /// Moves with every change.
    pub version: i64,
    /// Whether its access token is a ciphertext.
    pub encrypted: bool,
    /// Whether a sweep will look at it.
    pub due: bool,
}

impl<'s> Stores<'s> {
    pub fn new(stack: &'s Bundle) -> Self {
        Self { stack }
    }

    /// Everything in a table, by its name without prefix.
    pub async fn items(&self, table: &str) -> Result<Vec<Item>, Failed> {
        let call = self.stack.clients.dynamodb.scan().table_name(self.stack.table(table)).consistent_read(true);
        call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.map_err(Failed::from)
    }

    /// Everything in a table as bytes, ciphertexts included.
    pub async fn bytes(&self, table: &str) -> Result<Vec<u8>, Failed> {
        let mut bytes = Vec::new();
        for item in self.items(table).await? {
            for (name, value) in &item {
                bytes.extend_from_slice(name.as_bytes());
                flatten(value, &mut bytes);
                bytes.push(b'\n');
            }
        }
        Ok(bytes)
    }

    /// The state of an integration, by its public id.
    pub async fn integration(&self, integration_id: &str) -> Result<Option<String>, Failed> {
        let is_it = |item: &Item| {
            let key =
                IntegrationKey::parse(item.get("user_id")?.as_s().ok()?, item.get("integration")?.as_s().ok()?).ok()?;
            (key.id() == *integration_id).then(|| item.get("state")?.as_s().ok().cloned())?
        };
        Ok(self.items("integrations").await?.iter().find_map(is_it))
    }

    /// The first credential of an integration.
    pub async fn credential(&self, integration_id: &str) -> Result<Stored, Failed> {
        let item = self.credentials(integration_id).await?.into_iter().next();
        let item = item.ok_or_else(|| Failed(format!("{integration_id} has no credential")))?;
        let version = item.get("version").and_then(|it| it.as_n().ok()?.parse().ok()).unwrap_or_default();
        let encrypted = item.get("access").is_some_and(AttributeValue::is_b);
        Ok(Stored { version, encrypted, due: item.contains_key("due_at") })
    }

    pub async fn credentials(&self, integration_id: &str) -> Result<Vec<Item>, Failed> {
        let of =
            |item: &Item| item.get("integration_id").is_some_and(|id| id.as_s().is_ok_and(|id| id == integration_id));
        Ok(self.items("credentials").await?.into_iter().filter(of).collect())
    }

    /// Moves the end of a credential's token, and the time it is due, as if it had been issued earlier.
    pub async fn age(&self, integration_id: &str, ends_in: i64) -> Result<(), Failed> {
        let now = local_base::now().as_second();
        let set = "SET expires_at = :ends, due_at = :due";
        self.update_credential(integration_id, set, [(":ends", (now + ends_in) * 1000), (":due", now - 1)].into()).await
    }

    /// Makes a grant as old as if it had been given this many seconds from now.
    pub async fn age_grant(&self, integration_id: &str, from_now: i64) -> Result<(), Failed> {
        let at = (local_base::now().as_second() + from_now) * 1000;
        self.update_credential(integration_id, "SET granted_at = :at", [(":at", at)].into()).await
    }

    async fn update_credential(
        &self,
        integration_id: &str,
        set: &str,
        values: HashMap<&str, i64>,
    ) -> Result<(), Failed> {
        let name = self.credentials(integration_id).await?.first().and_then(|item| item.get("credential").cloned());
        let call = self.stack.clients.dynamodb.update_item().table_name(self.stack.table("credentials"));
        let mut call = call
            .key("integration_id", AttributeValue::S(integration_id.to_owned()))
            .key("credential", name.ok_or_else(|| Failed(format!("{integration_id} has no credential")))?)
            .update_expression(set);
        for (name, value) in values {
            call = call.expression_attribute_values(name, AttributeValue::N(value.to_string()));
        }
        call.send().await.map_err(Failed::from)?;
        Ok(())
    }

    /// The idempotency record of an event.
    pub async fn seen(&self, provider: &str, account: &str, event_id: &str) -> Result<Option<Seen>, Failed> {
        let key = AttributeValue::S(format!("{provider}#{account}#{event_id}"));
        let call = self.stack.clients.dynamodb.get_item().table_name(self.stack.table("idempotency")).key("key", key);
        let output = call.consistent_read(true).send().await.map_err(Failed::from)?;
        Ok(output.item.map(|item| {
            let number = |name: &str| item.get(name).and_then(|it| it.as_n().ok()?.parse().ok()).unwrap_or(0);
            let state = item.get("state").and_then(|it| it.as_s().ok()).cloned().unwrap_or_default();
            Seen { state, attempts: number("attempts"), effects: number("effects") }
        }))
    }

    /// The idempotency record of an event of the local Stripe account.
    pub async fn stripe(&self, event_id: &str) -> Result<Option<Seen>, Failed> {
        self.seen("stripe", LOCAL_ACCOUNT, event_id).await
    }

    /// A record of an integration: whether it is deleted, and its data.
    pub async fn record(&self, integration_id: &str, key: &str) -> Result<Option<(bool, Value)>, Failed> {
        let call = self.stack.clients.dynamodb.get_item().table_name(self.stack.table("records")).consistent_read(true);
        let call = call.key("integration_id", AttributeValue::S(integration_id.to_owned()));
        let output = call.key("record", AttributeValue::S(key.to_owned())).send().await.map_err(Failed::from)?;
        let Some(item) = output.item else { return Ok(None) };
        let deleted = item.get("deleted").and_then(|it| it.as_bool().ok()).copied().unwrap_or_default();
        let data = item.get("data").and_then(|it| it.as_s().ok()).cloned().unwrap_or_default();
        Ok(Some((deleted, serde_json::from_str(&data).map_err(Failed::from)?)))
    }

    /// How many live records of a stream an integration has.
    pub async fn records(&self, integration_id: &str, stream: &str) -> Result<usize, Failed> {
        let is = |item: &Item, name: &str, value: &str| {
            item.get(name).is_some_and(|it| it.as_s().is_ok_and(|it| it == value))
        };
        let items = self.items("records").await?;
        let live = |item: &&Item| item.get("deleted") == Some(&AttributeValue::Bool(false));
        let of = |item: &&Item| is(item, "integration_id", integration_id) && is(item, "stream", stream);
        Ok(items.iter().filter(of).filter(live).count())
    }

    /// How often an event is on the bus.
    pub fn published(&self, event_id: &str) -> Result<usize, Failed> {
        Ok(self.bus()?.iter().filter(|event| event["detail"]["id"] == event_id).count())
    }

    /// How many events of this type the bus has about an integration.
    pub fn announced(&self, kind: &str, integration_id: &str) -> Result<usize, Failed> {
        let of =
            |event: &&Value| event["detail"]["type"] == kind && event["detail"]["integration_id"] == integration_id;
        Ok(self.bus()?.iter().filter(of).count())
    }

    fn bus(&self) -> Result<Vec<Value>, Failed> {
        let lines = std::fs::read_to_string(self.stack.folder.events()).map_err(Failed::from)?;
        Ok(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The reason of one message of the dead-letter queue of webhooks, which is taken out.
    pub async fn dead_letter(&self) -> Result<Option<String>, Failed> {
        let queue = self.stack.template.resources.queues.iter().find(|queue| queue.name.ends_with("-webhooks-dead"));
        let url = &queue.ok_or_else(|| Failed("template.yaml declares no queue webhooks-dead".into()))?.url;
        let sqs = &self.stack.clients.sqs;
        let call = sqs.receive_message().queue_url(url).message_attribute_names("All");
        let output = call.send().await.map_err(Failed::from)?;
        let Some(message) = output.messages.unwrap_or_default().into_iter().next() else { return Ok(None) };
        let handle = message.receipt_handle.unwrap_or_default();
        sqs.delete_message().queue_url(url).receipt_handle(handle).send().await.map_err(Failed::from)?;
        let reason = message.message_attributes.unwrap_or_default().remove("Reason");
        Ok(Some(reason.and_then(|reason| reason.string_value).unwrap_or_default()))
    }

    /// Whether nothing waits or is being worked on in a queue. Unknown counts as yes.
    pub fn is_empty(&self, queue: &str) -> bool {
        let depths = self.stack.embedded.iter().flat_map(|embedded| embedded.sqs.depths());
        let mut all = depths.filter(|depth| depth.name.ends_with(&format!("-{queue}")));
        all.all(|depth| depth.visible + depth.in_flight + depth.delayed == 0)
    }
}

fn flatten(value: &AttributeValue, bytes: &mut Vec<u8>) {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => bytes.extend_from_slice(text.as_bytes()),
        AttributeValue::B(blob) => bytes.extend_from_slice(blob.as_ref()),
        AttributeValue::L(all) => all.iter().for_each(|value| flatten(value, bytes)),
        AttributeValue::M(all) => all.values().for_each(|value| flatten(value, bytes)),
        AttributeValue::Ss(all) | AttributeValue::Ns(all) => {
            for text in all {
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        AttributeValue::Bs(all) => all.iter().for_each(|blob| bytes.extend_from_slice(blob.as_ref())),
        // Neither says anything.
        AttributeValue::Bool(_) | AttributeValue::Null(_) | _ => {}
    }
}
