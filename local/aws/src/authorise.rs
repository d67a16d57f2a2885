//! Which IAM actions on which resources a call needs, so that a function can do here only what its role allows.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::Service;
use crate::{
    ACCOUNT, REGION,
    iam::{Facts, Statement, allows},
    resources::{Key, Resources},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// `sqs:SendMessage`.
    pub action: String,
    pub resource: String,
    /// The values of the call's condition keys.
    pub facts: Facts,
}

impl Right {
    /// Whether a role with these statements grants it.
    pub fn is_granted(&self, statements: &[Statement]) -> bool {
        allows(statements, &self.action, &self.resource, &self.facts)
    }
}

/// The rights that a call needs. `keys` has the ARN of each KMS key by the id that KMS gave it.
pub fn needed(
    resources: &Resources,
    keys: &BTreeMap<String, String>,
    service: Service,
    operation: &str,
    body: &Value,
) -> Vec<Right> {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let right = |operation: &str, resource: String| Right {
        action: format!("{}:{operation}", service.name()),
        resource,
        facts: Facts::new(),
    };
    match service {
        Service::Dynamodb => match body["TransactItems"].as_array() {
            // A transaction is authorised by the operations in it.
            Some(items) => items
                .iter()
                .filter_map(|item| item.as_object()?.iter().next())
                .map(|(kind, item)| {
                    let operation =
                        if kind == "ConditionCheck" { "ConditionCheckItem".into() } else { format!("{kind}Item") };
                    right(&operation, table(resources, item["TableName"].as_str().unwrap_or_default()))
                })
                .collect(),
            // A batch names its tables.
            None if body["RequestItems"].is_object() => {
                let tables = body["RequestItems"].as_object().into_iter().flat_map(|tables| tables.keys());
                tables.map(|name| right(operation, table(resources, name))).collect()
            }
            None => {
                let table = table(resources, text("TableName"));
                let index = body["IndexName"].as_str().map(|index| format!("/index/{index}")).unwrap_or_default();
                vec![right(operation, format!("{table}{index}"))]
            }
        },
        Service::Sqs => {
            let name = text("QueueUrl").rsplit('/').next().unwrap_or_default();
            let arn = resources.queues.iter().find(|queue| queue.name == name).map_or(name, |queue| &queue.arn);
            vec![right(operation.trim_end_matches("Batch"), arn.to_owned())]
        }
        Service::Secretsmanager => {
            let id = text("SecretId");
            let arn = resources.secrets.iter().find(|secret| secret.name == id).map_or(id, |secret| &secret.arn);
            vec![right(operation, arn.to_owned())]
        }
        Service::Kms => {
            let named = |id: &str| {
                let is_it = |key: &&Key| {
                    id == key.arn || id.ends_with(&key.logical_id) || key.aliases.iter().any(|it| it == id)
                };
                resources.keys.iter().find(is_it).map_or(id, |key| &key.arn).to_owned()
            };
            // Where the call names no key, the ciphertext does: the embedded KMS begins each with the key's id.
            let source = |id: &str| {
                let blob = STANDARD.decode(text("CiphertextBlob")).unwrap_or_default();
                let wrapping = keys.iter().find(|(id, _)| blob.starts_with(id.as_bytes())).map(|(_, arn)| arn);
                let key = wrapping.or(resources.keys.first().map(|key| &key.arn)).filter(|_| id.is_empty());
                key.cloned().unwrap_or_else(|| named(id))
            };
            let right = |operation: &str, resource: String, context: &str| {
                let context = body[context].as_object().into_iter().flatten();
                let fact = |(key, value): (&String, &Value)| {
                    Some((format!("kms:EncryptionContext:{key}"), value.as_str()?.to_owned()))
                };
                Right { facts: context.filter_map(fact).collect(), ..right(operation, resource) }
            };
            match operation {
                "ReEncrypt" => vec![
                    right("ReEncryptFrom", source(text("SourceKeyId")), "SourceEncryptionContext"),
                    right("ReEncryptTo", named(text("DestinationKeyId")), "DestinationEncryptionContext"),
                ],
                "Decrypt" => vec![right(operation, source(text("KeyId")), "EncryptionContext")],
                _ => vec![right(operation, named(text("KeyId")), "EncryptionContext")],
            }
        }
        Service::Events => {
            let entries = body["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
            let bus = |entry: &Value| {
                let bus = entry["EventBusName"].as_str().unwrap_or("default");
                let bus = bus.rsplit('/').next().unwrap_or(bus);
                format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}")
            };
            entries.iter().map(|entry| right(operation, bus(entry))).collect()
        }
    }
}

fn table(resources: &Resources, name: &str) -> String {
    resources.tables.iter().find(|table| table.name == name).map_or(name, |table| &table.arn).to_owned()
}
