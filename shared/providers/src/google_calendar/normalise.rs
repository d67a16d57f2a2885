//! Google Calendar's events as our records: <https://developers.google.com/workspace/calendar/api/v3/reference/events>, read 2026-11.

use domain::{
    Change,
    record::{self, MAX_KEY},
};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::stream::pick;

/// The documented fields of `events`, besides those that are built.
const EVENT: &[(&str, &str)] = &[
    ("summary", "/summary"),
    ("description", "/description"),
    ("location", "/location"),
    ("status", "/status"),
    ("html_link", "/htmlLink"),
    ("organizer", "/organizer/email"),
    ("recurrence", "/recurrence"),
    ("recurring_event_id", "/recurringEventId"),
    ("updated", "/updated"),
];
/// A day, or a time with its zone.
const TIME: &[(&str, &str)] = &[("date", "/date"), ("date_time", "/dateTime"), ("time_zone", "/timeZone")];
const ATTENDEE: &[(&str, &str)] = &[("email", "/email"), ("response_status", "/responseStatus")];

/// The documented fields of an event.
pub(super) fn fields(calendar: &str, event: &Value) -> Map<String, Value> {
    let mut fields = pick(event, EVENT);
    fields.insert("calendar".to_owned(), calendar.into());
    for end in ["start", "end"] {
        fields.extend(event.get(end).map(|time| (end.to_owned(), pick(time, TIME).into())));
    }
    let attendees = event.get("attendees").and_then(Value::as_array);
    let attendees = attendees.map(|all| all.iter().map(|one| Value::from(pick(one, ATTENDEE))).collect());
    fields.extend(attendees.map(|all: Vec<_>| ("attendees".to_owned(), all.into())));
    fields
}

/// The id of an event within its calendar.
pub(super) fn id(event: &Value) -> Option<&str> {
    event.get("id")?.as_str().filter(|id| !id.is_empty())
}

/// An event as it was at `asked_at`. `None` if its key would be longer than a store takes: Google allows ids of 1,024 characters.
///
/// What is cancelled comes without most fields, sometimes without the time of the change.
pub(super) fn change(calendar: &str, id: &str, event: &Value, asked_at: Timestamp) -> Option<Change> {
    let updated = event.get("updated").and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    let updated = updated.unwrap_or(asked_at);
    let id = format!("{calendar}/{id}");
    (record::key("events", &id).len() <= MAX_KEY).then(|| Change {
        stream: "events".to_owned(),
        id,
        version: updated.as_millisecond().into(),
        updated_at: updated,
        deleted: event.get("status").is_some_and(|status| status == "cancelled"),
        data: fields(calendar, event).into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: Timestamp = Timestamp::constant(1_795_428_000, 0);

    #[test]
    fn an_event_is_named_by_calendar_and_id_and_versioned_by_its_update() {
        let event = json!({
            "kind": "calendar#event", "etag": "\"3181161784712000\"", "id": "4eahs9ghkhrvkld72hogu9ph3e", "status": "confirmed",
            "htmlLink": "https://www.google.com/calendar/event?eid=x", "created": "2026-05-23T22:23:21.000Z",
            "updated": "2026-05-27T15:58:09.123Z", "summary": "Vorführung", "location": "München",
            "organizer": {"email": "ada@example.com", "self": true}, "recurrence": ["RRULE:FREQ=WEEKLY"],
            "start": {"dateTime": "2026-06-03T09:00:00+02:00", "timeZone": "Europe/Berlin"}, "end": {"date": "2026-06-04"},
            "attendees": [{"email": "bob@example.com", "responseStatus": "needsAction", "displayName": "Bob"}]
        });
        let change = change("ada@example.com", id(&event).unwrap(), &event, AT).unwrap();
        assert_eq!(change.key(), "events#ada@example.com/4eahs9ghkhrvkld72hogu9ph3e");
        assert_eq!(change.version, "2026-05-27T15:58:09.123Z".parse::<Timestamp>().unwrap().as_millisecond().into());
        assert_eq!(
            change.data,
            json!({
                "calendar": "ada@example.com", "summary": "Vorführung", "location": "München", "status": "confirmed",
                "html_link": "https://www.google.com/calendar/event?eid=x", "organizer": "ada@example.com",
                "start": {"date_time": "2026-06-03T09:00:00+02:00", "time_zone": "Europe/Berlin"},
                "end": {"date": "2026-06-04"}, "recurrence": ["RRULE:FREQ=WEEKLY"], "updated": "2026-05-27T15:58:09.123Z",
                "attendees": [{"email": "bob@example.com", "response_status": "needsAction"}]
            })
        );
    }

    #[test]
    fn a_cancelled_instance_without_its_time_is_a_tombstone_of_now() {
        let event =
            json!({"id": "e_20260603", "status": "cancelled", "recurringEventId": "e", "originalStartTime": {}});
        let change = change("c", "e_20260603", &event, AT).unwrap();
        assert_eq!((change.deleted, change.version, change.updated_at), (true, 1_795_428_000_000, AT));
    }

    #[test]
    fn an_id_too_long_for_a_key_is_left_out() {
        let calendar = "c".repeat(100);
        let room = MAX_KEY - "events#".len() - calendar.len() - 1;
        assert!(change(&calendar, &"e".repeat(room), &json!({}), AT).is_some());
        assert!(change(&calendar, &"e".repeat(room + 1), &json!({}), AT).is_none());
    }
}
