//! Calls to one table of DynamoDB.
//!
//! *Invariant:* a conditional write says truly whether it was made, though the SDK repeats a call whose reply was lost: the write
//! leaves a random number in the item (`write_id`), and a repeat that is refused by an item with its own number knows that it was made.

mod update;

use std::time::Duration;

pub(crate) use self::update::{Outcome, Update};
use crate::{
    aws::{Aws, AwsError, client},
    stores::{
        expression::{Attributes, Expressions, Value},
        item::{Item, s},
    },
};
use aws_sdk_dynamodb::{
    Client,
    operation::{
        delete_item::DeleteItemError, put_item::PutItemError, query::builders::QueryFluentBuilder,
        transact_write_items::TransactWriteItemsError,
    },
    types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem},
};

/// How often a transaction that met another one is repeated.
const MAX_CONFLICTS: u32 = 4;
/// The wait before that, longer each time.
const CONFLICT_PAUSE: Duration = Duration::from_millis(25);
/// The attribute in which a conditional write recognises its own effect.
const WRITE_ID: &str = "write_id";

#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(super) client: Client,
    pub(super) name: String,
}

/// A query in the making.
#[derive(Debug)]
pub(crate) struct Query {
    call: QueryFluentBuilder,
    expressions: Expressions,
}

/// A write that its condition refused, so that its transaction was cancelled.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Its position in the transaction.
    pub(crate) index: usize,
    /// What is stored, if the write asks for it.
    pub(crate) stored: Option<Item>,
}

