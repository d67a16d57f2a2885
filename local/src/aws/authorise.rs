//! Which IAM actions on which resources a call needs, so that a function can do here only what its role allows.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::Service;
use crate::{
    stack::{ACCOUNT, REGION},
    template::{Facts, Function, Key, Template, allows},
};

/// One right a call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// `sqs:SendMessage`.
    pub action: String,
    /// The resource's ARN.
    pub resource: String,
    /// What conditions may ask about.
    pub facts: Facts,
}

impl Right {
    /// Whether the role of `function` grants it.
    pub fn is_granted(&self, function: &Function) -> bool {
        allows(&function.statements, &self.action, &self.resource, &self.facts)
    }
}

/// The rights that a call needs. `keys` has the ARN of each KMS key by the id that KMS gave it.
pub fn needed(
    template: &Template,
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
                    right(&operation, table(template, item["TableName"].as_str().unwrap_or_default()))
                })
                .collect(),
            // A batch names its tables.
            None if body["RequestItems"].is_object() => {
                let tables = body["RequestItems"].as_object().into_iter().flat_map(|tables| tables.keys());
                tables.map(|name| right(operation, table(template, name))).collect()
            }
            None => {
                let table = table(template, text("TableName"));
                let index = body["IndexName"].as_str().map(|index| format!("/index/{index}")).unwrap_or_default();
                vec![right(operation, format!("{table}{index}"))]
            }
        },
        Service::Sqs => {
            let name = text("QueueUrl").rsplit('/').next().unwrap_or_default();
            let arn = template.queues.iter().find(|queue| queue.name == name).map_or(name, |queue| &queue.arn);
            vec![right(operation.trim_end_matches("Batch"), arn.to_owned())]
        }
        Service::Secretsmanager => {
            let id = text("SecretId");
            let arn = template.secrets.iter().find(|secret| secret.name == id).map_or(id, |secret| &secret.arn);
            vec![right(operation, arn.to_owned())]
        }
        Service::Kms => {
            let named = |id: &str| {
                let is_it = |key: &&Key| {
                    id == key.arn || id.ends_with(&key.logical_id) || key.aliases.iter().any(|it| it == id)
                };
                template.keys.iter().find(is_it).map_or(id, |key| &key.arn).to_owned()
            };
            // Where the call names no key, the ciphertext does: the embedded KMS begins each with the key's id.
            let source = |id: &str| {
                let blob = STANDARD.decode(text("CiphertextBlob")).unwrap_or_default();
                let wrapping = keys.iter().find(|(id, _)| blob.starts_with(id.as_bytes())).map(|(_, arn)| arn);
                let key = wrapping.or(template.keys.first().map(|key| &key.arn)).filter(|_| id.is_empty());
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

fn table(template: &Template, name: &str) -> String {
    template.tables.iter().find(|table| table.name == name).map_or(name, |table| &table.arn).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        Service::{Dynamodb, Events, Kms, Secretsmanager, Sqs},
        *,
    };
    use crate::{bootstraps::root, rights, template::Context};

    fn template() -> Template {
        let context = Context {
            region: REGION.into(),
            account: ACCOUNT.into(),
            sqs_base: "http://aws".into(),
            api_url: "http://api".into(),
            own: Vec::new(),
        };
        let given = rights::OTHER_KEYS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Template::load(&root().join("template.yaml"), &given, &context).unwrap()
    }

    fn rights(template: &Template, service: Service, operation: &str, body: &Value) -> Vec<Right> {
        let [(_, given), _] = rights::OTHER_KEYS;
        let keys = [("0123", &*template.keys[0].arn), ("4567", given)];
        let keys = keys.map(|(id, arn)| (id.to_owned(), arn.to_owned())).into();
        needed(template, &keys, service, operation, body)
    }

    #[test]
    fn a_function_may_do_what_its_role_says_and_nothing_else() {
        let queue = |name: &str| json!({ "QueueUrl": format!("http://aws/{ACCOUNT}/intertie-{name}") });
        let table = |name: &str| json!({ "TableName": format!("intertie-{name}") });
        let write =
            |name: &str| json!({ "TransactItems": [{ "Update": { "TableName": format!("intertie-{name}") } }] });
        let index = json!({ "TableName": "intertie-integrations", "IndexName": "by_account" });
        let bus = |name: &str| json!({ "Entries": [{ "EventBusName": name }] });
        let secret = |name: &str| json!({ "SecretId": format!("intertie/{name}") });
        let wrapped = |purpose: &str| json!({ "EncryptionContext": { "app": "intertie", "purpose": purpose } });
        let fresh = |purpose: &str| json!({ "KeyId": "alias/intertie", "EncryptionContext": { "app": "intertie", "purpose": purpose } });
        let template = template();
        for (allowed, function, service, operation, body) in [
            (true, "webhook-ingest", Sqs, "SendMessage", queue("webhooks")),
            (false, "webhook-ingest", Sqs, "SendMessage", queue("syncs")),
            (false, "webhook-ingest", Sqs, "ReceiveMessage", queue("webhooks")),
            (true, "webhook-ingest", Secretsmanager, "GetSecretValue", secret("stripe")),
            (false, "webhook-ingest", Secretsmanager, "GetSecretValue", secret("session")),
            (false, "webhook-ingest", Dynamodb, "GetItem", table("records")),
            (true, "webhook-process", Dynamodb, "TransactWriteItems", write("records")),
            (false, "webhook-process", Dynamodb, "TransactWriteItems", write("credentials")),
            (true, "webhook-process", Dynamodb, "Query", index.clone()),
            (false, "webhook-process", Dynamodb, "Query", table("integrations")),
            (true, "webhook-process", Sqs, "DeleteMessageBatch", queue("webhooks")),
            (true, "webhook-process", Events, "PutEvents", bus("intertie")),
            (false, "webhook-process", Events, "PutEvents", bus("default")),
            (false, "webhook-process", Events, "PutEvents", json!({ "Entries": [{}] })),
            (false, "integrations-api", Dynamodb, "Query", table("credentials")),
            (true, "token-refresh", Kms, "Decrypt", wrapped("credential")),
            (false, "token-refresh", Kms, "Decrypt", wrapped("webhook_secret")),
            (false, "token-refresh", Kms, "Decrypt", json!({})),
            (false, "token-refresh", Kms, "GenerateDataKey", fresh("credential")),
            (true, "oauth-callback", Kms, "GenerateDataKey", fresh("credential")),
            (true, "oauth-callback", Kms, "GenerateDataKey", fresh("webhook_secret")),
            (false, "oauth-callback", Kms, "GenerateDataKey", fresh("other")),
            (false, "integrations-api", Kms, "Decrypt", wrapped("credential")),
            (true, "webhook-ingest", Kms, "Decrypt", wrapped("webhook_secret")),
            (false, "webhook-ingest", Kms, "Decrypt", wrapped("credential")),
            (false, "webhook-process", Kms, "Decrypt", wrapped("credential")),
            (false, "sync-scheduler", Kms, "Decrypt", wrapped("credential")),
            (false, "sync-scheduler", Dynamodb, "GetItem", table("credentials")),
        ] {
            let function = template.functions.iter().find(|it| it.binary == function).unwrap();
            let rights = rights(&template, service, operation, &body);
            let lacking: Vec<_> = rights.iter().filter(|right| !right.is_granted(function)).collect();
            assert_eq!(lacking.is_empty(), allowed, "{}: {lacking:?}", function.binary);
        }
    }

    #[test]
    fn a_ciphertext_is_of_the_key_whose_id_it_begins_with() {
        let template = template();
        let [(_, given), _] = rights::OTHER_KEYS;
        let own = template.keys[0].arn.as_str();
        for (blob, key) in [("0123 and more", own), ("4567", given), ("89", own), ("", own)] {
            let body = json!({ "CiphertextBlob": STANDARD.encode(blob), "DestinationKeyId": "alias/intertie" });
            let keys: Vec<_> = rights(&template, Kms, "ReEncrypt", &body).into_iter().map(|it| it.resource).collect();
            assert_eq!(keys, [key, given], "{blob}");
            assert_eq!(rights(&template, Kms, "Decrypt", &body)[0].resource, key, "{blob}");
        }
    }
}
