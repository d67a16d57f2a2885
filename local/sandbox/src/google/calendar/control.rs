//! Calendar's own controls: `events/CALENDAR` change as in its web page, sync tokens expire (`POST expire_sync_tokens`
//! `{"invalid"?}`).
//!
//! `POST calendars/CALENDAR` `{"list"?,"watch"?}` sets how lists and watches of a calendar are answered: `willing`, `forbidden`,
//! `failing` or `unsupported`.
//! `POST events/CALENDAR/ID/restore` takes an event out of the trash, with its old `updated`; `POST events/CALENDAR/ID/move`
//! `{"destination"}` moves it to another calendar; `POST calendars` `{"account"?,"calendar_id","summary"?}` gives an account
//! one more; `POST stubs` `{"whole"}`: whether lists show all of a cancelled event.

use http::{Method, StatusCode};
use local_base::now;
use serde_json::{Value, json};

use super::{
    Calendar,
    store::{AccountCalendar, Availability},
};
use crate::{
    controls::Control,
    emulator::{Outcome, refusal},
    google::person::ACCOUNTS,
    opaque::random,
};

/// The calls, and the fields of their bodies: those of events are Google's.
pub(in crate::google) const CONTROLS: &[Control] = &[
    Control("POST", "expire_sync_tokens", &[&["invalid"]]),
    Control("POST", "calendars", &[&["account", "calendar_id", "summary"]]),
    Control("POST", "calendars/*", &[&["account", "list", "watch"]]),
    Control("GET", "channels", &[]),
    Control("GET", "events/*", &[&["account"]]),
    Control("POST", "events/*", &[OURS, &["id"], EVENT]),
    Control("POST", "events/*/*", &[OURS, EVENT]),
    Control("DELETE", "events/*/*", &[OURS]),
    Control("POST", "events/*/*/restore", &[OURS]),
    Control("POST", "events/*/*/move", &[OURS, &["destination"]]),
    Control("POST", "stubs", &[&["whole"]]),
];

const OURS: &[&str] = &["account", "silent"];
/// <https://developers.google.com/workspace/calendar/api/v3/reference/events#resource>, what can be written.
const EVENT: &[&str] = &[
    "status",
    "created",
    "creator",
    "organizer",
    "htmlLink",
    "iCalUID",
    "summary",
    "description",
    "location",
    "colorId",
    "start",
    "end",
    "endTimeUnspecified",
    "recurrence",
    "recurringEventId",
    "originalStartTime",
    "transparency",
    "visibility",
    "attendees",
    "attendeesOmitted",
    "extendedProperties",
    "hangoutLink",
    "conferenceData",
    "anyoneCanAddSelf",
    "guestsCanInviteOthers",
    "guestsCanModify",
    "guestsCanSeeOtherGuests",
    "privateCopy",
    "locked",
    "reminders",
    "source",
    "workingLocationProperties",
    "outOfOfficeProperties",
    "focusTimeProperties",
    "birthdayProperties",
    "attachments",
    "eventType",
];

impl Calendar {
    pub(in crate::google) fn control(&mut self, method: &Method, path: &[&str], body: &Value) -> Option<Outcome> {
        let done = match (method.as_str(), path) {
            ("POST", ["expire_sync_tokens"]) => {
                self.generation += 1;
                self.expired_as_invalid = body["invalid"] == true;
                json!({ "generation": self.generation })
            }
            ("POST", ["stubs"]) => {
                self.whole_stubs = body["whole"] == true;
                json!({ "whole": self.whole_stubs })
            }
            ("POST", ["calendars"]) => {
                let refuse = |status, words| Some(Outcome::Done(refusal(status, words)));
                let Some(id) = body["calendar_id"].as_str().filter(|id| !id.is_empty()) else {
                    return refuse(StatusCode::UNPROCESSABLE_ENTITY, "\"calendar_id\" must be given");
                };
                let account = body["account"].as_str().unwrap_or(ACCOUNTS[0]);
                let Some(account) = ACCOUNTS.into_iter().find(|known| *known == account) else {
                    return refuse(StatusCode::NOT_FOUND, "there is no such account");
                };
                if self.calendars.iter().any(|calendar| calendar.id == id) {
                    return refuse(StatusCode::CONFLICT, "there is such a calendar");
                }
                let calendar = AccountCalendar::empty(id, account, body["summary"].as_str().unwrap_or(id));
                let object = calendar.object("calendar#calendar");
                self.calendars.push(calendar);
                object
            }
            ("POST", ["calendars", calendar]) => {
                let account = body["account"].as_str().unwrap_or(ACCOUNTS[0]);
                let id = if *calendar == "primary" { account } else { calendar };
                let Some(calendar) = self.calendars.iter_mut().find(|calendar| calendar.id == id) else {
                    return Some(Outcome::Done(refusal(StatusCode::NOT_FOUND, "there is no such calendar")));
                };
                for (name, availability) in [("list", &mut calendar.list), ("watch", &mut calendar.watch)] {
                    let Some(wanted) = body[name].as_str() else { continue };
                    let Some(known) = Availability::parse(wanted) else {
                        let words = format!("{name:?} must be willing, forbidden, failing or unsupported");
                        return Some(Outcome::Done(refusal(StatusCode::UNPROCESSABLE_ENTITY, &words)));
                    };
                    *availability = known;
                }
                json!({ "calendar": id })
            }
            ("GET", ["channels"]) => self.open_channels(),
            (method, ["events", calendar, event @ ..]) => {
                let account = body["account"].as_str().unwrap_or(ACCOUNTS[0]);
                let place = |id: &str| {
                    let id = if id == "primary" { account } else { id };
                    self.calendars.iter().position(|calendar| calendar.id == id)
                };
                let missing = |what| Some(Outcome::Done(refusal(StatusCode::NOT_FOUND, what)));
                let Some(calendar) = place(calendar) else { return missing("there is no such calendar") };
                let destination = body["destination"].as_str().and_then(place);
                let loud = body["silent"] != true;
                match (method, event) {
                    ("GET", []) => self.calendars[calendar].events.iter().map(|entry| entry.object.clone()).collect(),
                    ("POST", []) => {
                        let id = body["id"].as_str().map_or_else(|| random(26), str::to_owned);
                        self.write(calendar, &id, &complete(body), loud)
                    }
                    ("POST", [event]) => self.write(calendar, event, body, loud),
                    ("POST", [event, "restore"]) => match self.restore(calendar, event, loud) {
                        Some(event) => event,
                        None => return missing("there is no such event in the trash"),
                    },
                    ("POST", [event, "move"]) => {
                        let moved = destination.and_then(|to| self.transfer(calendar, event, to, loud));
                        let Some(event) = moved else { return missing("there is no such event or destination") };
                        event
                    }
                    ("DELETE", [event]) => self.write(calendar, event, &json!({ "status": "cancelled" }), loud),
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(done.into())
    }
}

/// With a time, if it has none.
fn complete(fields: &Value) -> Value {
    let mut fields = fields.clone();
    for (name, hours) in [("start", 1), ("end", 2)] {
        if fields[name].is_null() {
            let time = now() + jiff::SignedDuration::from_hours(hours);
            fields[name] = json!({ "dateTime": time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "timeZone": "UTC" });
        }
    }
    fields
}
