//! Calendars and their events.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use local_base::now;
use serde_json::{Value, json};

use crate::{
    google::{person::ACCOUNTS, refusal::Refusal},
    opaque::random,
};

/// A calendar of an account.
pub(super) struct AccountCalendar {
    pub(super) id: String,
    pub(super) account: &'static str,
    pub(super) summary: String,
    pub(super) events: Vec<Entry>,
    /// What listing its events is answered with, and watching them.
    pub(super) list: Availability,
    pub(super) watch: Availability,
}

/// How a calendar answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Availability {
    Willing,
    /// Its owner does not let the caller.
    Forbidden,
    /// It fails for reasons of its own.
    Failing,
    /// It can't be watched: those of holidays, birthdays and rooms.
    Unsupported,
}

impl Availability {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "willing" => Self::Willing,
            "forbidden" => Self::Forbidden,
            "failing" => Self::Failing,
            "unsupported" => Self::Unsupported,
            _ => return None,
        })
    }

    /// <https://developers.google.com/workspace/calendar/api/guides/errors>, and public reports of its users, read 2026-11.
    pub(super) fn check(self) -> Result<(), Refusal> {
        let refusal = |status, reason, message: &str| Refusal { status, reason, message: message.to_owned() };
        Err(match self {
            Self::Willing => return Ok(()),
            Self::Forbidden => refusal(StatusCode::FORBIDDEN, "forbidden", "Forbidden"),
            Self::Failing => refusal(StatusCode::INTERNAL_SERVER_ERROR, "backendError", "Backend Error"),
            Self::Unsupported => refusal(
                StatusCode::BAD_REQUEST,
                "pushNotSupportedForRequestedResource",
                "Push notifications are not supported by this resource.",
            ),
        })
    }
}

/// An event, deleted ones included.
pub(super) struct Entry {
    /// The change that made it.
    pub(super) born: u64,
    pub(super) change: u64,
    pub(super) object: Value,
    /// What it was before it was cancelled.
    pub(super) before: Option<Value>,
}

impl Entry {
    /// Whether it is deleted. A cancelled instance of an event that goes on is not: lists tell of it without being asked.
    pub(super) fn is_deleted(&self, calendar: &AccountCalendar) -> bool {
        let of = self.object["recurringEventId"].as_str();
        let goes_on = of.and_then(|id| calendar.event(id)).is_some_and(|event| event.object["status"] != "cancelled");
        self.object["status"] == "cancelled" && !goes_on
    }
}

impl AccountCalendar {
    pub(super) fn empty(id: &str, account: &'static str, summary: &str) -> Self {
        let watch = if id == HOLIDAYS { Availability::Unsupported } else { Availability::Willing };
        let (id, summary) = (id.to_owned(), summary.to_owned());
        Self { id, account, summary, events: Vec::new(), list: Availability::Willing, watch }
    }

    /// An event, deleted ones included.
    pub(super) fn event(&self, id: &str) -> Option<&Entry> {
        self.events.iter().find(|entry| entry.object["id"] == id)
    }

    /// The calendar itself, as an entry of the list or on its own.
    pub(super) fn object(&self, kind: &str) -> Value {
        let mut object = json!({
            "kind": kind, "etag": format!("\"{}\"", self.id.len()), "id": self.id, "summary": self.summary,
            "timeZone": "Europe/London", "conferenceProperties": { "allowedConferenceSolutionTypes": ["hangoutsMeet"] },
        });
        if kind == "calendar#calendarListEntry" {
            object["accessRole"] = if self.id == HOLIDAYS { "reader" } else { "owner" }.into();
            object["selected"] = true.into();
            object["defaultReminders"] = json!([]);
            if self.id == self.account {
                object["primary"] = true.into();
            }
        }
        object
    }

