//! Slack's lists, page by page: <https://docs.slack.dev/apis/web-api/pagination>, read 2026-11.

use domain::{Change, Reply, Request, call::Unreadable};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{method, normalise};
use crate::{
    Next, StreamPage,
    stream::{following, place},
};

/// Objects on a page, the most that Slack documents for both lists: every sync reads them whole, with 20 calls a minute. Slack may
/// answer fewer. <https://docs.slack.dev/tools/node-slack-sdk/reference/web-api/interfaces/UsersListArguments>, read 2026-11.
const LIMIT: u16 = 999;

#[derive(Deserialize)]
struct Position {
    cursor: String,
}

#[derive(Deserialize)]
struct Answer {
    channels: Option<Vec<Value>>,
    members: Option<Vec<Value>>,
    response_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    next_cursor: Option<String>,
}

/// The call for the page that is marked `cursor`.
pub(super) fn request(stream: &str, cursor: Option<&str>) -> Result<Request, Unreadable> {
    let (path, arguments) = match stream {
        // Archived channels stay: they are one flag away from being back.
        "channels" => {
            let types = "public_channel,private_channel";
            ("/conversations.list", json!({ "types": types, "limit": LIMIT, "cursor": cursor }))
        }
        "users" => ("/users.list", json!({ "limit": LIMIT, "cursor": cursor })),
        _ => return Err(Unreadable("no such stream")),
    };
    // A list changes nothing.
    Ok(method::call(path, &arguments).idempotent())
}

/// The objects of a page, and the mark of the next.
pub(super) fn read(stream: &str, reply: &Reply) -> Result<(Vec<Value>, Option<String>), Unreadable> {
    let answer: Answer = reply.json()?;
    let objects = if stream == "users" { answer.members } else { answer.channels };
    let next = answer.response_metadata.and_then(|it| it.next_cursor);
    Ok((objects.ok_or(Unreadable("a list without its objects"))?, next))
}

/// The call for a channel, and what it is if Slack has it no more:
/// <https://docs.slack.dev/reference/methods/conversations.info>, read 2026-11. Users come whole in their events.
pub(super) fn one(stream: &str, id: &str, asked_at: Timestamp) -> Option<(Request, Change)> {
    let gone = normalise::deleted_channel(id, asked_at).filter(|_| stream == "channels")?;
    // Lists count the members, too.
    let arguments = json!({ "channel": id, "include_num_members": true });
    Some((method::call("/conversations.info", &arguments).idempotent(), gone))
}

pub(super) fn read_one(stream: &str, reply: &Reply, asked_at: Timestamp) -> Result<Change, Unreadable> {
    #[derive(Deserialize)]
    struct One {
        channel: Value,
    }
    let One { channel } = reply.json()?;
    normalise::listed(stream, &channel, asked_at).ok_or(Unreadable("an object without an id"))
}

/// The mark of the page at `position`.
pub(super) fn cursor(position: &Value) -> Option<String> {
    place::<Position>(position).map(|it| it.cursor)
}

pub(super) fn page(
    stream: &str,
    position: &Value,
    reply: &Reply,
    asked_at: Timestamp,
) -> Result<StreamPage, Unreadable> {
    let (objects, next) = read(stream, reply)?;
    let changes = objects.iter().map(|object| normalise::listed(stream, object, asked_at)).collect::<Option<Vec<_>>>();
    let next = match following(next, cursor(position).as_deref())? {
        Some(cursor) => Next::Page(json!({ "cursor": cursor })),
        None => Next::Done(Value::Null),
    };
    Ok(StreamPage::new(changes.ok_or(Unreadable("an object without an id"))?, next))
}

#[cfg(test)]
mod tests {
    use domain::{Failure, call::Idempotent};

    use super::{
        super::{SPEC, Slack},
        *,
    };
    use crate::{About, Provider as _};

    const AT: Timestamp = Timestamp::constant(1_795_428_000, 0);

    fn read_page(stream: &str, position: &Value, body: &Value) -> Result<StreamPage, Unreadable> {
        page(stream, position, &Reply { status: 200, body: body.to_string().into(), ..Reply::default() }, AT)
    }

