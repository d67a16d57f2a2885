//! Lists: pages, and sync tokens.
//!
//! <https://developers.google.com/workspace/calendar/api/guides/sync> and `events.list`.

use http::StatusCode;
use jiff::Timestamp;
use local_base::now;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Calendar,
    store::{AccountCalendar, Entry},
};
use crate::{
    call::Reply,
    form::Form,
    google::{caller::Caller, refusal::Refusal},
    opaque::{open, seal},
};

/// What can't stand beside a sync token.
const NOT_WITH_SYNC: [&str; 8] = [
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMax",
    "timeMin",
    "updatedMin",
];
/// What a list with a sync token at its end can't have been restricted by.
const NO_SYNC_AFTER: [&str; 4] = ["iCalUID", "orderBy", "q", "updatedMin"];

/// What a page token or a sync token carries.
#[derive(Serialize, Deserialize)]
struct Cursor {
    calendar: String,
    generation: u64,
    /// Only what changed later is listed; 0 lists what is there.
    since: u64,
    /// The latest change when the list was begun: the next sync token continues from there.
    until: u64,
    /// The sort key of the last event that was listed; none in a sync token.
    after: Option<String>,
}

impl Calendar {
    /// `events.list`.
    pub(super) fn list(&self, calendar: &AccountCalendar, query: &Form) -> Result<Reply, Refusal> {
        let gone = || {
            if self.expired_as_invalid {
                return Refusal::bad("invalid", "Invalid sync token value.");
            }
            let message = "Sync token is no longer valid, a full sync is required.".to_owned();
            Refusal { status: StatusCode::GONE, reason: "fullSyncRequired", message }
        };
        let order = Order::of(query)?;
        let cursor = match (query.get("pageToken"), query.get("syncToken")) {
            (Some(token), _) => {
                self.cursor(calendar, token).ok_or_else(|| Refusal::bad("invalid", "Invalid page token."))?
            }
            (None, Some(token)) => {
                let sync =
                    self.cursor(calendar, token).filter(|sync| sync.generation == self.generation).ok_or_else(gone)?;
                Cursor { since: sync.until, until: self.changes, after: None, ..sync }
            }
            (None, None) => {
                let (calendar, generation) = (calendar.id.clone(), self.generation);
                Cursor { calendar, generation, since: 0, until: self.changes, after: None }
            }
        };
        let incremental = cursor.since > 0;
        let forbidden = NOT_WITH_SYNC.iter().find(|name| query.get(name).is_some());
        if let Some(name) = forbidden.filter(|_| query.get("syncToken").is_some()) {
            return Err(Refusal::bad("badRequest", &format!("Sync token cannot be used with the parameter {name}.")));
        }
        if incremental && query.get("showDeleted") == Some("false") {
            return Err(Refusal::bad("badRequest", "showDeleted cannot be false with a sync token."));
        }
        let order = if incremental { Order::Change } else { order };
        let deleted = incremental || query.get("showDeleted") == Some("true");
        let single = query.get("singleEvents") == Some("true");
        let range = Range::of(query)?;
        let mut found: Vec<(String, &Entry)> = calendar
            .events
            .iter()
            .filter(|entry| {
                deleted || entry.object["status"] != "cancelled" || (!single && !entry.is_deleted(calendar))
            })
            .filter(|entry| !incremental || entry.change > cursor.since)
            .filter(|entry| incremental || range.holds(&entry.object, query))
            .map(|entry| (order.key(entry), entry))
            .filter(|(key, _)| cursor.after.as_ref().is_none_or(|after| key > after))
            .collect();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let limit = limit(query, 250, 2500)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let mut answer = json!({
            "kind": "calendar#events", "etag": format!("\"p{}\"", self.changes), "summary": calendar.summary,
            "description": "", "updated": super::store::stamp(now()), "timeZone": "Europe/London",
            "accessRole": "owner", "defaultReminders": [],
            "items": found.iter().map(|(_, entry)| self.shown(&entry.object)).collect::<Vec<_>>(),
        });
        if more {
            let after = found.last().map(|(key, _)| key.clone());
            answer["nextPageToken"] = seal(&json!(Cursor { after, ..cursor })).into();
        } else if NO_SYNC_AFTER.iter().all(|name| query.get(name).is_none()) {
            answer["nextSyncToken"] = seal(&json!(Cursor { after: None, ..cursor })).into();
        }
        Ok(Reply::json(StatusCode::OK, &answer).more(more))
    }

    /// Of a cancelled event only the id is certain, of a cancelled instance also which one it was:
    /// <https://developers.google.com/workspace/calendar/api/v3/reference/events#status>, read 2026-11.
    fn shown(&self, event: &Value) -> Value {
        if event["status"] != "cancelled" || self.whole_stubs {
            return event.clone();
        }
        let kept = ["kind", "etag", "id", "status", "recurringEventId", "originalStartTime"];
        let kept = kept.iter().filter(|name| !event[**name].is_null());
        kept.map(|name| ((*name).to_owned(), event[*name].clone())).collect()
    }

