//! Google Calendar's push messages: <https://developers.google.com/workspace/calendar/api/guides/push>, read 2026-11.
//!
//! A message says that something changed in a calendar, not what; its body is made of the verified headers.

use std::borrow::Cow;

use domain::{AccountId, Effect, Event, EventId, EventType, IntegrationId, NotAnEvent, Owner, sync::Scope};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Push {
    integration_id: IntegrationId,
    account: AccountId,
    channel_id: String,
    state: String,
    message_number: String,
}

/// Whether a message is the first of its channel, which only says that the channel exists and can be ignored.
pub(super) fn is_first(body: &str) -> bool {
    serde_json::from_str::<Push>(body).is_ok_and(|push| push.state == "sync")
}

pub(super) fn read(body: &RawValue, received_at: Timestamp) -> Result<Event<'_>, NotAnEvent> {
    let push: Push = serde_json::from_str(body.get())?;
    // The resource's id names what is watched; only channel and number name the message.
    let id = EventId::parse(format!("{}.{}", push.channel_id, push.message_number))?;
    if push.state.is_empty() {
        return Err(NotAnEvent::Missing("state"));
    }
    let event_type = EventType::parse(format!("calendar.{}", push.state))?;
    let owner = Owner::Integration { id: push.integration_id, account: push.account };
    let effect = Effect::Sync(Scope::Channel(push.channel_id));
    Ok(Event::new(id, event_type, received_at, Cow::Borrowed(body)).with_owner(owner).with_effect(effect))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CHANNEL: &str = "4ba78bf0-6a47-11e2-bcfd-0800200c9a66";
    const ID: &str = "int_00000000000000000000000000000001";

    fn push(state: &str, number: &str) -> String {
        json!({
            "integration_id": ID, "account": "10769150350006150715113082367", "channel_id": CHANNEL,
            "resource_id": "ret08u3rv24htgh289g", "state": state, "message_number": number
        })
        .to_string()
    }

    fn read_text(text: &str) -> Result<Event<'_>, NotAnEvent> {
        read(serde_json::from_str(text).unwrap(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_push_is_named_by_channel_and_number_never_by_the_resource() {
        let text = push("exists", "10");
        let event = read_text(&text).unwrap();
        assert_eq!(*event.id(), "4ba78bf0-6a47-11e2-bcfd-0800200c9a66.10");
        assert_eq!(
            (event.event_type().as_str(), event.effect()),
            ("calendar.exists", &Effect::Sync(Scope::Channel(CHANNEL.to_owned())))
        );
        let account = AccountId::parse("10769150350006150715113082367").unwrap();
        assert_eq!(*event.owner(), Owner::Integration { id: IntegrationId::parse(ID).unwrap(), account });
    }

    #[test]
    fn the_first_message_of_a_channel_is_no_event_and_every_other_one_is() {
        assert!(is_first(&push("sync", "1")));
        for state in ["exists", "not_exists"] {
            assert!(!is_first(&push(state, "2")));
            assert_eq!(
                read_text(&push(state, "2")).unwrap().effect(),
                &Effect::Sync(Scope::Channel(CHANNEL.to_owned()))
            );
        }
    }

    #[test]
    fn pushes_that_could_forge_a_key_are_refused() {
        for text in [
            push("exists", "1#2"),
            push("", "1"),
            push(&"x".repeat(128), "1"),
            push("exists", "").replace("\"message_number\":\"\"", "\"message_number\":null"),
        ] {
            assert!(read_text(&text).is_err(), "{text}");
        }
    }
}
