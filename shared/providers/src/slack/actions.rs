//! Slack's actions.

use domain::{Problem, Reply, Request, call::Unreadable};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{method, normalise, pages};
use crate::{Fields, Step, action::gather, stream::pick};

/// The most pages that are listed: nearly 15,000 channels. A caller waits, and Slack takes no more calls in that time.
const MAX_PAGES: u64 = 15;

pub(super) fn first(name: &str, input: &Value) -> Result<Request, Problem> {
    match name {
        "post_message" => post_message(input),
        "list_channels" => {
            Fields::of(input).check()?;
            pages::request("channels", None).map_err(|_| Problem::internal())
        }
        _ => Err(Problem::internal()),
    }
}

pub(super) fn step(name: &str, gathered: &mut Value, reply: &Reply) -> Result<Step, Unreadable> {
    match name {
        "post_message" => posted(reply),
        "list_channels" => {
            let (objects, next) = pages::read("channels", reply)?;
            let channels = objects.iter().map(channel).collect();
            gather(gathered, ("channels", channels), next, MAX_PAGES, |mark| pages::request("channels", Some(mark)))
        }
        _ => Err(Unreadable("no such action")),
    }
}

/// <https://docs.slack.dev/reference/methods/chat.postMessage>, read 2026-11.
///
/// Slack ignores `reply_broadcast` outside a thread, so it is refused there: the caller believes that there is a thread.
fn post_message(input: &Value) -> Result<Request, Problem> {
    let mut fields = Fields::of(input);
    let mut body = Map::from_iter(
        [("channel", fields.text("channel")), ("text", fields.text("text"))]
            .map(|(name, text)| (name.to_owned(), text.into())),
    );
    for name in ["attachments", "blocks"] {
        body.extend(fields.optional_list(name).map(|list| (name.to_owned(), list.clone())));
    }
    let thread = fields.optional_text("thread_ts");
    if thread.is_some_and(|ts| !is_timestamp(ts)) {
        fields.fail("thread_ts", "This must be the \"ts\" of a message, such as 1503435956.000247.");
    }
    body.extend(thread.map(|ts| ("thread_ts".to_owned(), ts.into())));
    for name in ["reply_broadcast", "unfurl_links", "unfurl_media"] {
        body.extend(fields.optional_flag(name).map(|flag| (name.to_owned(), flag.into())));
    }
    if thread.is_none() && body.get("reply_broadcast") == Some(&Value::Bool(true)) {
        fields.fail("reply_broadcast", "Only a reply can be shown to the whole channel: it needs \"thread_ts\".");
    }
    fields.check()?;
    Ok(method::call("/chat.postMessage", &body.into()))
}

/// Seconds and microseconds, which name a message within its channel.
fn is_timestamp(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.').is_some_and(|(seconds, micros)| digits(seconds) && digits(micros))
}

fn posted(reply: &Reply) -> Result<Step, Unreadable> {
    #[derive(Deserialize)]
    struct Posted {
        channel: String,
        ts: String,
    }
    let Posted { channel, ts } = reply.json()?;
    Ok(Step::Done(json!({ "channel": channel, "ts": ts })))
}

/// As in the stream, with the id.
fn channel(object: &Value) -> Value {
    let mut fields = pick(object, &[("id", "/id")]);
    fields.append(&mut pick(object, normalise::CHANNEL));
    fields.into()
}

#[cfg(test)]
mod tests {
    use domain::Failure;

    use super::*;

    fn reply(body: &Value) -> Reply {
        Reply { status: 200, body: body.to_string().into(), ..Reply::default() }
    }

    fn body(request: Request) -> String {
        String::from_utf8(request.body.unwrap().1).unwrap()
    }