    /// Stores an event's new state under a change number; what it was is kept where `fields` say nothing.
    ///
    /// *Invariant:* `updated` grows with every change of an event, also within a millisecond.
    pub(super) fn write(&mut self, id: &str, fields: &Value, change: u64) -> Value {
        let now = now();
        let place = self.events.iter().position(|entry| entry.object["id"] == id);
        let mut object = match place {
            Some(place) => self.events[place].object.clone(),
            None => blank(id, &self.id, now),
        };
        let before: Option<Timestamp> = place.and_then(|_| object["updated"].as_str()?.parse().ok());
        let updated = before.map_or(now, |before| now.max(before + SignedDuration::from_millis(1)));
        let sequence = object["sequence"].as_i64().map_or(0, |sequence| sequence + 1);
        let ours = ["id", "silent", "account", "kind", "etag", "updated", "sequence"];
        for (name, value) in fields.as_object().into_iter().flatten().filter(|(name, _)| !ours.contains(&name.as_str()))
        {
            object[name] = value.clone();
        }
        object["updated"] = stamp(updated).into();
        object["etag"] = format!("\"{}\"", updated.as_microsecond()).into();
        object["sequence"] = sequence.into();
        match place {
            Some(place) => {
                let entry = &mut self.events[place];
                let ends = object["status"] == "cancelled" && entry.object["status"] != "cancelled";
                entry.change = change;
                let before = std::mem::replace(&mut entry.object, object.clone());
                if ends {
                    entry.before = Some(before);
                }
            }
            None => self.events.push(Entry { born: change, change, object: object.clone(), before: None }),
        }
        object
    }

    /// A cancelled event is again what it was, its old `updated` included. `None` if it was never cancelled.
    pub(super) fn restore(&mut self, id: &str, change: u64) -> Option<Value> {
        let entry = self.events.iter_mut().find(|entry| entry.object["id"] == id)?;
        entry.object = entry.before.take()?;
        entry.change = change;
        Some(entry.object.clone())
    }
}

/// RFC 3339 with milliseconds, as Google writes times.
pub(super) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// <https://developers.google.com/workspace/calendar/api/v3/reference/events#resource>
fn blank(id: &str, calendar: &str, now: Timestamp) -> Value {
    let who = json!({ "email": calendar, "self": true });
    json!({
        "kind": "calendar#event", "id": id, "status": "confirmed", "created": stamp(now), "creator": who,
        "organizer": who,
        "htmlLink": format!("https://www.google.com/calendar/event?eid={id}"), "iCalUID": format!("{id}@google.com"),
        "reminders": { "useDefault": true }, "eventType": "default",
    })
}

/// The holidays that each account has from the beginning.
pub(super) const HOLIDAYS: &str = "en.uk#holiday@group.v.calendar.google.com";

/// Two calendars of the first account with seven events, and its holidays, which can't be watched; one empty one of the second;
/// and the number of changes.
pub(super) fn seed() -> (Vec<AccountCalendar>, u64) {
    let [ada, grace] = ACCOUNTS;
    let mut calendars = vec![
        AccountCalendar::empty(ada, ada, "Ada"),
        AccountCalendar::empty("team@group.calendar.google.com", ada, "Team"),
        AccountCalendar::empty(HOLIDAYS, ada, "Holidays in United Kingdom"),
        AccountCalendar::empty(grace, grace, "Grace"),
    ];
    let meetings = [
        (0, "Breakfast", 0),
        (0, "Dentist", 1),
        (0, "Call with Grace", 2),
        (0, "Lunch", 3),
        (1, "Planning", 1),
        (1, "Retrospective", 4),
        (1, "Release", 7),
    ];
    let mut changes = 0;
    let midnight = now().as_second() / 86_400 * 86_400;
    for (place, summary, day) in meetings {
        changes += 1;
        let hour = |hour: i64| {
            let time = Timestamp::from_second(midnight + day * 86_400 + hour * 3600).unwrap_or_default();
            json!({ "dateTime": time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "timeZone": "Europe/London" })
        };
        let mut fields = json!({ "summary": summary, "start": hour(9), "end": hour(10) });
        if summary == "Release" {
            // All day.
            let date = |day: i64| {
                let time = Timestamp::from_second(midnight + day * 86_400).unwrap_or_default();
                json!({ "date": time.strftime("%Y-%m-%d").to_string() })
            };
            fields["start"] = date(day);
            fields["end"] = date(day + 1);
        }
        calendars[place].write(&random(26), &fields, changes);
    }
    (calendars, changes)
}
