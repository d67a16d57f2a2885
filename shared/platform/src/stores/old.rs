//! Reading and writing DynamoDB items.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::{
        put_item::{PutItemError, builders::PutItemFluentBuilder},
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure::AllOld},
};
use jiff::Timestamp;

use crate::aws::AwsError;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The attribute in which a conditional write recognises its own effect.
const WRITE_ID: &str = "write_id";

/// Makes a conditional update: the item as it is afterwards, if the call asks for `ALL_NEW`. `None` if the condition did not hold.
///
/// The SDK repeats a call whose reply was lost, and the repeat may meet what the first one wrote. So each call leaves a random
/// number in the item; a repeat that finds it there knows that the call was carried out.
pub(crate) async fn conditional(call: UpdateItemFluentBuilder) -> Result<Option<Item>, AwsError> {
    Ok(conditional_or_stored(call).await?.ok())
}

/// The same. If the condition did not hold, the error is the item that is stored; empty if there is none.
pub(crate) async fn conditional_or_stored(call: UpdateItemFluentBuilder) -> Result<Result<Item, Item>, AwsError> {
    let id = write_id();
    let update = call.get_update_expression().as_deref().unwrap_or_default();
    let update = match update.strip_prefix("SET ") {
        Some(rest) => format!("SET {WRITE_ID} = :{WRITE_ID}, {rest}"),
        None => format!("SET {WRITE_ID} = :{WRITE_ID} {update}"),
    };
    let call = call.update_expression(update).expression_attribute_values(format!(":{WRITE_ID}"), id.clone());
    match call.return_values_on_condition_check_failure(AllOld).send().await {
        Ok(output) => Ok(Ok(output.attributes.unwrap_or_default())),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                let stored = refusal.item().cloned().unwrap_or_default();
                Ok(if stored.get(WRITE_ID) == Some(&id) { Ok(stored) } else { Err(stored) })
            }
            _ => Err(AwsError::new("dynamodb:UpdateItem", error)),
        },
    }
}

/// Puts an item unless there is one of the same key, whose attribute is `key`. Whether this call did: as in [`conditional`],
/// a repeat recognises it.
pub(crate) async fn create(call: PutItemFluentBuilder, key: &str) -> Result<bool, AwsError> {
    let id = write_id();
    let call = call
        .item(WRITE_ID, id.clone())
        .condition_expression("attribute_not_exists(#key)")
        .expression_attribute_names("#key", key)
        .return_values_on_condition_check_failure(AllOld);
    match call.send().await {
        Ok(_) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                Ok(refusal.item().is_some_and(|item| item.get(WRITE_ID) == Some(&id)))
            }
            _ => Err(AwsError::new("dynamodb:PutItem", error)),
        },
    }
}

fn write_id() -> AttributeValue {
    s(format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)))
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
