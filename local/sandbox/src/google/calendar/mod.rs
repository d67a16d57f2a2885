//! Google Calendar, version 3: <https://developers.google.com/workspace/calendar/api/v3/reference>.

mod channels;
mod control;
mod list;
mod store;
mod write;

#[cfg(test)]
mod tests;

use http::StatusCode;
use serde_json::{Value, json};

pub(super) use self::control::CONTROLS;
use self::{channels::Channel, store::AccountCalendar};
use crate::{
    call::{Call, Reply},
    deliver::Outbox,
    google::{WATCH_LIFE, caller::Caller, refusal::Refusal},
};

const READ_LIST: &[&str] =
    &["calendar", "calendar.readonly", "calendar.calendarlist", "calendar.calendarlist.readonly"];
const READ_CALENDAR: &[&str] = &["calendar", "calendar.readonly", "calendar.calendars", "calendar.calendars.readonly"];
const READ_EVENTS: &[&str] = &["calendar", "calendar.readonly", "calendar.events", "calendar.events.readonly"];
const WRITE_EVENTS: &[&str] = &["calendar", "calendar.events"];

pub(super) struct Calendar {
    calendars: Vec<AccountCalendar>,
    channels: Vec<Channel>,
    /// Counts changes to events; the latest.
    changes: u64,
    /// Sync tokens of an earlier one have expired.
    generation: u64,
    /// Whether they are refused as no token at all, and not as an old one.
    expired_as_invalid: bool,
    /// Whether lists show cancelled events with all that is known of them, as on the organiser's own calendar.
    whole_stubs: bool,
    /// Seconds that a new channel lives at most.
    pub(super) watch_life: i64,
    outbox: Outbox,
}

impl Calendar {
    pub(super) fn new(outbox: Outbox) -> Self {
        let (calendars, changes) = store::seed();
        Self {
            calendars,
            channels: Vec::new(),
            changes,
            generation: 1,
            expired_as_invalid: false,
            whole_stubs: false,
            watch_life: WATCH_LIFE,
            outbox,
        }
    }

    /// Answers a call; `path` is what follows `/calendar/v3`.
    pub(super) fn answer(&mut self, caller: &Caller, path: &[&str], call: &Call) -> Result<Reply, Refusal> {
        match (call.method.as_str(), path) {
            ("GET", ["users", "me", "calendarList"]) => {
                caller.needs(READ_LIST)?;
                self.calendars(caller, &call.query)
            }
            ("GET", ["users", "me", "calendarList", id]) => {
                caller.needs(READ_LIST)?;
                let calendar = self.calendar(caller, id)?;
                Ok(Reply::json(StatusCode::OK, &self.calendars[calendar].object("calendar#calendarListEntry")))
            }
            ("GET", ["calendars", id]) => {
                caller.needs(READ_CALENDAR)?;
                let calendar = self.calendar(caller, id)?;
                Ok(Reply::json(StatusCode::OK, &self.calendars[calendar].object("calendar#calendar")))
            }
            ("GET", ["calendars", id, "events"]) => {
                caller.needs(READ_EVENTS)?;
                let calendar = self.calendar(caller, id)?;
                self.calendars[calendar].list.check()?;
                self.list(&self.calendars[calendar], &call.query)
            }
            ("GET", ["calendars", id, "events", event]) => {
                caller.needs(READ_EVENTS)?;
                let calendar = self.calendar(caller, id)?;
                let found = self.calendars[calendar].event(event).ok_or_else(Refusal::not_found)?;
                let etag = found.object["etag"].as_str().unwrap_or_default();
                let known = call.header("if-none-match") == Some(etag);
                let reply = if known {
                    Reply::empty(StatusCode::NOT_MODIFIED)
                } else {
                    Reply::json(StatusCode::OK, &found.object)
                };
                Ok(reply.with("etag", etag))
            }
            ("POST", ["calendars", id, "events"]) => {
                caller.needs(WRITE_EVENTS)?;
                let calendar = self.calendar(caller, id)?;
                self.insert(calendar, &body(call)?)
            }
            ("PATCH" | "PUT", ["calendars", id, "events", event]) => {
                caller.needs(WRITE_EVENTS)?;
                let calendar = self.calendar(caller, id)?;
                self.patch(calendar, event, &body(call)?)
            }
            ("DELETE", ["calendars", id, "events", event]) => {
                caller.needs(WRITE_EVENTS)?;
                let calendar = self.calendar(caller, id)?;
                self.delete(calendar, event)
            }
            ("POST", ["calendars", id, "events", "watch"]) => {
                caller.needs(READ_EVENTS)?;
                let calendar = self.calendar(caller, id)?;
                self.calendars[calendar].watch.check()?;
                self.watch(caller, calendar, &body(call)?)
            }
            ("POST", ["channels", "stop"]) => self.stop(caller, &body(call)?),
            _ => Err(Refusal::not_found()),
        }
    }

    /// The place of a calendar that the caller can see; `primary` is the account's own.
    fn calendar(&self, caller: &Caller, id: &str) -> Result<usize, Refusal> {
        let id = if id == "primary" { &caller.account } else { id };
        let place = self.calendars.iter().position(|calendar| calendar.id == id && calendar.account == caller.account);
        place.ok_or_else(Refusal::not_found)
    }
}

fn body(call: &Call) -> Result<Value, Refusal> {
    let body = if call.body.is_empty() { Some(json!({})) } else { call.json() };
    body.filter(Value::is_object).ok_or_else(|| Refusal::bad("parseError", "Parse Error"))
}
