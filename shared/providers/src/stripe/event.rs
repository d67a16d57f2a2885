//! Stripe's event object: <https://docs.stripe.com/api/events/object>.

use std::borrow::Cow;

use domain::{
    AccountId, Change, Effect, Event, EventId, EventType, Mode, NotAnEvent, Owner, RecordKey, id::NotAnId,
    sync::record::Rank,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{SPEC, normalise};

#[derive(Deserialize)]
struct Envelope<'a> {
    id: EventId,
    r#type: EventType,
    created: Created,
    livemode: Option<bool>,
    /// The connected account of a platform that it happened at.
    account: Option<String>,
    /// Likewise, in thin events: the account, or the way to it, `acct_…/acct_…`.
    context: Option<String>,
    /// Thin events have none.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    /// What a thin event (`v2.core.event`) is about.
    #[serde(borrow)]
    related_object: Option<&'a RawValue>,
}

/// Unix seconds, in thin events RFC 3339.
#[derive(Deserialize)]
#[serde(untagged)]
enum Created {
    Seconds(i64),
    Text(Timestamp),
}

pub(super) fn read(body: &RawValue) -> Result<Event<'_>, NotAnEvent> {
    let envelope: Envelope<'_> = serde_json::from_str(body.get())?;
    let owner = owner(&envelope)?;
    let occurred_at = match envelope.created {
        Created::Seconds(seconds) => Timestamp::from_second(seconds).map_err(|_| NotAnEvent::Time)?,
        Created::Text(time) => time,
    };
    let changes = match envelope.data {
        Some(data) => change(envelope.r#type.as_str(), occurred_at, data)?.into_iter().collect(),
        None => Vec::new(),
    };
    // What a pushed thin event is about; whatever it brings besides is in the data of a fetched one.
    let data = envelope.data.or(envelope.related_object).unwrap_or(RawValue::NULL);
    let mode = envelope.livemode.map(|live| if live { Mode::Live } else { Mode::Test });
    let event = Event::new(envelope.id, envelope.r#type, occurred_at, Cow::Borrowed(data));
    Ok(event.with_owner(owner).with_mode(mode).with_effect(Effect::Records(changes)))
}

/// The account that a delivery names, without reading the rest of it.
pub(super) fn account(body: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        account: Option<Cow<'a, str>>,
        #[serde(borrow)]
        context: Option<Cow<'a, str>>,
    }
    let Head { account, context } = serde_json::from_str(body).ok()?;
    account.or_else(|| Some(named_last(&context?).to_owned().into()))
}

/// The account at the end of a context.
fn named_last(context: &str) -> &str {
    context.rsplit('/').next().unwrap_or(context)
}

/// The owner that the envelope names: <https://docs.stripe.com/connect/webhooks>, <https://docs.stripe.com/context>,
/// <https://docs.stripe.com/api/v2/core/events/object>, read 2026-11.
fn owner(envelope: &Envelope<'_>) -> Result<Owner, NotAnId> {
    let named = envelope.account.as_deref().or_else(|| envelope.context.as_deref().map(named_last));
    match named.filter(|account| !account.is_empty()) {
        Some(account) => AccountId::parse(account).map(Owner::Account),
        None => Ok(about(envelope).map_or(Owner::Unnamed, Owner::About)),
    }
}

/// The account that it is about: itself, or what belongs to it.
fn about(envelope: &Envelope<'_>) -> Option<AccountId> {
    #[derive(Deserialize)]
    struct Related {
        id: Option<String>,
        url: Option<String>,
    }
    #[derive(Deserialize)]
    struct Data {
        object: Object,
    }
    #[derive(Deserialize)]
    struct Object {
        id: Option<String>,
        object: Option<String>,
    }
    let account = |id: &str| AccountId::parse(id).ok().filter(|_| id.starts_with("acct_"));
    if let Some(related) = envelope.related_object {
        let Related { id, url } = serde_json::from_str(related.get()).ok()?;
        let of_url = || url?.split('/').find_map(account);
        return id.as_deref().and_then(account).or_else(of_url);
    }
    let Data { object } = serde_json::from_str(envelope.data?.get()).ok()?;
    object.id.as_deref().filter(|_| object.object.as_deref() == Some("account")).and_then(account)
}

