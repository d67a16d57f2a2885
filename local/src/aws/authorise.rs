//! Which IAM actions on which resources a call needs, so that a function can do here only what its role allows.

use serde_json::Value;

use super::Service;
use crate::{
    stack::{ACCOUNT, REGION},
    template::{Function, Key, Template, allows},
};

/// One right a call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// `sqs:SendMessage`.
    pub action: String,
    /// The resource's ARN.
    pub resource: String,
}

/// The first right that `function` lacks for a call.
pub fn missing(
    template: &Template,
    function: &Function,
    service: Service,
    operation: &str,
    body: &Value,
) -> Option<Right> {
    needed(template, service, operation, body)
        .into_iter()
        .find(|right| !allows(&function.statements, &right.action, &right.resource))
}

fn needed(template: &Template, service: Service, operation: &str, body: &Value) -> Vec<Right> {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let right =
        |operation: &str, resource: String| Right { action: format!("{}:{operation}", service.name()), resource };
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
            let arn = |id: &str| {
                let named = |key: &&Key| {
                    id == key.arn || id.ends_with(&key.logical_id) || key.aliases.iter().any(|it| it == id)
                };
                // The ciphertext names the key; the template has one.
                let key = if id.is_empty() { template.keys.first() } else { template.keys.iter().find(named) };
                key.map_or(id, |key| &key.arn).to_owned()
            };
            match operation {
                "ReEncrypt" => vec![
                    right("ReEncryptFrom", arn(text("SourceKeyId"))),
                    right("ReEncryptTo", arn(text("DestinationKeyId"))),
                ],
                _ => vec![right(operation, arn(text("KeyId")))],
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
    use crate::{bootstraps::root, template::Context};

    fn lacks(function: &str, service: Service, operation: &str, body: &Value) -> bool {
        let context = Context {
            region: REGION.into(),
            account: ACCOUNT.into(),
            sqs_base: "http://aws".into(),
            api_url: "http://api".into(),
            own: Vec::new(),
        };
        let template = Template::load(&root().join("template.yaml"), &[], &context).unwrap();
        let function = template.functions.iter().find(|it| it.binary == function).unwrap();
        missing(&template, function, service, operation, body).is_some()
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
            (true, "token-refresh", Kms, "Decrypt", json!({})),
            (false, "token-refresh", Kms, "GenerateDataKey", json!({ "KeyId": "alias/intertie" })),
            (true, "oauth-callback", Kms, "GenerateDataKey", json!({ "KeyId": "alias/intertie" })),
            (false, "integrations-api", Kms, "Decrypt", json!({})),
            (true, "webhook-ingest", Kms, "Decrypt", json!({})),
            (false, "webhook-process", Kms, "Decrypt", json!({})),
            (false, "sync-scheduler", Kms, "Decrypt", json!({})),
            (false, "sync-scheduler", Dynamodb, "GetItem", table("credentials")),
        ] {
            assert_eq!(!lacks(function, service, operation, &body), allowed, "{function} {operation} {body}");
        }
    }
}