    #[test]
    fn the_documented_channel_becomes_a_record_and_its_cursor_the_next_page() {
        let body = json!({
            "ok": true,
            "channels": [{
                "id": "C012AB3CD", "name": "general", "is_channel": true, "is_private": false, "created": 1_449_252_889,
                "creator": "U012A3CDE", "is_archived": true, "is_member": true, "updated": 1_678_229_664_302_i64,
                "is_general": false, "is_shared": true, "is_ext_shared": true, "is_org_shared": false,
                "context_team_id": "T061EG9R6", "previous_names": ["all-hands"], "parent_conversation": null,
                "topic": {"value": "Company-wide announcements", "creator": "", "last_set": 0},
                "purpose": {"value": "For everybody", "creator": "", "last_set": 0}, "num_members": 4
            }],
            "response_metadata": {"next_cursor": "dGVhbTpDMDYxRkE1UEI="}
        });
        let page = read_page("channels", &Value::Null, &body).unwrap();
        let [change] = &page.changes[..] else { panic!("{page:?}") };
        assert_eq!((change.key().as_str(), change.version().get()), ("channels#C012AB3CD", 1_795_428_000_000_000));
        assert_eq!((change.updated_at().as_millisecond(), change.is_deleted()), (1_678_229_664_302, false));
        assert_eq!(
            *change.data(),
            json!({
                "name": "general", "is_private": false, "is_archived": true, "is_member": true, "num_members": 4,
                "is_general": false, "is_shared": true, "is_ext_shared": true, "is_org_shared": false,
                "context_team_id": "T061EG9R6", "previous_names": ["all-hands"], "creator": "U012A3CDE",
                "topic": "Company-wide announcements", "purpose": "For everybody", "created": 1_449_252_889
            })
        );
        assert_eq!(page.next, Next::Page(json!({"cursor": "dGVhbTpDMDYxRkE1UEI="})));
        let next = request("channels", Some("dGVhbTpDMDYxRkE1UEI=")).unwrap();
        assert_eq!(
            (next.method.as_str(), next.url.as_str(), next.idempotent),
            ("POST", "https://slack.com/api/conversations.list", Idempotent::Yes)
        );
        assert_eq!(
            String::from_utf8(next.body.unwrap().1).unwrap(),
            "cursor=dGVhbTpDMDYxRkE1UEI%3D&limit=999&types=public_channel%2Cprivate_channel"
        );
    }

    #[test]
    fn a_deactivated_user_is_a_record_with_that_field_and_never_shows_the_address() {
        let body = json!({"ok": true, "members": [{
            "id": "W07QCRPA4", "name": "glinda", "deleted": true, "real_name": "Glinda Southgood", "tz": "America/Los_Angeles",
            "profile": {"display_name": "Glinda the Fairly Good", "email": "glenda@south.oz.coven"}, "is_admin": true,
            "is_bot": false, "updated": 1_480_527_098
        }], "response_metadata": {"next_cursor": ""}});
        let page = read_page("users", &json!({"cursor": "x"}), &body).unwrap();
        assert_eq!(page.next, Next::Done(Value::Null));
        assert!(!page.changes[0].is_deleted() && page.changes[0].data()["deactivated"] == true);
        assert_eq!(page.changes[0].updated_at().as_second(), 1_480_527_098);
        assert!(!page.changes[0].data().to_string().contains("oz.coven"));
    }

    #[test]
    fn a_cursor_that_comes_again_ends_the_run() {
        let body = json!({"ok": true, "members": [], "response_metadata": {"next_cursor": "a"}});
        assert!(read_page("users", &json!({"cursor": "a"}), &body).is_err());
        assert!(read_page("users", &json!({"cursor": "b"}), &body).is_ok());
    }

    #[test]
    fn a_cursor_that_slack_forgot_begins_a_run_anew() {
        let refused =
            Reply { status: 200, body: r#"{"ok":false,"error":"invalid_cursor"}"#.into(), ..Reply::default() };
        assert_eq!(SPEC.api.meaning(&refused, AT), Err(Failure::NotFound));
        assert_eq!(Slack.about("users", &json!({"cursor": "a"})), About::list(true));
        assert_eq!(Slack.about("users", &Value::Null), About::NOTHING);
    }

    #[test]
    fn a_list_of_the_other_kind_is_not_taken_for_an_empty_one() {
        assert!(read_page("users", &Value::Null, &json!({"ok": true, "channels": []})).is_err());
        assert!(read_page("users", &Value::Null, &json!({"ok": true, "members": [{"name": "no id"}]})).is_err());
    }
}
