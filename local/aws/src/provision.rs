//! Creates the resources of a stack by the services' own APIs.

use std::{collections::BTreeMap, error::Error};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, LocalSecondaryIndex,
    Projection as IndexProjection, ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
    TimeToLiveSpecification,
};
use aws_sdk_sqs::{error::ProvideErrorMetadata, types::QueueAttributeName};
use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::{
    Clients,
    resources::{AttributeType, KeySchema, Projection, Resources, SecretValue, Table},
};

#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error(
        "{what} is there already: another stack has its prefix at this endpoint; choose another, with --parameter-overrides Prefix=NAME, or an empty endpoint"
    )]
    Exists { what: String },
    #[error("can't create {what}: {reason}; look at the output of the AWS that --aws-endpoint names, if one is named")]
    Refused { what: String, reason: String },
}

/// The services' codes for a name that is in use.
const IN_USE: [&str; 6] = [
    "AlreadyExistsException",
    "QueueAlreadyExists",
    "QueueNameExists",
    "ResourceAlreadyExistsException",
    "ResourceExistsException",
    "ResourceInUseException",
];

impl ProvisionError {
    /// A refusal by a service.
    fn new<E: Error + ProvideErrorMetadata>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        |error| {
            let in_use = error.code().is_some_and(|code| IN_USE.contains(&code));
            if in_use { Self::Exists { what } } else { Self::build(what)(error) }
        }
    }

    /// A request that can't be made.
    fn build<E: Error>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        |error| {
            let mut reason = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                reason = format!("{reason}: {error}");
                source = error.source();
            }
            Self::Refused { what, reason }
        }
    }
}

/// Creates everything. KMS chooses the ids of keys: the result has the ARN of each by its id.
pub async fn provision(clients: &Clients, resources: &Resources) -> Result<BTreeMap<String, String>, ProvisionError> {
    // In order: a queue names its dead-letter queue.
    for queue in &resources.queues {
        let call = clients.sqs.create_queue().queue_name(&queue.name);
        let call = queue
            .attributes
            .iter()
            .fold(call, |call, (name, value)| call.attributes(QueueAttributeName::from(name.as_str()), value));
        call.send().await.map_err(ProvisionError::new(format!("queue {}", queue.name)))?;
    }
    try_join_all(resources.tables.iter().map(|table| create_table(clients, table))).await?;
    let mut keys = BTreeMap::new();
    for key in &resources.keys {
        let what = || format!("key {}", key.logical_id);
        let created = clients.kms.create_key().send().await.map_err(ProvisionError::new(what()))?;
        let id = created.key_metadata().map(|key| key.key_id().to_owned()).unwrap_or_default();
        for alias in &key.aliases {
            let call = clients.kms.create_alias().alias_name(alias).target_key_id(&id);
            call.send().await.map_err(ProvisionError::new(what()))?;
        }
        keys.insert(id, key.arn.clone());
    }
    for secret in &resources.secrets {
        let call = clients.secrets.create_secret().name(&secret.name).secret_string(first_value(&secret.value));
        call.send().await.map_err(ProvisionError::new(format!("secret {}", secret.name)))?;
    }
    for bus in &resources.buses {
        let call = clients.events.create_event_bus().name(bus);
        call.send().await.map_err(ProvisionError::new(format!("bus {bus}")))?;
    }
    Ok(keys)
}

async fn create_table(clients: &Clients, table: &Table) -> Result<(), ProvisionError> {
    let what = || format!("table {}", table.name);
    let mut call = clients.dynamodb.create_table().table_name(&table.name).billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in &table.attributes {
        let kind = match kind {
            AttributeType::S => ScalarAttributeType::S,
            AttributeType::N => ScalarAttributeType::N,
            AttributeType::B => ScalarAttributeType::B,
        };
        let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
        call = call.attribute_definitions(definition.map_err(ProvisionError::build(what()))?);
    }
    call = call.set_key_schema(Some(key_schema(&table.key_schema).map_err(ProvisionError::build(what()))?));
    for index in &table.indexes {
        let index = GlobalSecondaryIndex::builder()
            .index_name(&index.name)
            .set_key_schema(Some(key_schema(&index.key_schema).map_err(ProvisionError::build(what()))?))
            .projection(projection(&index.projection))
            .build();
        call = call.global_secondary_indexes(index.map_err(ProvisionError::build(what()))?);
    }
    for index in &table.local_indexes {
        let index = LocalSecondaryIndex::builder()
            .index_name(&index.name)
            .set_key_schema(Some(key_schema(&index.key_schema).map_err(ProvisionError::build(what()))?))
            .projection(projection(&index.projection))
            .build();
        call = call.local_secondary_indexes(index.map_err(ProvisionError::build(what()))?);
    }
    if let Some(view) = &table.stream_view {
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::from(view.as_str()))
            .build();
        call = call.stream_specification(stream.map_err(ProvisionError::build(what()))?);
    }
    call.send().await.map_err(ProvisionError::new(what()))?;
    if let Some(attribute) = &table.ttl {
        let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(attribute).build();
        let ttl = ttl.map_err(ProvisionError::build(what()))?;
        let call = clients.dynamodb.update_time_to_live().table_name(&table.name).time_to_live_specification(ttl);
        call.send().await.map_err(ProvisionError::new(what()))?;
    }
    Ok(())
}

fn projection(projection: &Projection) -> IndexProjection {
    let it = IndexProjection::builder();
    match projection {
        Projection::KeysOnly => it.projection_type(ProjectionType::KeysOnly),
        Projection::All => it.projection_type(ProjectionType::All),
        Projection::Include { non_key_attributes } => {
            it.projection_type(ProjectionType::Include).set_non_key_attributes(Some(non_key_attributes.clone()))
        }
    }
    .build()
}

fn key_schema(schema: &KeySchema) -> Result<Vec<KeySchemaElement>, aws_sdk_dynamodb::error::BuildError> {
    let element = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let range = schema.range.as_deref().map(|range| element(range, KeyType::Range));
    std::iter::once(element(&schema.hash, KeyType::Hash)).chain(range).collect()
}

fn first_value(value: &SecretValue) -> String {
    match value {
        SecretValue::Literal(text) => text.clone(),
        SecretValue::Generated { template, key, length, alphabet } => {
            let mut template = template.clone();
            template.insert(key.clone(), random_text(*length, alphabet).into());
            serde_json::Value::Object(template).to_string()
        }
    }
}

/// `length` random characters of `alphabet`.
pub fn random_text(length: usize, alphabet: &str) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    // Bytes 6 and 8 of a version 4 UUID are not all random.
    let bytes =
        std::iter::repeat_with(|| Uuid::new_v4().into_bytes()).flat_map(|bytes| [bytes[0], bytes[1], bytes[15]]);
    bytes.take(length).filter_map(|byte| alphabet.get(usize::from(byte) % alphabet.len())).collect()
}
