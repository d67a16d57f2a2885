//! The walk through all calendars of an account, page by page.
//!
//! First the calendars are listed, then the events of one after the other are read: all of them, or those that changed since
//! the calendar's sync token. Sources: <https://developers.google.com/workspace/calendar/api/guides/sync> and
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/list>, read 2026-11.
//!
//! Calendars are listed in incremental runs, too: one that is new has no token and is read in full. The events of one that was
//! removed stay until a full run does not see them.

use std::collections::BTreeMap;

use domain::{Change, Reply, Request, call::Unreadable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{SPEC, normalise};
use crate::{
    Lost, Next, Page,
    stream::{following, place},
};

/// The most calendars of one account that are read, so that a position stays small enough to be stored.
const MAX_CALENDARS: usize = 500;
/// The most calendars of one account that are watched. The others are synced by schedule alone.
const MAX_WATCHED: usize = 50;

/// The sync token of each calendar.
type Tokens = BTreeMap<String, String>;

#[derive(Default, Deserialize)]
struct Cursor {
    calendars: Tokens,
}

#[derive(Default, Serialize, Deserialize)]
struct Position {
    /// The tokens of the last run.
    known: Tokens,
    /// The tokens of this one, of the calendars that are read.
    reached: Tokens,
    /// Whether all calendars are listed.
    listed: bool,
    /// The calendars to read, the next one first.
    left: Vec<String>,
    /// The page of the list, or of the next calendar.
    page: Option<String>,
}

/// A page of calendars or of events.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List {
    items: Option<Vec<Value>>,
    next_page_token: Option<String>,
    /// On the last page only.
    next_sync_token: Option<String>,
}

impl List {
    pub(super) fn of(reply: &Reply) -> Result<(Vec<Value>, Self), Unreadable> {
        let mut list: Self = reply.json()?;
        match list.items.take() {
            Some(items) => Ok((items, list)),
            // An empty list may be left out, but not everything.
            None if list.next_page_token.is_some() || list.next_sync_token.is_some() => Ok((Vec::new(), list)),
            None => Err(Unreadable("a list without its items")),
        }
    }

    pub(super) fn next(self) -> Option<String> {
        self.next_page_token
    }
}

pub(super) fn begin(cursor: Option<&Value>) -> Option<Value> {
    let Cursor { calendars } = cursor.map_or_else(|| Some(Cursor::default()), place)?;
    Some(json!(Position { known: calendars, ..Position::default() }))
}

pub(super) fn watched(cursor: &Value) -> Vec<String> {
    place::<Cursor>(cursor).unwrap_or_default().calendars.into_keys().take(MAX_WATCHED).collect()
}

pub(super) fn request(position: &Value) -> Result<Request, Unreadable> {
    let position = read(position)?;
    let request = match position.left.first().filter(|_| position.listed) {
        // Only calendars whose events may be read. Hidden ones are not listed.
        None => SPEC.get("/users/me/calendarList", "").query([("maxResults", "250"), ("minAccessRole", "reader")]),
        // The parameters must be the same with and without a token.
        Some(calendar) => {
            let since = position.known.get(calendar).map(|token| ("syncToken", token.as_str()));
            SPEC.get("/calendars/{id}/events", calendar).query([("maxResults", "250")]).query(since)
        }
    };
    Ok(request.query(position.page.as_deref().map(|page| ("pageToken", page))))
}

pub(super) fn page(position: &Value, reply: &Reply, asked_at: Timestamp) -> Result<Page, Unreadable> {
    let mut position = read(position)?;
    let (items, list) = List::of(reply)?;
    let page = following(list.next_page_token, position.page.as_deref())?;
    let last = page.is_none();
    position.page = page;
    if !position.listed {
        for item in &items {
            let id = normalise::id(item).ok_or(Unreadable("a calendar without an id"))?;
            if position.left.len() < MAX_CALENDARS && !position.left.iter().any(|known| known == id) {
                position.left.push(id.to_owned());
            }
        }
        position.listed = last;
        return Ok(Page::new(Vec::new(), position.next()));
    }
    let calendar = position.left.first().cloned().ok_or(Unreadable("no position of a run"))?;
    let changes = changes(&calendar, &items, asked_at)?;
    if last {
        position.left.remove(0);
        // Without a token it is read in full the next time.
        position.reached.extend(list.next_sync_token.map(|token| (calendar, token)));
    }
    Ok(Page::new(changes, position.next()))
}

/// A calendar can be in the list and have no events to find: it went away meanwhile, or its owner closed it.
pub(super) fn lost(position: &Value) -> Lost {
    match read(position) {
        Ok(mut position) if position.listed && !position.left.is_empty() => {
            position.left.remove(0);
            position.page = None;
            Lost::Part(position.next())
        }
        _ => Lost::Run,
    }
}

/// The calendar that is read at a position.
pub(super) fn part(position: &Value) -> Option<String> {
    let position = read(position).ok().filter(|position| position.listed)?;
    position.left.first().map(|calendar| format!("the calendar {calendar}"))
}

impl Position {
    fn next(self) -> Next {
        if self.listed && self.left.is_empty() {
            return Next::Done(json!({ "calendars": self.reached }));
        }
        Next::Page(json!(self))
    }
}

fn read(position: &Value) -> Result<Position, Unreadable> {
    place(position).ok_or(Unreadable("no position of a run"))
}

