//! Items of DynamoDB as structs, and attributes one by one.
//!
//! *Invariant:* an item that can't be read is an [`AwsError::Malformed`] with the name of the attribute and never its value.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_dynamo::{AttributeValue as Value, Deserializer};
use serde_path_to_error::Segment;

use crate::aws::AwsError;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Reads an item. Its other attributes are ignored.
pub(crate) fn read<T: DeserializeOwned>(item: Item) -> Result<T, AwsError> {
    let item = Value::M(serde_dynamo::Item::from(item).into());
    serde_path_to_error::deserialize(Deserializer::from_attribute_value(item)).map_err(|error| {
        if let Some(Segment::Map { key }) = error.path().iter().next() {
            return malformed(key);
        }
        // Where an attribute is missing, only serde's message says which.
        let message = error.inner().to_string();
        malformed(message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')).unwrap_or_default())
    })
}

/// Writes an item. What is `None` is no attribute.
pub(crate) fn write<T: Serialize>(value: &T) -> Result<Item, AwsError> {
    let mut item: Item = serde_dynamo::to_item(value).map_err(|error| AwsError::unwritable("an item", error))?;
    item.retain(|_, value| !value.is_null());
    Ok(item)
}

/// The attributes of a key.
pub(crate) fn key<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}

pub(crate) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn n(number: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

pub(crate) const fn flag(flag: bool) -> AttributeValue {
    AttributeValue::Bool(flag)
}

pub(crate) fn bytes(bytes: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// As RFC 3339.
pub(crate) fn time(at: Timestamp) -> AttributeValue {
    s(at.to_string())
}

/// As microseconds since 1970.
pub(crate) fn micros(at: Timestamp) -> AttributeValue {
    n(at.as_microsecond())
}

/// As milliseconds since 1970.
pub(crate) fn millis(at: Timestamp) -> AttributeValue {
    n(at.as_millisecond())
}

/// As seconds since 1970: what DynamoDB's TTL reads.
pub(crate) fn seconds(at: Timestamp) -> AttributeValue {
    n(at.as_second())
}

pub(crate) fn text<'i>(item: &'i Item, name: &str) -> Result<&'i str, AwsError> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or_else(|| malformed(name))
}

/// An attribute that a type of its own checks.
pub(crate) fn parsed<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, AwsError> {
    text(item, name)?.parse().map_err(|_| malformed(name))
}

pub(crate) fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, AwsError> {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value.and_then(|text| text.parse().ok()).ok_or_else(|| malformed(name))
}

pub(crate) fn malformed(name: &str) -> AwsError {
    AwsError::Malformed(name.to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::fmt::serde::timestamp::millisecond;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    struct Stored {
        state: State,
        count: u64,
        #[serde(with = "millisecond::required")]
        at: Timestamp,
        #[serde(with = "serde_bytes")]
        sealed: Vec<u8>,
        note: Option<String>,
        #[serde(default)]
        list: Vec<String>,
    }

    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    #[serde(rename_all = "snake_case")]
    enum State {
        Open,
    }

    fn item() -> Item {
        let list = AttributeValue::L(vec![s("a")]);
        key([("state", s("open")), ("count", n(3)), ("at", n(1_500)), ("sealed", bytes(vec![1, 2])), ("list", list)])
    }

    #[test]
    fn an_item_is_written_as_it_is_read() {
        let stored: Stored = read(item()).unwrap();
        assert_eq!(stored.at, Timestamp::from_millisecond(1_500).unwrap());
        assert_eq!((stored.note.as_deref(), stored.sealed.as_slice()), (None, [1, 2].as_slice()));
        assert_eq!(write(&stored).unwrap(), item());
    }

    #[test]
    fn what_cannot_be_read_is_named_and_never_quoted() {
        for (name, value) in [
            ("state", Some(s("quoted"))),
            ("state", Some(n(7))),
            ("state", None),
            ("count", Some(n(-777))),
            ("count", Some(s("quoted"))),
            ("count", None),
            ("at", Some(s("quoted"))),
            ("at", Some(n(i64::MAX))),
            ("sealed", Some(s("quoted"))),
            ("sealed", None),
            ("note", Some(n(777))),
        ] {
            let mut item = item();
            match value.clone() {
                Some(value) => item.insert(name.to_owned(), value),
                None => item.remove(name),
            };
            let error = read::<Stored>(item).unwrap_err();
            assert!(matches!(&error, AwsError::Malformed(attribute) if attribute == name), "{value:?}: {error:?}");
        }
    }
}
