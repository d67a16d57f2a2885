//! Google Calendar's events as our records: <https://developers.google.com/workspace/calendar/api/v3/reference/events>, read 2026-11.

use domain::{Change, RecordKey, sync::record::Clock};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::stream::{pick, pick_each};

/// Pushes carry no event: only lists carry states.
pub(super) const CLOCK: Clock = Clock::Microseconds;

type Fields = &'static [(&'static str, &'static str)];

/// The documented fields of `events`, besides those that are built.
const EVENT: Fields = &[
    ("attendees_omitted", "/attendeesOmitted"),
    ("created", "/created"),
    ("description", "/description"),
    ("end_time_unspecified", "/endTimeUnspecified"),
    ("event_type", "/eventType"),
    ("html_link", "/htmlLink"),
    ("ical_uid", "/iCalUID"),
    ("location", "/location"),
    ("recurrence", "/recurrence"),
    ("recurring_event_id", "/recurringEventId"),
    ("sequence", "/sequence"),
    ("status", "/status"),
    ("summary", "/summary"),
    ("transparency", "/transparency"),
    ("updated", "/updated"),
    ("visibility", "/visibility"),
];
/// What is certain of a cancelled instance of an event that goes on.
const CANCELLED: Fields = &[("recurring_event_id", "/recurringEventId"), ("status", "/status")];
/// A day, or a time with its zone.
const TIME: Fields = &[("date", "/date"), ("date_time", "/dateTime"), ("time_zone", "/timeZone")];
const TIMES: Fields = &[("start", "start"), ("end", "end"), ("original_start", "originalStartTime")];
const PERSON: Fields = &[("display_name", "/displayName"), ("email", "/email"), ("self", "/self")];
const ATTENDEE: Fields = &[
    ("additional_guests", "/additionalGuests"),
    ("comment", "/comment"),
    ("display_name", "/displayName"),
    ("email", "/email"),
    ("optional", "/optional"),
    ("organizer", "/organizer"),
    ("resource", "/resource"),
    ("response_status", "/responseStatus"),
    ("self", "/self"),
];
const WORKING_LOCATION: Fields =
    &[("label", "/customLocation/label"), ("label", "/officeLocation/label"), ("type", "/type")];
/// Objects within an event: our name, Google's, and the fields.
const PARTS: &[(&str, &str, Fields)] = &[
    ("creator", "creator", PERSON),
    ("organizer", "organizer", PERSON),
    ("working_location", "workingLocationProperties", WORKING_LOCATION),
];

/// The documented fields of an event.
pub(super) fn fields(calendar: &str, event: &Value) -> Map<String, Value> {
    let mut fields = pick(event, EVENT);
    fields.insert("calendar".to_owned(), calendar.into());
    times(&mut fields, event, TIMES);
    for (ours, theirs, part) in PARTS {
        let part = event.get(*theirs).map(|it| pick(it, part)).filter(|it| !it.is_empty());
        fields.extend(part.map(|it| ((*ours).to_owned(), it.into())));
    }
    fields.extend(pick_each(event, "/attendees", ATTENDEE).map(|all| ("attendees".to_owned(), all)));
    fields.extend(conference_link(event).map(|link| ("conference_link".to_owned(), link.clone())));
    fields
}

fn times(fields: &mut Map<String, Value>, event: &Value, names: Fields) {
    for (ours, theirs) in names {
        let time = event.get(*theirs).map(|time| pick(time, TIME)).filter(|time| !time.is_empty());
        fields.extend(time.map(|time| ((*ours).to_owned(), time.into())));
    }
}

/// Where to join by video: of any conference solution, Google's own included.
fn conference_link(event: &Value) -> Option<&Value> {
    let entries = event.pointer("/conferenceData/entryPoints").and_then(Value::as_array);
    let video = |entry: &&Value| entry.get("entryPointType").is_some_and(|kind| kind == "video");
    let uri = entries.and_then(|all| all.iter().find(video)).and_then(|entry| entry.get("uri"));
    uri.or_else(|| event.get("hangoutLink")).filter(|link| link.is_string())
}

/// The id of an event within its calendar.
pub(super) fn id(event: &Value) -> Option<&str> {
    event.get("id")?.as_str().filter(|id| !id.is_empty())
}

/// An event in a list that was asked for at `asked_at`. `None` if its key would be longer than a store takes: Google allows
/// ids of 1,024 characters.
///
/// The time of the change orders no states: what is cancelled comes without it, and what is restored with its old one.
pub(super) fn change(calendar: &str, id: &str, event: &Value, asked_at: Timestamp) -> Option<Change> {
    let updated = event.get("updated").and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    let deleted = event.get("status").is_some_and(|status| status == "cancelled");
    let key = RecordKey::within("events", calendar, id).ok()?;
    let (version, updated_at) = (CLOCK.listed(asked_at), updated.unwrap_or(asked_at));
    Some(if deleted {
        Change::tombstone(key, version, updated_at, cancelled(calendar, event))
    } else {
        Change::new(key, version, updated_at, fields(calendar, event).into())
    })
}

/// A cancelled instance says which one it was: full lists have it, too, as long as its event goes on. Of an event that is
/// deleted only the id is certain.
fn cancelled(calendar: &str, event: &Value) -> Value {
    let mut fields = pick(event, CANCELLED);
    if !fields.contains_key("recurring_event_id") {
        return Value::Null;
    }
    fields.insert("calendar".to_owned(), calendar.into());
    times(&mut fields, event, &[("original_start", "originalStartTime")]);
    fields.into()
}

#[cfg(test)]
#[path = "normalise_tests.rs"]
mod tests;