fn changes(calendar: &str, items: &[Value], asked_at: Timestamp) -> Result<Vec<Change>, Unreadable> {
    let mut changes = Vec::with_capacity(items.len());
    for item in items {
        let id = normalise::id(item).ok_or(Unreadable("an event without an id"))?;
        changes.extend(normalise::change(calendar, id, item, asked_at));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::constant(1_795_428_000, 0);
    const BASE: &str = "https://www.googleapis.com/calendar/v3";

    fn turn(position: &Value, body: &Value) -> Result<Page, Unreadable> {
        page(position, &Reply { status: 200, body: body.to_string().into(), ..Reply::default() }, AT)
    }

    fn next(position: &Value, body: &Value) -> Value {
        let Next::Page(next) = turn(position, body).unwrap().next else { panic!("no page follows") };
        next
    }

    fn url(position: &Value) -> String {
        request(position).unwrap().url.strip_prefix(BASE).unwrap().to_owned()
    }

    #[test]
    fn a_full_run_reads_all_pages_of_all_calendars_and_keeps_the_token_of_each_last_page() {
        let list = begin(None).unwrap();
        assert_eq!(url(&list), "/users/me/calendarList?maxResults=250&minAccessRole=reader");
        let list = next(&list, &json!({"items": [{"id": "ada@example.com"}], "nextPageToken": "2"}));
        assert_eq!(url(&list), "/users/me/calendarList?maxResults=250&minAccessRole=reader&pageToken=2");
        let holidays = "en.usa#holiday@group.v.calendar.google.com";
        let events =
            next(&list, &json!({"items": [{"id": holidays}, {"id": "ada@example.com"}], "nextSyncToken": "list"}));
        assert_eq!(url(&events), "/calendars/ada%40example.com/events?maxResults=250");
        let page = turn(&events, &json!({"items": [{"id": "e1"}], "nextPageToken": "p2"})).unwrap();
        assert_eq!(page.changes[0].id, "ada@example.com/e1");
        let Next::Page(events) = page.next else { panic!("more to come") };
        assert_eq!(url(&events), "/calendars/ada%40example.com/events?maxResults=250&pageToken=p2");
        let events = next(&events, &json!({"items": [], "nextSyncToken": "t1"}));
        assert_eq!(url(&events), "/calendars/en.usa%23holiday%40group.v.calendar.google.com/events?maxResults=250");
        let page = turn(&events, &json!({"items": [], "nextSyncToken": "t2"})).unwrap();
        let cursor = json!({"calendars": {"ada@example.com": "t1", holidays: "t2"}});
        assert_eq!(watched(&cursor), ["ada@example.com", holidays]);
        assert_eq!(page.next, Next::Done(cursor));
    }

    #[test]
    fn an_incremental_run_sends_each_token_on_every_page_and_reads_new_calendars_in_full() {
        let list = begin(Some(&json!({"calendars": {"a": "t1", "gone": "t0"}}))).unwrap();
        let events = next(&list, &json!({"items": [{"id": "a"}, {"id": "new"}]}));
        assert_eq!(url(&events), "/calendars/a/events?maxResults=250&syncToken=t1");
        let events = next(&events, &json!({"items": [], "nextPageToken": "p2"}));
        assert_eq!(url(&events), "/calendars/a/events?maxResults=250&syncToken=t1&pageToken=p2");
        let page =
            turn(&events, &json!({"items": [{"id": "e1", "status": "cancelled"}], "nextSyncToken": "t2"})).unwrap();
        assert!(page.changes[0].deleted);
        let Next::Page(events) = page.next else { panic!("more to come") };
        assert_eq!(url(&events), "/calendars/new/events?maxResults=250");
        let page = turn(&events, &json!({"items": [], "nextSyncToken": "n1"})).unwrap();
        assert_eq!(page.next, Next::Done(json!({"calendars": {"a": "t2", "new": "n1"}})));
    }

    #[test]
    fn a_calendar_that_is_not_found_is_passed_over_and_a_list_that_is_not_found_fails() {
        let list = begin(None).unwrap();
        assert_eq!(lost(&list), Lost::Run);
        let events = next(&list, &json!({"items": [{"id": "closed"}, {"id": "open"}]}));
        let Lost::Part(Next::Page(events)) = lost(&events) else { panic!("the run ended") };
        assert_eq!(url(&events), "/calendars/open/events?maxResults=250");
        assert_eq!(lost(&events), Lost::Part(Next::Done(json!({"calendars": {}}))));
    }

    #[test]
    fn loops_and_answers_without_a_list_end_the_run() {
        let list = next(&begin(None).unwrap(), &json!({"items": [], "nextPageToken": "2"}));
        assert!(turn(&list, &json!({"items": [], "nextPageToken": "2"})).is_err());
        assert!(turn(&list, &json!({})).is_err());
        assert!(turn(&list, &json!({"items": [{"summary": "no id"}]})).is_err());
        let empty = turn(&list, &json!({"nextSyncToken": "x"})).unwrap();
        assert_eq!(empty.next, Next::Done(json!({"calendars": {}})));
    }

    #[test]
    fn a_malformed_cursor_asks_for_a_full_run_and_a_gone_token_is_told_as_gone() {
        for cursor in [json!(null), json!([]), json!({"calendars": {"a": 1}}), json!({})] {
            assert!(begin(Some(&cursor)).is_none(), "{cursor}");
            assert!(watched(&cursor).is_empty());
        }
        let body =
            r#"{"error":{"errors":[{"domain":"calendar","reason":"fullSyncRequired"}],"code":410,"message":"x"}}"#;
        let reply = Reply { status: 410, body: body.into(), ..Reply::default() };
        assert_eq!(SPEC.api.meaning(&reply, AT), Err(domain::Failure::Gone));
    }
}
