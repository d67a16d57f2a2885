//! Which IAM actions on which resources a call needs, so that a function can do here only what its role allows.

use serde_json::Value;

use super::Service;
use crate::template::{Function, Template, allows};

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
            let arn = template.keys.first().map_or(text("KeyId"), |key| &key.arn);
            vec![right(operation, arn.to_owned())]
        }
        Service::Events => {
            let entries = body["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
            let buses = entries.iter().filter_map(|entry| entry["EventBusName"].as_str());
            let account = |bus: &str| {
                let function = template.functions.first().map_or("", |function| &function.arn);
                let mut parts = function.split(':').skip(3);
                let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                format!("arn:aws:events:{region}:{account}:event-bus/{bus}")
            };
            buses.map(|bus| right(operation, account(bus))).collect()
        }
    }
}

fn table(template: &Template, name: &str) -> String {
    template.tables.iter().find(|table| table.name == name).map_or(name, |table| &table.arn).to_owned()
}