    #[test]
    fn a_message_goes_out_once_as_a_form_and_comes_back_as_channel_and_time() {
        let input = json!({"channel": "C1", "text": "Grüße", "blocks": [{"type": "divider"}], "attachments": null});
        let request = first("post_message", &input).unwrap();
        assert_eq!(
            (request.url.as_str(), request.idempotent),
            ("https://slack.com/api/chat.postMessage", domain::call::Idempotent::No)
        );
        let form = "blocks=%5B%7B%22type%22%3A%22divider%22%7D%5D&channel=C1&text=Gr%C3%BC%C3%9Fe";
        assert_eq!(body(request), form);
        let answer = json!({"ok": true, "channel": "C123ABC456", "ts": "1503435956.000247", "message": {"text": "x"}});
        let done = step("post_message", &mut Value::Null, &reply(&answer)).unwrap();
        assert!(
            matches!(done, Step::Done(result) if result == json!({"channel": "C123ABC456", "ts": "1503435956.000247"}))
        );
    }

    #[test]
    fn a_reply_goes_to_its_thread_with_the_flags_as_given() {
        let input = json!({"channel": "C1", "text": "x", "thread_ts": "1503435956.000247", "reply_broadcast": true,
            "unfurl_links": false, "unfurl_media": true});
        let form = "channel=C1&reply_broadcast=true&text=x&thread_ts=1503435956.000247&unfurl_links=false\
                    &unfurl_media=true";
        assert_eq!(body(first("post_message", &input).unwrap()), form);
    }

    #[test]
    fn what_slack_would_ignore_or_misread_is_refused_by_name() {
        let wrong = |action: &str, more: Value| {
            let mut input = json!({"channel": "C1", "text": "x"});
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let problem = first(action, &input).unwrap_err();
            problem.fields.into_iter().map(|it| it.field.into_owned()).collect::<Vec<_>>()
        };
        for (more, expected) in [
            (json!({"thread": "1.2"}), ["thread"].as_slice()),
            (json!({"thread_ts": 1_503_435_956.000_247}), &["thread_ts"]),
            (json!({"thread_ts": "1503435956"}), &["thread_ts"]),
            (json!({"thread_ts": "1503435956.000247 "}), &["thread_ts"]),
            (json!({"reply_broadcast": true}), &["reply_broadcast"]),
            (json!({"unfurl_links": "no", "unfurl_media": 0}), &["unfurl_links", "unfurl_media"]),
            (json!({"blocks": {}, "attachments": "[]"}), &["attachments", "blocks"]),
        ] {
            assert_eq!(wrong("post_message", more.clone()), expected, "{more}");
        }
        assert_eq!(wrong("list_channels", json!({})), ["channel", "text"]);
        assert!(first("post_message", &json!({"channel": "C1", "text": "x", "reply_broadcast": false})).is_ok());
    }

    #[test]
    fn a_message_that_slack_refuses_inside_a_success_is_a_failure() {
        let refused = reply(&json!({"ok": false, "error": "channel_not_found"}));
        let failure = super::super::SPEC.api.meaning(&refused, jiff::Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(
            matches!(&failure, Failure::Rejected { words: Some(_), code } if code == "channel_not_found"),
            "{failure:?}"
        );
        assert!(step("post_message", &mut Value::Null, &refused).is_err());
    }

    #[test]
    fn channels_are_listed_over_all_pages() {
        let mut gathered = Value::Null;
        let page = |id: &str, next: &str| {
            reply(
                &json!({"ok": true, "channels": [{"id": id, "name": id, "x": 1}], "response_metadata": {"next_cursor": next}}),
            )
        };
        let Ok(Step::Call(request)) = step("list_channels", &mut gathered, &page("C1", "n")) else { panic!("no call") };
        assert_eq!(body(*request), "cursor=n&limit=999&types=public_channel%2Cprivate_channel");
        let Ok(Step::Done(result)) = step("list_channels", &mut gathered, &page("C2", "")) else { panic!("not done") };
        assert_eq!(
            result,
            json!({"channels": [{"id": "C1", "name": "C1"}, {"id": "C2", "name": "C2"}], "complete": true})
        );
    }
}
