//! Events as Google's documentation shows them.

use serde_json::json;

use super::*;

const AT: Timestamp = Timestamp::constant(1_795_428_000, 0);

#[test]
fn a_moved_instance_with_its_people_and_its_video_link_is_readable_from_the_record_alone() {
    let event = json!({
        "kind": "calendar#event", "etag": "\"3181161784712000\"", "id": "4eahs9_20260603T070000Z", "status": "confirmed",
        "htmlLink": "https://www.google.com/calendar/event?eid=x", "created": "2026-05-23T22:23:21.000Z",
        "updated": "2026-05-27T15:58:09.123Z", "summary": "Vorführung", "location": "München", "sequence": 3,
        "creator": {"email": "bob@example.com", "displayName": "Bob"},
        "organizer": {"email": "ada@example.com", "self": true}, "recurringEventId": "4eahs9", "iCalUID": "4eahs9@google.com",
        "originalStartTime": {"dateTime": "2026-06-03T09:00:00+02:00", "timeZone": "Europe/Berlin"},
        "start": {"dateTime": "2026-06-03T11:00:00+02:00", "timeZone": "Europe/Berlin"}, "end": {"date": "2026-06-04"},
        "endTimeUnspecified": true, "transparency": "transparent", "visibility": "private", "eventType": "default",
        "attendees": [
            {"email": "bob@example.com", "responseStatus": "needsAction", "displayName": "Bob", "optional": true},
            {"email": "ada@example.com", "responseStatus": "accepted", "organizer": true, "self": true}
        ],
        "hangoutLink": "https://meet.google.com/abc",
        "conferenceData": {"entryPoints": [
            {"entryPointType": "phone", "uri": "tel:+1-234"}, {"entryPointType": "video", "uri": "https://video.example/1"}
        ]},
        "reminders": {"useDefault": true}
    });
    let change = change("ada@example.com", id(&event).unwrap(), &event, AT).unwrap();
    assert_eq!(change.key(), "events#ada@example.com/4eahs9_20260603T070000Z");
    assert_eq!((change.version().get(), change.is_deleted()), (1_795_428_000_000_000, false));
    assert_eq!(change.updated_at().to_string(), "2026-05-27T15:58:09.123Z");
    assert_eq!(
        *change.data(),
        json!({
            "calendar": "ada@example.com", "summary": "Vorführung", "location": "München", "status": "confirmed",
            "html_link": "https://www.google.com/calendar/event?eid=x", "created": "2026-05-23T22:23:21.000Z",
            "updated": "2026-05-27T15:58:09.123Z", "sequence": 3, "ical_uid": "4eahs9@google.com",
            "creator": {"email": "bob@example.com", "display_name": "Bob"},
            "organizer": {"email": "ada@example.com", "self": true}, "recurring_event_id": "4eahs9",
            "original_start": {"date_time": "2026-06-03T09:00:00+02:00", "time_zone": "Europe/Berlin"},
            "start": {"date_time": "2026-06-03T11:00:00+02:00", "time_zone": "Europe/Berlin"}, "end": {"date": "2026-06-04"},
            "end_time_unspecified": true, "transparency": "transparent", "visibility": "private", "event_type": "default",
            "attendees": [
                {"email": "bob@example.com", "response_status": "needsAction", "display_name": "Bob", "optional": true},
                {"email": "ada@example.com", "response_status": "accepted", "organizer": true, "self": true}
            ],
            "conference_link": "https://video.example/1"
        })
    );
}

#[test]
fn a_working_location_says_that_it_is_one_and_where() {
    let event = json!({
        "id": "w", "eventType": "workingLocation", "transparency": "transparent", "visibility": "public",
        "workingLocationProperties": {"type": "officeLocation", "officeLocation": {"label": "Berlin", "floorId": "3"}},
        "hangoutLink": "https://meet.google.com/abc", "recurrence": ["RRULE:FREQ=WEEKLY"]
    });
    let data = change("c", "w", &event, AT).unwrap().data().clone();
    assert_eq!(data["working_location"], json!({"type": "officeLocation", "label": "Berlin"}));
    assert_eq!((&data["event_type"], &data["transparency"]), (&json!("workingLocation"), &json!("transparent")));
    assert_eq!(data["conference_link"], "https://meet.google.com/abc");
}

#[test]
fn a_restored_event_with_its_old_time_replaces_the_tombstone_of_a_stub_without_one() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let stub = change("c", "e", &json!({"id": "e", "status": "cancelled"}), at(1_795_428_000)).unwrap();
    assert_eq!((stub.is_deleted(), stub.updated_at(), stub.data()), (true, at(1_795_428_000), &Value::Null));
    let restored = json!({"id": "e", "status": "confirmed", "updated": "2026-05-27T15:58:09.123Z"});
    let restored = change("c", "e", &restored, at(1_795_428_900)).unwrap();
    assert!(restored.replaces(stub.version(), stub.is_deleted()));
    assert!(!stub.replaces(restored.version(), restored.is_deleted()), "an older reading undoes nothing");
}

#[test]
fn a_cancelled_instance_says_which_one_it_was() {
    let event = json!({
        "id": "e_20260603", "status": "cancelled", "recurringEventId": "e", "summary": "sometimes there",
        "originalStartTime": {"date": "2026-06-03"}
    });
    let change = change("c", "e_20260603", &event, AT).unwrap();
    assert!(change.is_deleted());
    let which = json!({
        "calendar": "c", "status": "cancelled", "recurring_event_id": "e", "original_start": {"date": "2026-06-03"}
    });
    assert_eq!(*change.data(), which);
}

#[test]
fn an_id_too_long_for_a_key_is_left_out() {
    let calendar = "c".repeat(100);
    let room = domain::sync::record::MAX_KEY - "events#".len() - calendar.len() - 1;
    assert!(change(&calendar, &"e".repeat(room), &json!({}), AT).is_some());
    assert!(change(&calendar, &"e".repeat(room + 1), &json!({}), AT).is_none());
}
