//! The watch of a mailbox: <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users/watch>, read 2026-11.

use domain::{Reply, Request, call::Unreadable};
use serde::Deserialize;
use serde_json::{Value, json};

use super::SPEC;
use crate::{Watch, WatchPlan, google};

/// Reports go to the app's topic; without one there is nothing to watch with.
pub(super) fn start(plan: &WatchPlan<'_>) -> Option<Request> {
    let topic = plan.topic?;
    // A second watch takes the first one's place.
    Some(SPEC.post("/users/me/watch", "").json(&json!({ "topicName": topic })).idempotent())
}

pub(super) fn started(plan: &WatchPlan<'_>, reply: &Reply) -> Result<Watch, Unreadable> {
    #[derive(Deserialize)]
    struct Started {
        expiration: Value,
    }
    let Started { expiration } = reply.json()?;
    let ends = google::time(&expiration).ok_or(Unreadable("a watch without an end"))?;
    Ok(Watch {
        resource: plan.resource.to_owned(),
        channel_id: plan.channel_id.to_owned(),
        // It lives for seven days, but is to be renewed daily.
        expires_at: ends.min(plan.expires_at),
        handle: Value::Null,
    })
}

/// Gmail takes one watch of a mailbox per developer, and its refusal of another names `stop` as the remedy. It has no reason of
/// its own: seen in public reports, read 2026-11.
pub(super) fn remedy(refusal: &Reply) -> Option<Request> {
    let body: Value = refusal.json().ok()?;
    let message = body.pointer("/error/message")?.as_str()?;
    (refusal.status == 400 && message.contains("call /stop")).then(stop)
}

pub(super) fn stop() -> Request {
    // The body must be empty, with a Content-Length.
    SPEC.post("/users/me/stop", "").header("content-length", "0").idempotent()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_mailbox_is_watched_through_the_topic_and_for_no_longer_than_planned() {
        let plan = WatchPlan {
            resource: "mailbox",
            channel_id: "ch_1",
            address: "https://intertie.example/webhooks/gmail",
            token: "t",
            topic: Some("projects/p/topics/t"),
            expires_at: Timestamp::constant(1_795_428_000, 0),
        };
        let request = start(&plan).unwrap();
        assert_eq!(request.url, "https://gmail.googleapis.com/gmail/v1/users/me/watch");
        assert_eq!(request.body.unwrap().1, br#"{"topicName":"projects/p/topics/t"}"#);
        assert!(start(&WatchPlan { topic: None, ..plan }).is_none());
        let ends = |body: &str| {
            let watch = started(&plan, &Reply { status: 200, body: body.into(), ..Reply::default() });
            watch.map(|watch| watch.expires_at.as_second())
        };
        assert_eq!(ends(r#"{"historyId":"1234567890","expiration":"1431990098200"}"#), Ok(1_431_990_098));
        assert_eq!(ends(r#"{"historyId":"1","expiration":"1796032800000"}"#), Ok(1_795_428_000));
        assert!(ends("{}").is_err());
    }

    #[test]
    fn the_remedy_that_a_refusal_names_is_to_stop() {
        let refusal = |status, message: &str| {
            let body = json!({ "error": { "code": 400, "message": message } }).to_string();
            remedy(&Reply { status, body: body.into(), ..Reply::default() })
        };
        let words = "Only one user push notification client allowed per developer (call /stop then try again)";
        assert_eq!(refusal(400, words).unwrap().url, "https://gmail.googleapis.com/gmail/v1/users/me/stop");
        assert!(refusal(400, "Invalid topicName").is_none() && refusal(500, words).is_none());
    }
}
