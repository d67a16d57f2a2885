//! Gmail's push messages, by way of Pub/Sub: <https://developers.google.com/workspace/gmail/api/guides/push> and
//! <https://cloud.google.com/pubsub/docs/push>, read 2026-11.
//!
//! A message says that something changed in a mailbox, not what.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use domain::{AccountAddress, Effect, Event, EventId, EventType, NotAnEvent, Owner, sync::Scope};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// Pub/Sub pads, Gmail's own documentation decodes the alphabet of URLs: both are read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Deserialize)]
struct Push {
    message: Wrapped,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wrapped {
    data: String,
    message_id: String,
    publish_time: Option<String>,
}

/// What the message holds, in Base64.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    email_address: String,
    /// A text or a number.
    history_id: serde_json::Value,
}

impl Wrapped {
    fn notice(&self) -> Result<Notice, NotAnEvent> {
        let bytes = BASE64.decode(self.data.replace('+', "-").replace('/', "_"));
        // Whatever can't be decoded isn't JSON either.
        Ok(serde_json::from_slice(&bytes.unwrap_or_default())?)
    }
}

impl Notice {
    /// Addresses are kept in lower case.
    fn account(&self) -> String {
        self.email_address.to_lowercase()
    }
}

pub(super) fn account(body: &str) -> Option<String> {
    let push: Push = serde_json::from_str(body).ok()?;
    Some(push.message.notice().ok()?.account())
}

pub(super) fn read(body: &RawValue, received_at: Timestamp) -> Result<Event<'static>, NotAnEvent> {
    let Push { message } = serde_json::from_str(body.get())?;
    let notice = message.notice()?;
    let (id, event_type) = (EventId::parse(message.message_id)?, EventType::parse("mailbox.changed")?);
    let owner = Owner::Address(AccountAddress::parse(notice.account())?);
    let occurred_at = message.publish_time.and_then(|time| time.parse().ok()).unwrap_or(received_at);
    let data = Cow::Owned(to_raw_value(&notice)?);
    Ok(Event::new(id, event_type, occurred_at, data).with_owner(owner).with_effect(Effect::Sync(Scope::All)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The sample of Gmail's documentation.
    const DATA: &str = "eyJlbWFpbEFkZHJlc3MiOiAidXNlckBleGFtcGxlLmNvbSIsICJoaXN0b3J5SWQiOiAiMTIzNDU2Nzg5MCJ9";

    fn push(data: &str) -> String {
        json!({
            "message": {"data": data, "messageId": "2070443601311540", "publishTime": "2026-02-26T19:13:55.749Z"},
            "subscription": "projects/myproject/subscriptions/mysubscription"
        })
        .to_string()
    }

    fn read_text(text: &str) -> Result<Event<'static>, NotAnEvent> {
        read(serde_json::from_str(text).unwrap(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_documented_push_asks_for_a_sync_of_the_mailbox() {
        let event = read_text(&push(DATA)).unwrap();
        assert_eq!((event.id().as_str(), event.event_type().as_str()), ("2070443601311540", "mailbox.changed"));
        assert_eq!(
            (event.owner(), event.effect()),
            (&Owner::Address("user@example.com".parse().unwrap()), &Effect::Sync(Scope::All))
        );
        assert_eq!(event.occurred_at().to_string(), "2026-02-26T19:13:55.749Z");
        assert_eq!(event.data().get(), r#"{"emailAddress":"user@example.com","historyId":"1234567890"}"#);
    }

    #[test]
    fn the_account_is_in_lower_case_whatever_the_alphabet_and_padding() {
        let notice = r#"{"emailAddress":"Ada@Example.com","historyId":7,"x":"???>>>"}"#;
        for engine in [
            base64::engine::general_purpose::STANDARD,
            base64::engine::general_purpose::STANDARD_NO_PAD,
            base64::engine::general_purpose::URL_SAFE,
            base64::engine::general_purpose::URL_SAFE_NO_PAD,
        ] {
            assert_eq!(account(&push(&engine.encode(notice))).as_deref(), Some("ada@example.com"));
        }
    }

    #[test]
    fn what_holds_no_notice_is_no_event() {
        let encoded = |notice: &str| push(&BASE64.encode(notice));
        for text in [
            push(""),
            push("%%%"),
            encoded("null"),
            encoded(r#"{"emailAddress":"a#b@example.com","historyId":1}"#),
            encoded(&"[".repeat(100_000)),
            push(DATA).replace("2070443601311540", "a#b"),
        ] {
            assert!(read_text(&text).is_err(), "{text:.80}");
        }
    }
}
