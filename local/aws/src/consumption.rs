//! What calls of functions consume of DynamoDB: its own account, which the gateway asks for in each call.
//!
//! DynamoDB gives none with a refusal, and charges for it all the same: then the units are those of the item that refused, as
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html> (read 2026-11) has it.

use std::{
    collections::BTreeMap,
    ops::{AddAssign, Sub},
};

use dynoxide::types::{Item, item_size, write_capacity_units};
use hyper::body::Bytes;
use serde_json::Value;

/// A transaction's writes count double.
const OF_TRANSACTION: f64 = 2.0;

/// By function, table and operation.
pub type Consumption = BTreeMap<(String, String, String), Consumed>;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Consumed {
    pub calls: u64,
    /// Read request units: a consistent read of 4 KB takes one.
    pub read: f64,
    /// Write request units, those of indexes too.
    pub write: f64,
    /// Items that were put, updated or deleted.
    pub items: u64,
}

impl AddAssign for Consumed {
    fn add_assign(&mut self, more: Self) {
        self.calls += more.calls;
        self.read += more.read;
        self.write += more.write;
        self.items += more.items;
    }
}

impl Sub for Consumed {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            calls: self.calls - before.calls,
            read: self.read - before.read,
            write: self.write - before.write,
            items: self.items - before.items,
        }
    }
}

/// The call with the wish to be told what it consumes.
pub(super) fn asking(body: &Bytes) -> Bytes {
    let Ok(Value::Object(mut call)) = serde_json::from_slice(body) else { return body.clone() };
    call.insert("ReturnConsumedCapacity".to_owned(), "TOTAL".into());
    Value::Object(call).to_string().into()
}

/// What a call consumed, by table.
pub(super) fn of(operation: &str, call: &[u8], answer: &[u8]) -> BTreeMap<String, Consumed> {
    let [call, answer] = [call, answer].map(|json| serde_json::from_slice::<Value>(json).unwrap_or_default());
    let mut all: BTreeMap<String, Consumed> = BTreeMap::new();
    let writes = writes(operation, &call);
    let account = &answer["ConsumedCapacity"];
    if account.is_null() {
        return refused(writes, &answer);
    }
    for of_table in account.as_array().map_or(std::slice::from_ref(account), Vec::as_slice) {
        let units = of_table["CapacityUnits"].as_f64().unwrap_or_default();
        let [read, write] = if writes.is_empty() { [units, 0.0] } else { [0.0, units] };
        let items = writes.iter().filter(|table| **table == &of_table["TableName"]).count();
        let items = u64::try_from(items).unwrap_or(u64::MAX);
        *all.entry(name(&of_table["TableName"])).or_default() += Consumed { calls: 1, read, write, items };
    }
    all
}

/// What writes consumed that a condition refused.
fn refused(writes: Vec<&Value>, answer: &Value) -> BTreeMap<String, Consumed> {
    let (items, factor) = match answer["CancellationReasons"].as_array() {
        Some(reasons) => (reasons.iter().map(|reason| &reason["Item"]).collect(), OF_TRANSACTION),
        None => (vec![&answer["Item"]], 1.0),
    };
    let mut all: BTreeMap<String, Consumed> = BTreeMap::new();
    for (table, item) in writes.into_iter().zip(items) {
        let size = serde_json::from_value::<Item>(item.clone()).map_or(0, |item| item_size(&item));
        let of_table = all.entry(name(table)).or_default();
        of_table.calls = 1;
        of_table.write += factor * write_capacity_units(size);
    }
    all
}

fn name(table: &Value) -> String {
    table.as_str().unwrap_or_default().to_owned()
}

/// The table of each item that a call writes or checks.
fn writes<'c>(operation: &str, call: &'c Value) -> Vec<&'c Value> {
    match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => vec![&call["TableName"]],
        "TransactWriteItems" => {
            let writes = call["TransactItems"].as_array().into_iter().flatten();
            writes.filter_map(|write| write.as_object()?.values().next()).map(|write| &write["TableName"]).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn consumed(operation: &str, call: &Value, answer: &Value) -> Vec<(String, [f64; 4])> {
        let all = of(operation, call.to_string().as_bytes(), answer.to_string().as_bytes());
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let figures = |it: Consumed| [it.calls as f64, it.read, it.write, it.items as f64];
        all.into_iter().map(|(table, it)| (table, figures(it))).collect()
    }

    #[test]
    fn dynamodbs_own_account_counts_by_table() {
        let query = json!({ "TableName": "a" });
        let answer = json!({ "Items": [], "ConsumedCapacity": { "TableName": "a", "CapacityUnits": 2.5 } });
        assert_eq!(consumed("Query", &query, &answer), [("a".to_owned(), [1.0, 2.5, 0.0, 0.0])]);
        let of = |table: &str, units: f64| json!({ "TableName": table, "CapacityUnits": units });
        let put = |table: &str| json!({ "Put": { "TableName": table } });
        let writes = json!({ "TransactItems": [put("a"), put("b"), put("a")] });
        let answer = json!({ "ConsumedCapacity": [of("a", 4.0), of("b", 2.0)] });
        assert_eq!(
            consumed("TransactWriteItems", &writes, &answer),
            [("a".to_owned(), [1.0, 0.0, 4.0, 2.0]), ("b".to_owned(), [1.0, 0.0, 2.0, 1.0])]
        );
    }

    #[test]
    fn a_refused_write_costs_what_the_item_that_refused_it_costs() {
        let (update, item) = (json!({ "TableName": "a" }), json!({ "text": { "S": "x".repeat(1500) } }));
        let refused = json!({ "__type": "ConditionalCheckFailedException", "Item": item });
        assert_eq!(consumed("UpdateItem", &update, &refused), [("a".to_owned(), [1.0, 0.0, 2.0, 0.0])]);
        let writes = json!({ "TransactItems": [{ "Update": update }, { "Put": update }] });
        let refused = json!({ "CancellationReasons": [{ "Code": "None" }, { "Item": item }] });
        assert_eq!(consumed("TransactWriteItems", &writes, &refused), [("a".to_owned(), [1.0, 0.0, 6.0, 0.0])]);
    }
}
