//! The line of messages that wait for a bucket.
//!
//! *Invariant:* places are as far apart as cells, so that messages that come at their places find cells.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use domain::call::{Micros, limit::Bucket};

use super::{Pace, Reserved, TRIES, now};
use crate::{
    aws::{AwsError, queue::MAX_DELAY},
    stores::{
        item::{n, number},
        table::Outcome,
    },
};

/// Whether the line ends before `:soon`, so that a caller that waits until then passes over no message.
pub(super) const IS_SHORT: &str = "attribute_not_exists(line) OR line <= :soon";
/// How much earlier than its longest delay a message comes back for its place.
const SLACK: Duration = Duration::from_secs(5);

impl Pace {
    /// Takes the last place in the line: after those of others, and not before `next`, the bucket's TAT. `last` is the end of the line
    /// as it was last seen. A message can't wait for a place that is too far ahead, and gets none.
    pub(super) async fn join(&self, bucket: &Bucket, next: Micros, last: Option<Micros>) -> Result<Reserved, AwsError> {
        let begin = next.max(now());
        let furthest = now() + Micros::of(MAX_DELAY.saturating_sub(SLACK));
        let advance = bucket.rate.interval() * bucket.cost.max(1).into();
        let mut last = last;
        for _ in 0..TRIES {
            if begin > furthest {
                return Ok(Reserved::Full(begin));
            }
            if let Some(last) = last.filter(|last| *last > furthest) {
                // The bucket itself is not exhausted: those that come at their places find cells.
                return Ok(Reserved::Place(last));
            }
            let update = self.update(bucket).returning(ReturnValue::UpdatedNew);
            let update = if last.is_some_and(|last| last >= begin) {
                let values = [(":advance", n(advance)), (":begin", n(begin)), (":furthest", n(furthest))];
                update.set("line = line + :advance").when("line BETWEEN :begin AND :furthest").with(values)
            } else {
                let values = [(":begin", n(begin)), (":end", n(begin + advance))];
                update.set("line = :end").when("attribute_not_exists(line) OR line < :begin").with(values)
            };
            match update.send().await? {
                Outcome::Written(item) => return Ok(Reserved::Place(number::<Micros>(&item, "line")? - advance)),
                Outcome::Refused(stored) => {
                    last = stored.contains_key("line").then(|| number(&stored, "line")).transpose()?;
                }
            }
        }
        Err(AwsError::Answer { action: "dynamodb:UpdateItem", lack: "the line changes faster than it can be asked" })
    }
}
