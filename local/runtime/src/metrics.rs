//! What AWS itself measures of a stack, under CloudWatch's names: alarms and dashboards name them.
//!
//! *Invariant:* nothing is sampled here. Totals count from the start of the stack, so that a reader makes periods of its own by
//! differences.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::control::Control;

/// A metric of a service, with the dimensions under which AWS publishes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    pub namespace: &'static str,
    pub name: &'static str,
    pub dimensions: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    pub reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// The sum of all values since the start.
    Total(f64),
    /// A value that AWS samples.
    Now(f64),
}

impl Control {
    /// Every metric, whether anything was counted or not.
    pub fn measured(&self) -> Vec<Measured> {
        let mut all = Vec::new();
        for function in &self.functions {
            let (usage, name) = (function.usage(), &function.spec().name);
            let counted = [
                ("Invocations", count(usage.invocations)),
                ("Errors", count(usage.errors)),
                ("Throttles", count(usage.throttles)),
                ("Duration", milliseconds(usage.busy)),
            ];
            all.extend(counted.map(|(metric, total)| {
                measured("AWS/Lambda", metric, [("FunctionName", name)], Reading::Total(total))
            }));
            let group = format!("/aws/lambda/{name}");
            let bytes = Reading::Total(count(function.logged()));
            all.push(measured("AWS/Logs", "IncomingBytes", [("LogGroupName", &group)], bytes));
        }
        for queue in self.sqs.iter().flat_map(local_aws::sqs::Sqs::depths) {
            let now = [
                ("ApproximateNumberOfMessagesVisible", count(queue.visible)),
                ("ApproximateNumberOfMessagesNotVisible", count(queue.in_flight)),
                ("ApproximateNumberOfMessagesDelayed", count(queue.delayed)),
                ("ApproximateAgeOfOldestMessage", queue.oldest.unwrap_or_default().as_secs_f64()),
            ];
            let named = [("QueueName", &queue.name)];
            all.extend(now.map(|(metric, now)| measured("AWS/SQS", metric, named, Reading::Now(now))));
            let total = [("NumberOfMessagesSent", queue.sent), ("NumberOfMessagesReceived", queue.received)];
            all.extend(total.map(|(metric, total)| measured("AWS/SQS", metric, named, Reading::Total(count(total)))));
        }
        let mut units: BTreeMap<String, [f64; 2]> = BTreeMap::new();
        for ((_, table, _), consumed) in self.gateway.consumption() {
            let [read, write] = units.entry(table).or_default();
            *read += consumed.read;
            *write += consumed.write;
        }
        for (table, [read, write]) in units {
            for (metric, total) in [("ConsumedReadCapacityUnits", read), ("ConsumedWriteCapacityUnits", write)] {
                all.push(measured("AWS/DynamoDB", metric, [("TableName", &table)], Reading::Total(total)));
            }
        }
        if let Some(id) = &self.api_id {
            let requests = self.requests.seen();
            let counted = [
                ("Count", count(requests.count)),
                ("4xx", count(requests.client_errors)),
                ("5xx", count(requests.server_errors)),
                ("Latency", milliseconds(requests.latency)),
            ];
            all.extend(
                counted
                    .map(|(metric, total)| measured("AWS/ApiGateway", metric, [("ApiId", id)], Reading::Total(total))),
            );
        }
        all
    }
}

fn measured(
    namespace: &'static str,
    name: &'static str,
    dimensions: [(&'static str, &String); 1],
    reading: Reading,
) -> Measured {
    let dimensions = dimensions.into_iter().map(|(name, value)| (name, value.clone())).collect();
    Measured { namespace, name, dimensions, reading }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Counts of a run are far below the 52 bits that a float keeps.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn count(counted: impl TryInto<u64>) -> f64 {
    counted.try_into().unwrap_or(u64::MAX) as f64
}
