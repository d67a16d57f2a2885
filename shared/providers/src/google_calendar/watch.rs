//! Watches of calendars: <https://developers.google.com/workspace/calendar/api/v3/reference/events/watch>, read 2026-11.

use domain::{Reply, Request, call::Unreadable};
use serde::Deserialize;
use serde_json::{Value, json};

use super::SPEC;
use crate::{Watch, WatchPlan, google};

pub(super) fn start(plan: &WatchPlan<'_>) -> Request {
    SPEC.post("/calendars/{id}/events/watch", plan.resource).json(&json!({
        "id": plan.channel_id,
        "type": "web_hook",
        "address": plan.address,
        "token": plan.token,
        "expiration": plan.expires_at.as_millisecond(),
    }))
}

pub(super) fn started(plan: &WatchPlan<'_>, reply: &Reply) -> Result<Watch, Unreadable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Channel {
        resource_id: String,
        expiration: Option<Value>,
    }
    let channel: Channel = reply.json()?;
    Ok(Watch {
        resource: plan.resource.to_owned(),
        channel_id: plan.channel_id.to_owned(),
        // Google may give less than was asked for.
        expires_at: channel.expiration.as_ref().and_then(google::time).unwrap_or(plan.expires_at),
        handle: json!({ "resource_id": channel.resource_id }),
    })
}

pub(super) fn stop(watch: &Watch) -> Request {
    let resource_id = &watch.handle["resource_id"];
    SPEC.post("/channels/stop", "").json(&json!({ "id": watch.channel_id, "resourceId": resource_id })).idempotent()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_watch_is_asked_for_by_calendar_and_stopped_by_channel_and_resource() {
        let plan = WatchPlan {
            resource: "ada@example.com",
            channel_id: "ch_1",
            address: "https://intertie.example/webhooks/google-calendar",
            token: "target=myApp",
            topic: None,
            expires_at: Timestamp::constant(1_795_428_000, 0),
        };
        let request = start(&plan);
        assert_eq!(request.url, "https://www.googleapis.com/calendar/v3/calendars/ada%40example.com/events/watch");
        let body: Value = serde_json::from_slice(&request.body.unwrap().1).unwrap();
        assert_eq!(
            body,
            json!({
                "id": "ch_1", "type": "web_hook", "address": "https://intertie.example/webhooks/google-calendar",
                "token": "target=myApp", "expiration": 1_795_428_000_000_i64
            })
        );
        let answer = |body: &str| started(&plan, &Reply { status: 200, body: body.into(), ..Reply::default() });
        let watch = answer(
            r#"{"kind":"api#channel","id":"ch_1","resourceId":"o3hgv1538sdjfh","resourceUri":"x","expiration":"1426325213000"}"#,
        )
        .unwrap();
        assert_eq!(watch.expires_at.as_second(), 1_426_325_213);
        let body: Value = serde_json::from_slice(&stop(&watch).body.unwrap().1).unwrap();
        assert_eq!(body, json!({"id": "ch_1", "resourceId": "o3hgv1538sdjfh"}));
        assert_eq!(answer(r#"{"resourceId":"r","expiration":1}"#).unwrap().expires_at.as_millisecond(), 1);
        assert_eq!(answer(r#"{"resourceId":"r","expiration":"soon"}"#).unwrap().expires_at, plan.expires_at);
        assert!(answer("{}").is_err());
    }
}
