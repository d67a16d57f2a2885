//! Reading and writing DynamoDB items.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::update_item::{UpdateItemError, UpdateItemOutput, builders::UpdateItemFluentBuilder},
    types::AttributeValue,
};
use jiff::Timestamp;

use crate::aws::AwsError;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Makes a conditional write. `None` if its condition did not hold.
pub(crate) async fn conditional(call: UpdateItemFluentBuilder) -> Result<Option<UpdateItemOutput>, AwsError> {
    match call.send().await {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) => {
            Ok(None)
        }
        Err(error) => Err(AwsError::new("dynamodb:UpdateItem", error)),
    }
}

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
    AwsError::Malformed(name.to_owned())
}