    fn cursor(&self, calendar: &AccountCalendar, token: &str) -> Option<Cursor> {
        let cursor: Cursor = serde_json::from_value(open(token)?).ok()?;
        (cursor.calendar == calendar.id && cursor.until <= self.changes).then_some(cursor)
    }

    /// `calendarList.list`. Calendars do not change here, so a sync token brings nothing new.
    pub(super) fn calendars(&self, caller: &Caller, query: &Form) -> Result<Reply, Refusal> {
        let limit = limit(query, 100, 250)?;
        let first = match query.get("pageToken") {
            None => 0,
            Some(token) => {
                let first = open(token).and_then(|value| usize::try_from(value.as_u64()?).ok());
                first.ok_or_else(|| Refusal::bad("invalid", "Invalid page token."))?
            }
        };
        let all = self
            .calendars
            .iter()
            .filter(|calendar| calendar.account == caller.account && query.get("syncToken").is_none());
        let rest: Vec<_> = all.skip(first).map(|calendar| calendar.object("calendar#calendarListEntry")).collect();
        let more = rest.len() > limit;
        let items: Vec<_> = rest.into_iter().take(limit).collect();
        let mut answer = json!({ "kind": "calendar#calendarList", "etag": "\"p1\"", "items": items });
        let (name, token) =
            if more { ("nextPageToken", json!(first + limit)) } else { ("nextSyncToken", json!("calendars")) };
        answer[name] = seal(&token).into();
        Ok(Reply::json(StatusCode::OK, &answer).more(more))
    }
}

/// How a list is sorted. Without `orderBy` the order is "unspecified, stable": here that of creation.
#[derive(Clone, Copy)]
enum Order {
    Born,
    Change,
    Start,
    Updated,
}

impl Order {
    fn of(query: &Form) -> Result<Self, Refusal> {
        match query.get("orderBy") {
            None => Ok(Self::Born),
            Some("updated") => Ok(Self::Updated),
            Some("startTime") if query.get("singleEvents") == Some("true") => Ok(Self::Start),
            Some("startTime") => {
                Err(Refusal::bad("badRequest", "The requested ordering is not available for the particular query."))
            }
            Some(other) => Err(Refusal::bad("invalidParameter", &format!("Invalid value '{other}' for orderBy."))),
        }
    }

    fn key(self, entry: &Entry) -> String {
        match self {
            Self::Born => format!("{:020}", entry.born),
            Self::Change => format!("{:020}", entry.change),
            Self::Start => format!("{:020} {:020}", time(&entry.object["start"]).unwrap_or_default(), entry.born),
            Self::Updated => format!("{} {:020}", entry.object["updated"].as_str().unwrap_or_default(), entry.born),
        }
    }
}

/// A restriction by time, in seconds.
struct Range {
    ends_after: Option<i64>,
    starts_before: Option<i64>,
    updated_from: Option<i64>,
}

impl Range {
    fn of(query: &Form) -> Result<Self, Refusal> {
        let parse = |name| match query.get(name) {
            None => Ok(None),
            Some(text) => match text.parse::<Timestamp>() {
                Ok(time) => Ok(Some(time.as_second())),
                Err(_) => Err(Refusal::bad("badRequest", "Bad Request")),
            },
        };
        Ok(Self { ends_after: parse("timeMin")?, starts_before: parse("timeMax")?, updated_from: parse("updatedMin")? })
    }

    fn holds(&self, event: &Value, query: &Form) -> bool {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_lowercase();
        let updated =
            event["updated"].as_str().and_then(|text| text.parse::<Timestamp>().ok()).map(Timestamp::as_second);
        self.ends_after.is_none_or(|from| time(&event["end"]).is_none_or(|end| end > from))
            && self.starts_before.is_none_or(|to| time(&event["start"]).is_none_or(|start| start < to))
            && self.updated_from.is_none_or(|from| updated.is_none_or(|updated| updated >= from))
            && query.get("iCalUID").is_none_or(|uid| event["iCalUID"] == uid)
            && query.get("q").is_none_or(|words| {
                let words = words.to_lowercase();
                text("summary").contains(&words) || text("description").contains(&words)
            })
    }
}

/// `{"dateTime"}` or `{"date"}` in seconds.
fn time(at: &Value) -> Option<i64> {
    let text = at["dateTime"].as_str().map(str::to_owned);
    let text = text.or_else(|| Some(format!("{}T00:00:00Z", at["date"].as_str()?)))?;
    Some(text.parse::<Timestamp>().ok()?.as_second())
}

/// `maxResults`; more than the most is the most.
fn limit(query: &Form, default: usize, most: usize) -> Result<usize, Refusal> {
    match query.get("maxResults").map(str::parse) {
        None => Ok(default),
        Some(Ok(limit @ 1..)) => Ok(most.min(limit)),
        Some(Ok(_) | Err(_)) => Err(Refusal::bad("invalidParameter", "Invalid value for maxResults.")),
    }
}
