//! The bus: every integration of an account hears of an event, however many there are and however large it is.

use std::sync::LazyLock;

use domain::{EventId, EventType, IntegrationId, ProviderId, RecordKey, UserId};
use jiff::Timestamp;
use platform::aws::bus::{Bus, Detail, Payload};
use serde_json::value::RawValue;
use tests::{Ground, integration_id};

static STRIPE: ProviderId = ProviderId::of_data("stripe");
static EVENT: LazyLock<(EventId, EventType, UserId)> =
    LazyLock::new(|| ("evt_1".parse().unwrap(), "customer.updated".parse().unwrap(), "ada".parse().unwrap()));

fn details<'a>(ids: &'a [IntegrationId], data: &'a RawValue) -> Vec<Detail<'a>> {
    let (id, r#type, user_id) = &*EVENT;
    let detail = |integration_id: &'a IntegrationId| Detail {
        id,
        user_id: Some(user_id),
        integration_id: Some(integration_id),
        provider: &STRIPE,
        r#type,
        occurred_at: Timestamp::UNIX_EPOCH,
        livemode: None,
        data: Payload::Whole(data),
    };
    ids.iter().map(detail).collect()
}

#[tokio::test]
async fn more_integrations_than_one_call_takes_all_hear_of_it() {
    let ground = Ground::start().await;
    let bus = Bus::new(&ground.aws, "intertie");
    let ids: Vec<_> = (0..25).map(integration_id).collect();
    // So large that five fill a call.
    let data = RawValue::from_string(format!("\"{}\"", "x".repeat(50_000))).unwrap();
    bus.publish(&details(&ids, &data), None).await.unwrap();
    let heard: Vec<IntegrationId> =
        ground.published().iter().map(|it| it["integration_id"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(heard, ids);
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_replaced_by_where_to_read_it() {
    let ground = Ground::start().await;
    let bus = Bus::new(&ground.aws, "intertie");
    let ids = [integration_id(1)];
    let record = RecordKey::new("customers", "cus_1").unwrap();
    for (size, whole) in [(250_000, true), (262_144, false), (900_000, false)] {
        let data = RawValue::from_string(format!("\"{}\"", "x".repeat(size))).unwrap();
        bus.publish(&details(&ids, &data), Some(&record)).await.unwrap();
        let published = ground.published();
        let data = &published.last().unwrap()["data"];
        assert_eq!(data.is_string(), whole, "{size}");
        assert_eq!(data["record"] == "customers#cus_1", !whole, "{size}");
    }
}
