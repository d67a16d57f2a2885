use proptest::prelude::*;

use super::*;

fn change(version: i64, deleted: bool) -> Change {
    let key = RecordKey::new("customers", "cus_1").unwrap();
    let make = if deleted { Change::tombstone } else { Change::new };
    make(key, Version(version), Timestamp::UNIX_EPOCH, Value::Null)
}

#[test]
fn a_key_has_a_stream_and_an_id_and_fits_into_a_table() {
    let calendar = "en.usa#holiday@group.v.calendar.google.com";
    let key = RecordKey::within("events", calendar, "e1").unwrap();
    assert_eq!((key.stream(), key.id()), ("events", &*format!("{calendar}/e1")));
    assert_eq!(RecordKey::parse(key.as_str()), Ok(key));
    for id in ["", "a#b", "a/b", "a b"] {
        assert!(RecordKey::new("customers", id).is_err(), "{id}");
    }
    assert!(
        RecordKey::within("events", "c", "").is_err() && RecordKey::within("events", "c", &"x".repeat(1024)).is_err()
    );
    for text in ["", "customers", "customers#", "#cus_1"] {
        assert!(RecordKey::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_record_is_read_with_its_id_and_its_stream() {
    let (key, version) = (RecordKey::new("customers", "cus_1").unwrap(), Version(7));
    let record = Record { key, version, updated_at: Timestamp::UNIX_EPOCH, deleted: true, data: Value::Null };
    let json = r#"{"id":"cus_1","stream":"customers","version":7,"updated_at":"1970-01-01T00:00:00Z","deleted":true,"data":null}"#;
    assert_eq!(serde_json::to_string(&record).unwrap(), json);
}

/// 2⁵³ − 1: RFC 8259 §6.
#[test]
fn a_version_is_a_number_that_every_json_reader_keeps_exactly() {
    let last: Timestamp = "2255-01-01T00:00:00Z".parse().unwrap();
    assert!(
        Clock::Microseconds.listed(last).get() < (1 << 53)
            && Clock::Seconds.event_version(last, Rank::Last).get() < (1 << 53)
    );
}

#[test]
fn what_a_list_tells_is_later_than_the_events_before_its_second_and_earlier_than_those_of_it() {
    let at = |millis| Timestamp::from_millisecond(millis).unwrap();
    let listed = Clock::Seconds.listed(at(10_900));
    assert!(Clock::Seconds.event_version(at(9_999), Rank::Last) < listed);
    assert!(listed < Clock::Seconds.event_version(at(10_000), Rank::First));
    let ranks = [Rank::First, Rank::Between, Rank::Last].map(|rank| Clock::Seconds.event_version(at(10_000), rank));
    assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
    assert!(Clock::Microseconds.event_version(at(10_899), Rank::Last) < Clock::Microseconds.listed(at(10_900)));
}

proptest! {
    #[test]
    fn in_any_order_the_newest_state_stays_and_a_tombstone_wins_its_tie(
        mut changes in proptest::collection::vec((0i64..5, any::<bool>()), 1..12)
    ) {
        let newest = *changes.iter().max().unwrap();
        for _ in 0..changes.len() {
            changes.rotate_left(1);
            let mut stored: Option<(i64, bool)> = None;
            for &(version, deleted) in &changes {
                if stored.is_none_or(|(v, d)| change(version, deleted).replaces(Version(v), d)) {
                    stored = Some((version, deleted));
                }
            }
            prop_assert_eq!(stored, Some(newest));
        }
    }
}
