//! The bus: every integration of an account hears of an event, however many there are and however large it is.

use jiff::Timestamp;
use platform::aws::bus::{Bus, Detail, Payload};
use serde_json::value::RawValue;
use tests::Ground;

fn details<'a>(ids: &'a [String], data: &'a RawValue) -> Vec<Detail<'a>> {
    let detail = |id: &'a String| Detail {
        id: "evt_1",
        user_id: Some(id),
        integration_id: Some(id),
        provider: "stripe",
        r#type: "customer.updated",
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
    let ids: Vec<_> = (0..25).map(|index| format!("int_{index:02}")).collect();
    // So large that five fill a call.
    let data = RawValue::from_string(format!("\"{}\"", "x".repeat(50_000))).unwrap();
    bus.publish(&details(&ids, &data), None).await.unwrap();
    let heard: Vec<_> = ground.published().iter().map(|it| it["integration_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(heard, ids);
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_replaced_by_where_to_read_it() {
    let ground = Ground::start().await;
    let bus = Bus::new(&ground.aws, "intertie");
    let ids = ["int_1".to_owned()];
    for (size, whole) in [(250_000, true), (262_144, false), (900_000, false)] {
        let data = RawValue::from_string(format!("\"{}\"", "x".repeat(size))).unwrap();
        bus.publish(&details(&ids, &data), Some("customers#cus_1")).await.unwrap();
        let published = ground.published();
        let data = &published.last().unwrap()["data"];
        assert_eq!(data.is_string(), whole, "{size}");
        assert_eq!(data["record"] == "customers#cus_1", !whole, "{size}");
    }
}