/// The record that an event of one of our streams brings up to date.
///
/// Stripe's objects carry no revision, so the event's time orders them. Its resolution is a second, in which an object is
/// often created and brought to its end, so the type decides within one: a creation is first, an end is last.
fn change(event_type: &str, at: Timestamp, data: &RawValue) -> Result<Option<Change>, NotAnEvent> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        object: Option<&'a RawValue>,
    }
    // What a thin event has here, once it is fetched, is no object.
    let Some(object) = serde_json::from_str::<Data<'_>>(data.get())?.object else { return Ok(None) };
    let Some(normalised) = normalise::object(object)? else { return Ok(None) };
    let key = RecordKey::new(normalised.stream, &normalised.id)?;
    let deleted = SPEC.stream(normalised.stream).is_some_and(|stream| stream.ends.contains(&event_type));
    let version = normalise::CLOCK.event_version(at, rank(event_type));
    Ok(Some(if deleted {
        Change::tombstone(key, version, at, Value::Null)
    } else {
        Change::new(key, version, at, normalised.data)
    }))
}

/// The order of event types within one second. A canceled subscription can still be updated, so its end is in no order with
/// its updates.
fn rank(event_type: &str) -> Rank {
    match event_type {
        "customer.created" | "customer.subscription.created" | "payment_intent.created" => Rank::First,
        "customer.deleted" | "payment_intent.canceled" | "payment_intent.succeeded" => Rank::Last,
        _ => Rank::Between,
    }
}

#[cfg(test)]
mod tests {
    use super::{account as account_of, *};

