//! The walk through all calendars of an account, page by page.
//!
//! First the calendars are listed, then the events of one after the other are read: all of them, or those that changed since
//! the calendar's sync token. Sources: <https://developers.google.com/workspace/calendar/api/guides/sync> and
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/list>, read 2026-11.
//!
//! Calendars are listed in incremental runs, too: one that is new has no token and is read in full. The events of one that was
//! removed stay until a full run does not see them.

use std::collections::BTreeMap;

use domain::{
    Change, Reply, Request,
    call::Unreadable,
    sync::stream::{Carries, Extent, Member},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{SPEC, normalise};
use crate::{
    About, Next, StreamPage, Whole,
    stream::{following, place},
};

/// The most calendars of one account that are read, so that cursor and position fit into one item of DynamoDB.
const MAX_CALENDARS: usize = 250;

/// The longest name of a calendar that a position keeps, in characters.
const MAX_NAME: usize = 60;

/// The sync token of each calendar.
type Tokens = BTreeMap<String, String>;

#[derive(Default, Deserialize)]
struct Cursor {
    calendars: Tokens,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Position {
    /// The tokens of the last run. A calendar that can't be read now keeps its one, so that nothing of it is missed later.
    known: Tokens,
    /// The tokens of this one, of the calendars that are read.
    reached: Tokens,
    /// Whether all calendars are read from their beginning.
    full: bool,
    /// Whether all calendars are listed.
    listed: bool,
    /// The calendars to read, the next one first.
    left: Vec<CalendarsLeft>,
    /// The page of the list, or of the next calendar.
    page: Option<String>,
    /// Whether the next calendar is read from its beginning, because its token or a page of it was refused.
    afresh: bool,
    /// When the first page of the next calendar was asked for, if it is read from its beginning.
    since: Option<Timestamp>,
}

/// A calendar that is still to be read.
#[derive(Clone, Serialize, Deserialize)]
struct CalendarsLeft {
    id: String,
    name: String,
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
    let Some(cursor) = cursor else { return Some(restart(None)) };
    let Cursor { calendars } = place(cursor)?;
    Some(json!(Position { known: calendars, ..Position::default() }))
}

pub(super) fn restart(before: Option<&Value>) -> Value {
    let Cursor { calendars } = before.and_then(place).unwrap_or_default();
    json!(Position { known: calendars, full: true, ..Position::default() })
}

pub(super) fn watched(cursor: &Value) -> Vec<String> {
    let mut all: Vec<_> = place::<Cursor>(cursor).unwrap_or_default().calendars.into_keys().collect();
    // People's own first: the others end so, those of rooms, holidays and groups.
    all.sort_by_key(|id| id.ends_with("calendar.google.com"));
    all
}

pub(super) fn request(position: &Value) -> Result<Request, Unreadable> {
    let position = read(position)?;
    let request = match position.left.first().filter(|_| position.listed) {
        // Only calendars whose events may be read. Hidden ones are not listed.
        None => SPEC.get("/users/me/calendarList", "").query([("maxResults", "250"), ("minAccessRole", "reader")]),
        // The parameters must be the same with and without a token.
        Some(calendar) => {
            let since = position.token().map(|token| ("syncToken", token));
            SPEC.get("/calendars/{id}/events", &calendar.id).query([("maxResults", "250")]).query(since)
        }
    };
    Ok(request.query(position.page.as_deref().map(|page| ("pageToken", page))))
}

pub(super) fn page(position: &Value, reply: &Reply, asked_at: Timestamp) -> Result<StreamPage, Unreadable> {
    let mut position = read(position)?;
    let (items, list) = List::of(reply)?;
    let page = following(list.next_page_token, position.page.as_deref())?;
    let last = page.is_none();
    position.page = page;
    if !position.listed {
        for item in &items {
            let id = normalise::id(item).ok_or(Unreadable("a calendar without an id"))?;
            if position.left.len() < MAX_CALENDARS && !position.left.iter().any(|known| known.id == id) {
                position.left.push(CalendarsLeft { id: id.to_owned(), name: name(item, id) });
            }
        }
        position.listed = last;
        return Ok(StreamPage::new(Vec::new(), position.next()));
    }
    let CalendarsLeft { id, .. } = position.left.first().cloned().ok_or(Unreadable("no position of a run"))?;
    let changes = changes(&id, &items, asked_at)?;
    if position.token().is_none() {
        position.since.get_or_insert(asked_at);
    }
    let mut whole = None;
    if last {
        whole = position.since.map(|since| Whole { extent: extent(&id), since });
        // Without a token it is read from its beginning the next time.
        position.reached.extend(list.next_sync_token.map(|token| (id, token)));
        position.leave();
    }
    Ok(StreamPage { whole, ..StreamPage::new(changes, position.next()) })
}

/// A calendar can be in the list and not be readable: its owner closed it, or took the right to read it away.
pub(super) fn about(position: &Value) -> About {
    let Ok(position) = read(position) else { return About::NOTHING };
    let Some(CalendarsLeft { id, name }) = position.left.first().filter(|_| position.listed) else {
        return About::list(position.page.is_some());
    };
    let mut without = position.clone();
    without.leave();
    let mut passed = without.clone();
    passed.reached.extend(position.known.get_key_value(id).map(|(id, token)| (id.clone(), token.clone())));
    let afresh = Position { afresh: true, page: None, since: None, ..position.clone() };
    let carries = match (position.afresh, position.token(), &position.page) {
        (false, Some(_), _) | (false, _, Some(_)) => Carries::MembersCursor(json!(afresh)),
        (true, _, Some(_)) => Carries::MembersPage,
        (_, _, None) => Carries::Nothing,
    };
    let member = Member {
        extent: extent(id),
        kind: "calendar",
        name: name.clone(),
        passed: passed.next(),
        gone: without.next(),
    };
    About { carries, member: Some(member) }
}

impl Position {
    /// The token that the next calendar is asked with.
    fn token(&self) -> Option<&str> {
        let calendar = self.left.first().filter(|_| !self.full && !self.afresh)?;
        self.known.get(&calendar.id).map(String::as_str)
    }

    /// Has done with the next calendar.
    fn leave(&mut self) {
        self.left.remove(0);
        (self.page, self.since, self.afresh) = (None, None, false);
    }

    fn next(self) -> Next {
        if self.listed && self.left.is_empty() {
            return Next::Done(json!({ "calendars": self.reached }));
        }
        Next::Page(json!(self))
    }
}

/// The records of a calendar.
fn extent(calendar: &str) -> Extent {
    Extent::Under(format!("{calendar}/"))
}

/// What the user calls a calendar.
fn name(item: &Value, id: &str) -> String {
    let text = |field: &str| item.get(field)?.as_str().filter(|text| !text.is_empty());
    text("summaryOverride").or_else(|| text("summary")).unwrap_or(id).chars().take(MAX_NAME).collect()
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

    fn turn(position: &Value, body: &Value) -> Result<StreamPage, Unreadable> {
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
        assert_eq!(page.changes[0].key().id(), "ada@example.com/e1");
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
        assert!(page.changes[0].is_deleted());
        let Next::Page(events) = page.next else { panic!("more to come") };
        assert_eq!(url(&events), "/calendars/new/events?maxResults=250");
        let page = turn(&events, &json!({"items": [], "nextSyncToken": "n1"})).unwrap();
        assert_eq!(page.next, Next::Done(json!({"calendars": {"a": "t2", "new": "n1"}})));
    }

    #[test]
    fn a_calendar_that_cannot_be_read_keeps_its_token_and_one_that_is_gone_does_not() {
        let list = begin(Some(&json!({"calendars": {"closed": "t0", "open": "t1"}}))).unwrap();
        assert_eq!(about(&list), About::NOTHING);
        let items =
            json!([{"id": "closed", "summary": "Team"}, {"id": "open", "summary": "x", "summaryOverride": "Mine"}]);
        let events = next(&list, &json!({ "items": items }));
        let About { carries: Carries::MembersCursor(afresh), member: Some(member) } = about(&events) else {
            panic!("{:?}", about(&events))
        };
        assert_eq!((member.name.as_str(), &member.extent), ("Team", &Extent::Under("closed/".into())));
        assert_eq!(url(&afresh), "/calendars/closed/events?maxResults=250", "the same call without the token");
        assert_eq!(about(&afresh).carries, Carries::Nothing, "that is tried once");
        let (Next::Page(passed), Next::Page(gone)) = (member.passed, member.gone) else { panic!("more to come") };
        for (events, cursor) in [(passed, json!({"closed": "t0", "open": "t2"})), (gone, json!({"open": "t2"}))] {
            assert_eq!(url(&events), "/calendars/open/events?maxResults=250&syncToken=t1");
            assert_eq!(about(&events).member.unwrap().name, "Mine");
            let page = turn(&events, &json!({"items": [], "nextSyncToken": "t2"})).unwrap();
            assert_eq!((page.next, page.whole), (Next::Done(json!({ "calendars": cursor })), None));
        }
    }

    #[test]
    fn a_calendar_that_is_read_from_its_beginning_is_whole_since_its_first_page() {
        let list = begin(Some(&json!({"calendars": {}}))).unwrap();
        let events = next(&list, &json!({"items": [{"id": "new"}]}));
        let second = next(&events, &json!({"items": [{"id": "e1"}], "nextPageToken": "p2"}));
        let later = AT + std::time::Duration::from_secs(9);
        let reply = Reply { status: 200, body: br#"{"items":[],"nextSyncToken":"t"}"#.to_vec(), ..Reply::default() };
        let last = page(&second, &reply, later).unwrap();
        assert_eq!(last.whole, Some(Whole { extent: Extent::Under("new/".into()), since: AT }));
        let Carries::MembersCursor(afresh) = about(&second).carries else { panic!("a page's mark may be refused") };
        assert_eq!(url(&afresh), "/calendars/new/events?maxResults=250");
        // From its beginning once more: then a mark that is refused is no calendar that is gone.
        let second = next(&afresh, &json!({"items": [{"id": "e1"}], "nextPageToken": "p2"}));
        assert_eq!(about(&second).carries, Carries::MembersPage);
    }

    #[test]
    fn a_full_run_sends_no_token_and_keeps_those_of_calendars_that_cannot_be_read() {
        let list = restart(Some(&json!({"calendars": {"a": "t0"}})));
        let events = next(&list, &json!({"items": [{"id": "a"}]}));
        assert_eq!(url(&events), "/calendars/a/events?maxResults=250");
        let About { carries: Carries::Nothing, member: Some(member) } = about(&events) else { panic!("no member") };
        assert_eq!(member.passed, Next::Done(json!({"calendars": {"a": "t0"}})));
    }

    #[test]
    fn the_largest_state_of_a_stream_fits_into_an_item() {
        let at = |number: usize| format!("{number:090}");
        let tokens = |all: std::ops::Range<usize>| all.map(|it| (at(it), "t".repeat(150))).collect::<Tokens>();
        let wide = |length: usize| "\u{1f4c5}".repeat(length);
        let left =
            |all: std::ops::Range<usize>| all.map(|it| CalendarsLeft { id: at(it), name: wide(MAX_NAME) }).collect();
        let member = |number: usize| {
            json!({
                "extent": { "one": format!("{number:0>1024}") }, "kind": "calendar", "name": wide(MAX_NAME), "reason": "provider_conflict",
                "run": AT, "backoff": { "since": AT, "failures": 1_000_000, "next_try": AT },
            })
        };
        let members: Vec<_> = (0..domain::sync::stream::MAX_PASSED).map(member).collect();
        let again: Vec<_> = (0..25).map(|number| format!("{number:0>1024}")).collect();
        for done in [0, MAX_CALENDARS / 2, MAX_CALENDARS] {
            let position = Position {
                known: tokens(0..MAX_CALENDARS),
                reached: tokens(0..done),
                left: left(done..MAX_CALENDARS),
                page: Some("p".repeat(300)),
                ..Position::default()
            };
            let mut run = domain::sync::stream::Run::new(domain::sync::SyncJob::Full, true, AT, json!(position));
            run.again = again.clone();
            let state = domain::sync::stream::StreamState {
                cursor: Some(json!({ "calendars": tokens(0..MAX_CALENDARS) })),
                run: Some(run),
                passed: serde_json::from_value(json!({ "members": members, "beyond": 9 })).unwrap(),
                ..domain::sync::stream::StreamState::default()
            };
            let size = json!(state).to_string().len();
            // Beside it: the key, the fence and times.
            assert!(size < 400 * 1024 - 4096, "{done} of {MAX_CALENDARS} are read: {size} bytes");
        }
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
