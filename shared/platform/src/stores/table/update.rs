//! An update of one item: what it sets, the condition under which it does, and the values of both.

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{self, ReturnValue, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem},
};

use super::{Table, WRITE_ID, write_id};
use crate::{
    aws::AwsError,
    stores::{
        expression::{Attributes, Expressions, Value},
        item::Item,
    },
};

/// An update in the making. Its expressions share their values.
#[derive(Debug, Clone)]
#[must_use]
pub(crate) struct Update {
    table: Table,
    key: Item,
    clauses: [(&'static str, Vec<String>); 3],
    conditions: Vec<String>,
    expressions: Expressions,
    returns: ReturnValue,
}

/// What became of an update.
#[derive(Debug)]
#[must_use]
pub(crate) enum Outcome {
    /// It was made. The item is what the update asks for by [`Update::returning`]; if it asks for nothing, empty.
    Written(Item),
    /// The condition did not hold for this item; empty if there is none.
    Refused(Item),
}

impl Outcome {
    pub(crate) fn is_written(&self) -> bool {
        matches!(self, Self::Written(_))
    }

    pub(crate) fn written(self) -> Option<Item> {
        match self {
            Self::Written(item) => Some(item),
            Self::Refused(_) => None,
        }
    }

    /// For a condition that is expected to hold.
    pub(crate) fn or_conflict(self) -> Result<(), AwsError> {
        match self {
            Self::Written(_) => Ok(()),
            Self::Refused(_) => Err(AwsError::entry("dynamodb:UpdateItem", "ConditionalCheckFailedException")),
        }
    }
}

impl Update {
    pub(super) fn new(table: Table, key: Item) -> Self {
        Self {
            table,
            key,
            clauses: ["SET", "REMOVE", "ADD"].map(|clause| (clause, Vec::new())),
            conditions: Vec::new(),
            expressions: Expressions::default(),
            returns: ReturnValue::None,
        }
    }

    /// Sets attributes: `state = :state, attempts = attempts + :one`. Further calls set more.
    pub(crate) fn set(self, assignments: &str) -> Self {
        self.clause(0, assignments)
    }

    /// Removes attributes: `holder, lease_until`.
    pub(crate) fn remove(self, attributes: &str) -> Self {
        self.clause(1, attributes)
    }

    /// Adds to numbers: `effects :one`.
    pub(crate) fn add(self, additions: &str) -> Self {
        self.clause(2, additions)
    }

    /// Makes the update only if this holds of the item that is stored, and what earlier calls of this name say.
    pub(crate) fn when(mut self, condition: &str) -> Self {
        let condition = self.expressions.expression(condition);
        self.conditions.push(condition);
        self
    }

    /// The values that the expressions name.
    pub(crate) fn with<'a>(mut self, values: impl IntoIterator<Item = Value<'a>>) -> Self {
        self.expressions.bind(values);
        self
    }

    /// Has a word of the expressions that follow stand for an attribute of another name.
    pub(crate) fn alias(mut self, word: &str, name: &str) -> Self {
        self.expressions.alias(word, name);
        self
    }

    /// Which item the outcome has if the update is made.
    pub(crate) fn returning(self, returns: ReturnValue) -> Self {
        Self { returns, ..self }
    }

    /// Makes an update that says the same when it is repeated: the SDK repeats a call whose reply was lost.
    pub(crate) async fn send(self) -> Result<Outcome, AwsError> {
        let (update, condition) = (self.update(), self.condition());
        let on_failure = condition.as_ref().map(|_| AllOld);
        let call = self.table.client.update_item().table_name(self.table.name).set_key(Some(self.key));
        let call = call.update_expression(update).set_condition_expression(condition).return_values(self.returns);
        let Attributes { names, values } = self.expressions.attributes();
        let call = call.set_expression_attribute_names(names).set_expression_attribute_values(values);
        match call.set_return_values_on_condition_check_failure(on_failure).send().await {
            Ok(output) => Ok(Outcome::Written(output.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    Ok(Outcome::Refused(refusal.item().cloned().unwrap_or_default()))
                }
                _ => Err(AwsError::new("dynamodb:UpdateItem", error)),
            },
        }
    }

    /// Makes an update that a repeat could not tell from another's: see [`crate::stores::table`]. If its repeat finds it made, the
    /// outcome has the whole item.
    pub(crate) async fn send_once(self) -> Result<Outcome, AwsError> {
        let id = write_id();
        let update = self.set("write_id = :write_id").with([(":write_id", id.clone())]);
        Ok(match update.send().await? {
            Outcome::Refused(stored) if stored.get(WRITE_ID) == Some(&id) => Outcome::Written(stored),
            outcome @ (Outcome::Written(_) | Outcome::Refused(_)) => outcome,
        })
    }

    /// The update as part of a transaction.
    pub(crate) fn transact(self) -> Result<TransactWriteItem, AwsError> {
        let (update, condition) = (self.update(), self.condition());
        let Attributes { names, values } = self.expressions.attributes();
        let update = types::Update::builder()
            .update_expression(update)
            .set_return_values_on_condition_check_failure(condition.as_ref().map(|_| AllOld))
            .set_condition_expression(condition)
            .table_name(self.table.name)
            .set_key(Some(self.key))
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .build();
        let update = update.map_err(|error| AwsError::unwritable("an update", error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn clause(mut self, index: usize, text: &str) -> Self {
        let text = self.expressions.expression(text);
        self.clauses[index].1.push(text);
        self
    }

    fn update(&self) -> String {
        let used = self.clauses.iter().filter(|(_, texts)| !texts.is_empty());
        used.map(|(clause, texts)| format!("{clause} {}", texts.join(", "))).collect::<Vec<_>>().join(" ")
    }

    fn condition(&self) -> Option<String> {
        // DynamoDB refuses redundant parentheses.
        let several = self.conditions.len() > 1;
        let part = |one: &String| if several && one.contains(" OR ") { format!("({one})") } else { one.clone() };
        (!self.conditions.is_empty()).then(|| self.conditions.iter().map(part).collect::<Vec<_>>().join(" AND "))
    }
}