    fn read_text(text: &str) -> Result<Event<'_>, NotAnEvent> {
        read(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_official_sample_changes_one_customer() {
        let event = read_text(include_str!("../../../../events/stripe-signature-vector.json")).unwrap();
        assert_eq!((event.id().as_str(), event.event_type().as_str()), ("evt_123", "customer.created"));
        assert_eq!((event.owner(), event.mode()), (&Owner::Account("acct_123".parse().unwrap()), Some(Mode::Test)));
        let [change] = event.changes() else { panic!("{:?}", event.effect()) };
        assert_eq!(
            (change.key().as_str(), change.version().get(), change.is_deleted()),
            ("customers#cus_123", 1_533_204_620_000_000, false)
        );
        assert_eq!(change.data()["email"], "test@stripe.com");
    }

    #[test]
    fn a_deleted_customer_is_a_tombstone_and_a_canceled_subscription_a_state() {
        let told = |event_type: &str, object: &str| {
            let text = format!(r#"{{"id":"e","type":"{event_type}","created":10,"data":{{"object":{object}}}}}"#);
            read_text(&text).unwrap().changes()[0].clone()
        };
        let gone = told("customer.deleted", r#"{"id":"cus_1","object":"customer","email":"a@example.com"}"#);
        assert_eq!((gone.key().as_str(), gone.is_deleted(), gone.data()), ("customers#cus_1", true, &Value::Null));
        let object = r#"{"id":"sub_1","object":"subscription","status":"canceled","ended_at":9}"#;
        let canceled = told("customer.subscription.deleted", object);
        assert_eq!((canceled.key().as_str(), canceled.is_deleted()), ("subscriptions#sub_1", false));
        assert_eq!((&canceled.data()["status"], &canceled.data()["ended_at"]), (&"canceled".into(), &9.into()));
        let updated = told("customer.subscription.updated", object);
        assert_eq!(canceled.version(), updated.version(), "only Stripe can say which of the two is the later");
    }

    #[test]
    fn within_one_second_a_creation_is_first_and_what_nothing_follows_is_last() {
        let version = |event_type: &str| {
            let object = r#"{"id":"pi_1","object":"payment_intent"}"#;
            let text = format!(r#"{{"id":"e","type":"{event_type}","created":10,"data":{{"object":{object}}}}}"#);
            read_text(&text).unwrap().changes()[0].version()
        };
        let order = ["payment_intent.created", "payment_intent.processing", "payment_intent.succeeded"].map(version);
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
    }

    #[test]
    fn every_shape_that_names_an_account_leads_to_it() {
        let account = |id: &str| Owner::Account(id.parse().unwrap());
        let about = |id: &str| Owner::About(id.parse().unwrap());
        for (what, more, expected) in [
            ("a plain event", r#""data":{"object":{"id":"cus_1","object":"customer"}}"#, Owner::Unnamed),
            ("a connected account's", r#""account":"acct_1","data":{"object":{"id":"cus_1"}}"#, account("acct_1")),
            ("a context", r#""context":"acct_1""#, account("acct_1")),
            ("the way to it", r#""context":"acct_platform/acct_1""#, account("acct_1")),
            ("an organisation's", r#""context":"org_1/acct_platform/acct_1""#, account("acct_1")),
            ("no context", r#""context":null,"related_object":null"#, Owner::Unnamed),
            ("an empty context", r#""context":"""#, Owner::Unnamed),
            (
                "an account as it is pushed",
                r#""related_object":{"id":"acct_1","type":"v2.core.account","url":"/v2/core/accounts/acct_1"}"#,
                about("acct_1"),
            ),
            (
                "a person of an account",
                r#""related_object":{"id":"person_1","type":"v2.core.account_person",
                    "url":"/v2/core/accounts/acct_1/persons/person_1"}"#,
                about("acct_1"),
            ),
            (
                "another object",
                r#""related_object":{"id":"mtr_1","type":"billing.meter","url":"/v1/billing/meters/mtr_1"}"#,
                Owner::Unnamed,
            ),
            ("an account's own", r#""data":{"object":{"id":"acct_1","object":"account"}}"#, about("acct_1")),
            (
                "the platform's, of a connected account",
                r#""account":"acct_1","data":{"object":{"id":"acct_2","object":"account"}}"#,
                account("acct_1"),
            ),
        ] {
            let text = format!(r#"{{"id":"evt_1","type":"t","created":1,{more}}}"#);
            assert_eq!(read_text(&text).unwrap_or_else(|error| panic!("{what}: {error}")).owner(), &expected, "{what}");
        }
        assert_eq!(account_of(r#"{"context":"acct_platform/acct_1"}"#).as_deref(), Some("acct_1"));
        assert_eq!(account_of(r#"{"account":"acct_1","context":"acct_2"}"#).as_deref(), Some("acct_1"));
    }

    #[test]
    fn a_fetched_thin_event_has_data_without_an_object() {
        let text = r#"{"id":"evt_1","object":"v2.core.event","type":"v1.x","created":"2026-11-23T10:00:00.000Z",
            "livemode":true,"context":"acct_1","changes":null,"data":{"developer_message_summary":"x"}}"#;
        let event = read_text(text).unwrap();
        assert_eq!((event.changes(), event.mode()), (&[][..], Some(Mode::Live)));
        assert_eq!(event.data().get(), r#"{"developer_message_summary":"x"}"#);
    }

    #[test]
    fn an_error_never_quotes_the_body() {
        let text = r#"{"id":"evt_1","type":"t","created":1,"data":{"object":"4242424242424242"}}"#;
        let error = read_text(text).unwrap_err().to_string();
        assert!(!error.contains("4242"), "{error}");
    }

    #[test]
    fn unknown_objects_and_thin_events_are_events_without_changes() {
        let unknown = r#"{"id":"evt_1","type":"x.y","created":10,"data":{"object":{"id":"x","object":"gizmo"}}}"#;
        assert!(read_text(unknown).unwrap().changes().is_empty());
        let thin = r#"{"id":"evt_1","object":"v2.core.event","type":"v1.x","created":"2026-11-23T10:00:00Z",
            "related_object":{"id":"x"}}"#;
        let event = read_text(thin).unwrap();
        assert_eq!(event.data().get(), r#"{"id":"x"}"#);
        assert!(event.changes().is_empty());
    }

    #[test]
    fn ids_and_times_out_of_bounds_are_refused() {
        for text in [
            r#"{"id":"","type":"t","created":1}"#,
            r#"{"id":"evt_1","type":"","created":1}"#,
            &format!(r#"{{"id":"evt_1","type":"{}","created":1}}"#, "t".repeat(129)),
            r#"{"id":"evt#1","type":"t","created":1}"#,
            r#"{"id":"evt_1","type":"t","created":9223372036854775807}"#,
            r#"{"id":"evt_1","type":"t","created":1,"account":"a#b"}"#,
            r#"{"id":"evt_1","id":"evt_2","type":"t","created":1}"#,
            r#"{"id":"evt_1","type":"t","created":1,"data":{"object":{"id":"a#b","object":"customer"}}}"#,
        ] {
            assert!(read_text(text).is_err(), "{text}");
        }
    }
}