impl Table {
    pub(crate) fn new(aws: &Aws, name: impl Into<String>) -> Self {
        Self { client: client!(aws, aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB"), name: name.into() }
    }

    /// Reads an item consistently.
    pub(crate) async fn get(&self, key: Item) -> Result<Option<Item>, AwsError> {
        let call = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        Ok(call.send().await.map_err(|error| AwsError::new("dynamodb:GetItem", error))?.item)
    }

    /// The items that meet the condition on the key.
    pub(crate) fn query<const N: usize>(&self, condition: &str, values: [Value<'_>; N]) -> Query {
        let (condition, expressions) = Expressions::of(condition, values);
        let call = self.client.query().table_name(&self.name).key_condition_expression(condition);
        Query { call, expressions }
    }

    pub(crate) fn update(&self, key: Item) -> Update {
        Update::new(self.clone(), key)
    }

    pub(crate) async fn put(&self, item: Item) -> Result<(), AwsError> {
        let call = self.client.put_item().table_name(&self.name).set_item(Some(item));
        call.send().await.map_err(|error| AwsError::new("dynamodb:PutItem", error))?;
        Ok(())
    }

    /// Puts an item if the condition holds; if not, the error is an [`AwsError::Conflict`].
    pub(crate) async fn put_when<const N: usize>(
        &self,
        item: Item,
        condition: &str,
        values: [Value<'_>; N],
    ) -> Result<(), AwsError> {
        let (condition, expressions) = Expressions::of(condition, values);
        let Attributes { names, values } = expressions.attributes();
        let call = self.client.put_item().table_name(&self.name).set_item(Some(item)).condition_expression(condition);
        let call = call.set_expression_attribute_names(names).set_expression_attribute_values(values);
        call.send().await.map_err(|error| AwsError::new("dynamodb:PutItem", error))?;
        Ok(())
    }

    /// Puts an item unless there is one of the same key, of which `key` is an attribute. Whether this call did.
    pub(crate) async fn create(&self, item: Item, key: &str) -> Result<bool, AwsError> {
        let id = write_id();
        let (condition, expressions) = Expressions::of(&format!("attribute_not_exists({key})"), []);
        let call = self.client.put_item().table_name(&self.name).set_item(Some(item)).item(WRITE_ID, id.clone());
        let call = call.condition_expression(condition);
        let call = call.set_expression_attribute_names(expressions.attributes().names);
        match call.return_values_on_condition_check_failure(AllOld).send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                    Ok(refusal.item().is_some_and(|item| item.get(WRITE_ID) == Some(&id)))
                }
                _ => Err(AwsError::new("dynamodb:PutItem", error)),
            },
        }
    }

    pub(crate) async fn delete(&self, key: Item) -> Result<(), AwsError> {
        let call = self.client.delete_item().table_name(&self.name).set_key(Some(key));
        call.send().await.map_err(|error| AwsError::new("dynamodb:DeleteItem", error))?;
        Ok(())
    }

    /// Deletes an item if the condition holds; if not, the item stays.
    pub(crate) async fn delete_when<const N: usize>(
        &self,
        key: Item,
        condition: &str,
        values: [Value<'_>; N],
    ) -> Result<(), AwsError> {
        let (condition, expressions) = Expressions::of(condition, values);
        let Attributes { names, values } = expressions.attributes();
        let call = self.client.delete_item().table_name(&self.name).set_key(Some(key)).condition_expression(condition);
        let call = call.set_expression_attribute_names(names).set_expression_attribute_values(values);
        match call.send().await {
            Err(error)
                if !error.as_service_error().is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Err(AwsError::new("dynamodb:DeleteItem", error))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A put of a transaction.
    pub(crate) fn transact_put(&self, item: Item) -> Result<TransactWriteItem, AwsError> {
        let put = Put::builder().table_name(&self.name).set_item(Some(item)).build();
        let put = put.map_err(|error| AwsError::unwritable("a put", error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Makes all writes or none: those whose condition did not hold, and then none is made. A transaction that meets another one on
    /// the same item is repeated, which the SDK does not do; `writes` is asked for them each time, since they may have a time in them.
    pub(crate) async fn transact(
        &self,
        writes: impl Fn() -> Result<Vec<TransactWriteItem>, AwsError>,
    ) -> Result<Vec<Refusal>, AwsError> {
        for conflicts in 1.. {
            let call = self.client.transact_write_items().set_transact_items(Some(writes()?));
            let Err(error) = call.send().await else { break };
            let reasons = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    cancelled.cancellation_reasons()
                }
                _ => &[],
            };
            let refusals: Vec<_> = (reasons.iter().enumerate())
                .filter(|(_, reason)| reason.code() == Some("ConditionalCheckFailed"))
                .map(|(index, reason)| Refusal { index, stored: reason.item().cloned() })
                .collect();
            if !refusals.is_empty() {
                return Ok(refusals);
            }
            if conflicts > MAX_CONFLICTS || reasons.iter().all(|reason| reason.code() != Some("TransactionConflict")) {
                return Err(AwsError::new("dynamodb:TransactWriteItems", error));
            }
            tokio::time::sleep(CONFLICT_PAUSE * conflicts).await;
        }
        Ok(Vec::new())
    }
}

impl Query {
    /// Leaves out what does not meet this condition. It is read and paid for all the same.
    pub(crate) fn filter<const N: usize>(mut self, condition: &str, values: [Value<'_>; N]) -> Self {
        self.expressions.bind(values);
        let condition = self.expressions.expression(condition);
        Self { call: self.call.filter_expression(condition), ..self }
    }

    /// Reads these attributes only.
    pub(crate) fn project(mut self, attributes: &str) -> Self {
        let attributes = self.expressions.expression(attributes);
        Self { call: self.call.projection_expression(attributes), ..self }
    }

    /// The call, for all that is no expression.
    pub(crate) fn call(self) -> QueryFluentBuilder {
        let Attributes { names, values } = self.expressions.attributes();
        self.call.set_expression_attribute_names(names).set_expression_attribute_values(values)
    }
}

/// All items of a query, of as many pages as there are.
pub(crate) async fn items(call: QueryFluentBuilder) -> Result<Vec<Item>, AwsError> {
    let items = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    items.map_err(|error| AwsError::new("dynamodb:Query", error))
}

fn write_id() -> AttributeValue {
    s(format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)))
}
