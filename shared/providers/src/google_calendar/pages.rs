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

/// Events on a page. Google documents 2,500 as the most (<https://developers.google.com/workspace/calendar/api/v3/reference/events/list>,
/// read 2026-11). But an event with many attendees has 20 kB and more, and an answer of over 6 MB is not read.
const EVENTS: (&str, &str) = ("maxResults", "250");
/// Calendars on a page, the most that Google documents for them:
/// <https://developers.google.com/workspace/calendar/api/v3/reference/calendarList/list>, read 2026-11.
const CALENDARS: (&str, &str) = ("maxResults", "250");

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

pub(super) fn without_gone(cursor: &Value, found: &Value) -> Value {
    let [Some(mut cursor), Some(found)] = [cursor, found].map(place::<Cursor>) else { return cursor.clone() };
    cursor.calendars.retain(|calendar, _| found.calendars.contains_key(calendar));
    json!({ "calendars": cursor.calendars })
}

/// The calendar keeps its place in the list of the next run over all.
pub(super) fn begin_part(cursor: &Value, calendar: &str) -> Option<Value> {
    let Cursor { calendars: known } = place(cursor)?;
    let mut reached = known.clone();
    reached.remove(calendar)?;
    let left = vec![CalendarsLeft { id: calendar.to_owned(), name: calendar.to_owned() }];
    Some(json!(Position { known, reached, listed: true, left, ..Position::default() }))
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
        // Only calendars with readable events. Hidden ones are not listed.
        None => SPEC.get("/users/me/calendarList", "").query([CALENDARS, ("minAccessRole", "reader")]),
        // The parameters must be the same with and without a token.
        Some(calendar) => {
            let since = position.token().map(|token| ("syncToken", token));
            SPEC.get("/calendars/{id}/events", &calendar.id).query([EVENTS]).query(since)
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
mod tests;
