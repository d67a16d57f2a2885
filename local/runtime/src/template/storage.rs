//! What functions call: queues, tables, secrets, keys and buses.

use std::collections::BTreeMap;

use local_aws::resources::{AttributeType, Index, Key, KeySchema, Queue, Secret, SecretValue, Table};
use serde::{Deserialize, de::Error as _};

use super::{
    document::Kind,
    error::TemplateError,
    parameters::text,
    resolve::{Location, Resolver},
};

/// The properties of a queue that are attributes of `CreateQueue` under the same name.
const QUEUE_ATTRIBUTES: &[&str] = &[
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
];

/// Capacity, cost and protection of a table; `TableName` is read apart.
const TABLE_DEPLOYED_ONLY: &[&str] = &[
    "BillingMode",
    "ContributorInsightsSpecification",
    "DeletionProtectionEnabled",
    "OnDemandThroughput",
    "TableClass",
    "TableName",
    "Tags",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct TableProperties {
    attribute_definitions: Vec<AttributeDefinition>,
    key_schema: KeySchema,
    #[serde(default)]
    global_secondary_indexes: Vec<Index>,
    #[serde(default)]
    local_secondary_indexes: Vec<Index>,
    time_to_live_specification: Option<TimeToLive>,
    stream_specification: Option<StreamSpecification>,
    #[serde(default)]
    point_in_time_recovery_specification: PointInTimeRecovery,
    #[serde(default, rename = "SSESpecification")]
    sse_specification: Encryption,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct AttributeDefinition {
    attribute_name: String,
    attribute_type: AttributeType,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct TimeToLive {
    attribute_name: Option<String>,
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct StreamSpecification {
    stream_view_type: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct PointInTimeRecovery {
    point_in_time_recovery_enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Encryption {
    #[serde(rename = "SSEEnabled")]
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct SecretProperties {
    secret_string: Option<String>,
    generate_secret_string: Option<GenerateSecretString>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GenerateSecretString {
    secret_string_template: String,
    generate_string_key: String,
    #[serde(default = "default_length")]
    password_length: usize,
    #[serde(default)]
    exclude_punctuation: bool,
    #[serde(default)]
    exclude_characters: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct AliasProperties {
    alias_name: String,
    target_key_id: String,
}

/// Queues, those that redrive to another one last.
pub(super) fn queues(resolver: &Resolver) -> Result<Vec<Queue>, TemplateError> {
    let mut queues = Vec::new();
    for resource in resolver.resources(Kind::Queue)? {
        let at = Location::new(resource.path());
        let mut attributes = BTreeMap::new();
        for (property, value) in resolver.properties(&resource.properties, &["QueueName", "Tags"], &at)? {
            if !QUEUE_ATTRIBUTES.contains(&property.as_str()) {
                let source = serde_json::Error::unknown_field(&property, QUEUE_ATTRIBUTES);
                return Err(TemplateError::Properties { path: at.child(&property).path, source });
            }
            attributes.insert(property, text(&value).unwrap_or_else(|| value.to_string()));
        }
        let name = resolver.name(resource, &at)?;
        queues.push(Queue {
            logical_id: resource.id.clone(),
            arn: resolver.arn(resource, &at)?,
            url: resolver.queue_url(&name),
            name,
            attributes,
        });
    }
    queues.sort_by_key(|queue| queue.attributes.contains_key("RedrivePolicy"));
    Ok(queues)
}

pub(super) fn tables(resolver: &Resolver) -> Result<Vec<Table>, TemplateError> {
    let mut tables = Vec::new();
    for resource in resolver.resources(Kind::Table)? {
        let at = Location::new(resource.path());
        let table: TableProperties = resolver.read(&resource.properties, TABLE_DEPLOYED_ONLY, &at)?;
        let attributes = table.attribute_definitions.into_iter();
        tables.push(Table {
            logical_id: resource.id.clone(),
            name: resolver.name(resource, &at)?,
            arn: resolver.arn(resource, &at)?,
            attributes: attributes.map(|it| (it.attribute_name, it.attribute_type)).collect(),
            key_schema: table.key_schema,
            indexes: table.global_secondary_indexes,
            local_indexes: table.local_secondary_indexes,
            ttl: table.time_to_live_specification.filter(|it| it.enabled).and_then(|it| it.attribute_name),
            stream_view: table.stream_specification.map(|it| it.stream_view_type),
            pitr: table.point_in_time_recovery_specification.point_in_time_recovery_enabled,
            sse: table.sse_specification.enabled,
        });
    }
    Ok(tables)
}

pub(super) fn secrets(resolver: &Resolver) -> Result<Vec<Secret>, TemplateError> {
    let mut secrets = Vec::new();
    for resource in resolver.resources(Kind::Secret)? {
        let at = Location::new(resource.path());
        let skipped = ["Description", "KmsKeyId", "Name", "Tags"];
        let secret: SecretProperties = resolver.read(&resource.properties, &skipped, &at)?;
        let value = match (secret.secret_string, secret.generate_secret_string) {
            (Some(literal), None) => SecretValue::Literal(literal),
            (None, Some(generate)) => SecretValue::Generated {
                alphabet: generate.alphabet(),
                template: serde_json::from_str(&generate.secret_string_template).map_err(|source| {
                    TemplateError::Json { path: at.child("GenerateSecretString.SecretStringTemplate").path, source }
                })?,
                key: generate.generate_string_key,
                length: generate.password_length,
            },
            (Some(_), Some(_)) | (None, None) => {
                return Err(at.malformed("a secret with either SecretString or GenerateSecretString"));
            }
        };
        let (name, arn) = (resolver.name(resource, &at)?, resolver.arn(resource, &at)?);
        secrets.push(Secret { logical_id: resource.id.clone(), name, arn, value });
    }
    Ok(secrets)
}

impl GenerateSecretString {
    /// The characters Secrets Manager draws from.
    fn alphabet(&self) -> String {
        ('!'..='~')
            .filter(|c| !self.exclude_punctuation || c.is_ascii_alphanumeric())
            .filter(|c| !self.exclude_characters.contains(*c))
            .collect()
    }
}

/// Keys with their aliases, also a key of the local account that only an alias names. Key policies are left to the deployment.
pub(super) fn keys(resolver: &Resolver) -> Result<Vec<Key>, TemplateError> {
    let mut keys = Vec::new();
    for resource in resolver.resources(Kind::Key)? {
        let arn = resolver.arn(resource, &Location::new(resource.path()))?;
        keys.push(Key { logical_id: resource.id.clone(), arn, aliases: Vec::new() });
    }
    for resource in resolver.resources(Kind::Alias)? {
        let at = Location::new(resource.path());
        let alias: AliasProperties = resolver.read(&resource.properties, &[], &at)?;
        let target = alias.target_key_id;
        let (aliases, named) = (vec![alias.alias_name], |key: &&mut Key| target == key.logical_id || target == key.arn);
        match (keys.iter_mut().find(named), resolver.key_id(&target)) {
            (Some(key), _) => key.aliases.extend(aliases),
            (None, Some(id)) => keys.push(Key { logical_id: id.to_owned(), arn: target.clone(), aliases }),
            (None, None) => return Err(TemplateError::NoSuchKey { path: at.path, key: target }),
        }
    }
    Ok(keys)
}

pub(super) fn buses(resolver: &Resolver) -> Result<Vec<String>, TemplateError> {
    let buses = resolver.resources(Kind::Bus)?.into_iter();
    buses.map(|resource| resolver.name(resource, &Location::new(resource.path()))).collect()
}

fn default_length() -> usize {
    32
}
