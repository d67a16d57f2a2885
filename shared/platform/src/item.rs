//! Reading and writing DynamoDB items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use crate::aws::AwsError;

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn n(number: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

pub(crate) fn text<'i>(item: &'i Item, name: &str) -> Result<&'i str, AwsError> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or_else(|| malformed(name))
}

pub(crate) fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, AwsError> {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value.and_then(|text| text.parse().ok()).ok_or_else(|| malformed(name))
}

pub(crate) fn flag(item: &Item, name: &str) -> Result<bool, AwsError> {
    item.get(name).and_then(|value| value.as_bool().ok()).copied().ok_or_else(|| malformed(name))
}

pub(crate) fn time(item: &Item, name: &str) -> Result<Timestamp, AwsError> {
    text(item, name)?.parse().map_err(|_| malformed(name))
}

pub(crate) fn malformed(name: &str) -> AwsError {
    AwsError::answer("dynamodb", format!("a stored item has no usable attribute {name:?}"))
}
