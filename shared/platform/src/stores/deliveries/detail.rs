//! One delivery, with all that is recorded of it.

use domain::{DeliveryId, ProviderId};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use super::{Deliveries, Delivery, delivery};
use crate::{
    aws::AwsError,
    stores::{
        claims::{FAILURES_KEPT, FailedAttempt, Trace, failure},
        delivery_index::{day, listed_in},
        item::{Item, malformed, text},
    },
};

/// All that is recorded of a delivery.
#[derive(Debug, Serialize)]
pub struct DeliveryDetail {
    /// As the list has it.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The last attempts that failed, in their order, at most eight.
    pub failures: Vec<FailedAttempt>,
    /// What its processing came to; none before it has ended.
    pub outcome: Option<Trace>,
}

impl Deliveries {
    /// The delivery of this id, which is that of an event's first delivery. One query for each provider and one read.
    pub async fn find(&self, providers: &[&ProviderId], id: &DeliveryId) -> Result<Option<DeliveryDetail>, AwsError> {
        let Some(at) = id.received_at().map(Timestamp::as_millisecond) else { return Ok(None) };
        let mut positions = Vec::new();
        for provider in providers {
            positions.extend(self.query(listed_in(provider, day(at), id), &(at..=at), None).await?);
        }
        let mut found: Option<DeliveryDetail> = None;
        for item in self.read(&positions).await?.into_values() {
            if text(&item, "delivery_id")? == id.as_str() {
                let it = detail(item)?;
                // What was no event to an earlier release, and was replayed, has a record of that, too.
                if it.delivery.event_id.is_some() || found.is_none() {
                    found = Some(it);
                }
            }
        }
        Ok(found)
    }
}

fn detail(item: Item) -> Result<DeliveryDetail, AwsError> {
    let failures = (0..FAILURES_KEPT).filter_map(|number| parsed::<FailedAttempt>(&item, &failure(number)).transpose());
    let mut failures = failures.collect::<Result<Vec<_>, _>>()?;
    failures.sort_by_key(|failed| failed.attempt);
    let outcome = parsed(&item, "trace")?;
    Ok(DeliveryDetail { delivery: delivery(item)?, failures, outcome })
}

/// An attribute in JSON, if it is there.
fn parsed<T: DeserializeOwned>(item: &Item, name: &str) -> Result<Option<T>, AwsError> {
    item.contains_key(name).then(|| serde_json::from_str(text(item, name)?).map_err(|_| malformed(name))).transpose()
}
