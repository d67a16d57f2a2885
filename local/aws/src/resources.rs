//! The resources of a stack, as the embedded services create them and the gateway authorises calls on them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// Dead-letter queues before those that redrive to them.
    pub queues: Vec<Queue>,
    pub tables: Vec<Table>,
    pub secrets: Vec<Secret>,
    pub keys: Vec<Key>,
    pub buses: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    pub logical_id: String,
    pub name: String,
    pub arn: String,
    /// As functions get it in their environment.
    pub url: String,
    /// As `CreateQueue` takes them: numbers as text, policies as JSON.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub logical_id: String,
    pub name: String,
    pub arn: String,
    /// Types of the attributes that are keys, here or in an index.
    pub attributes: BTreeMap<String, AttributeType>,
    pub key_schema: KeySchema,
    /// The global ones, which have a partition key of their own.
    pub indexes: Vec<Index>,
    /// Those that share the table's partition key.
    pub local_indexes: Vec<Index>,
    /// The attribute with the time to live.
    pub ttl: Option<String>,
    /// `StreamViewType`.
    pub stream_view: Option<String>,
    pub pitr: bool,
    /// Encryption with a key in KMS instead of DynamoDB's own.
    pub sse: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AttributeType {
    S,
    N,
    B,
}

/// The key of a table or an index.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<KeyElement>")]
pub struct KeySchema {
    pub hash: String,
    pub range: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Index {
    #[serde(rename = "IndexName")]
    pub name: String,
    pub key_schema: KeySchema,
    pub projection: Projection,
}

/// What an index holds beside the keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "ProjectionType", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "PascalCase")]
pub enum Projection {
    KeysOnly,
    All,
    Include { non_key_attributes: Vec<String> },
}

/// A secret as it is first created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    pub logical_id: String,
    pub name: String,
    /// As roles name it. The six characters that Secrets Manager would append are zeros.
    pub arn: String,
    pub value: SecretValue,
}

/// A secret's first value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretValue {
    Literal(String),
    /// The JSON object `template`, with a random text of `length` characters of `alphabet` added under `key`.
    Generated {
        template: Map<String, Value>,
        key: String,
        length: usize,
        alphabet: String,
    },
}

/// A KMS key. Its id is made by KMS, so the logical id stands in its place here, in `arn` and in what refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub logical_id: String,
    pub arn: String,
    /// Each begins with `alias/`.
    pub aliases: Vec<String>,
}

/// One element of a key schema, as CloudFormation writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct KeyElement {
    attribute_name: String,
    key_type: KeyType,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum KeyType {
    Hash,
    Range,
}

impl TryFrom<Vec<KeyElement>> for KeySchema {
    type Error = &'static str;

    fn try_from(elements: Vec<KeyElement>) -> Result<Self, Self::Error> {
        let mut elements = elements.into_iter();
        match (elements.next(), elements.next(), elements.next()) {
            (Some(KeyElement { attribute_name: hash, key_type: KeyType::Hash }), None, None) => {
                Ok(Self { hash, range: None })
            }
            (
                Some(KeyElement { attribute_name: hash, key_type: KeyType::Hash }),
                Some(KeyElement { attribute_name: range, key_type: KeyType::Range }),
                None,
            ) => Ok(Self { hash, range: Some(range) }),
            _ => Err("a KeySchema is one HASH, which may be followed by one RANGE"),
        }
    }
}
