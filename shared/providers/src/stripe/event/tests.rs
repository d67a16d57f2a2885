use super::{account as account_of, *};

fn read_text(text: &str) -> Result<Event<'_>, NotAnEvent> {
    read(serde_json::from_str(text).unwrap())
}

#[test]
fn the_official_sample_changes_one_customer() {
    let event = read_text(include_str!("../../../../../events/stripe-signature-vector.json")).unwrap();
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
    let changes = |event_type: &str, object: &str| {
        let text = format!(r#"{{"id":"e","type":"{event_type}","created":10,"data":{{"object":{object}}}}}"#);
        read_text(&text).unwrap().changes()[0].clone()
    };
    let gone = changes("customer.deleted", r#"{"id":"cus_1","object":"customer","email":"a@example.com"}"#);
    assert_eq!((gone.key().as_str(), gone.is_deleted(), gone.data()), ("customers#cus_1", true, &Value::Null));
    let object = r#"{"id":"sub_1","object":"subscription","status":"canceled","ended_at":9}"#;
    let canceled = changes("customer.subscription.deleted", object);
    assert_eq!((canceled.key().as_str(), canceled.is_deleted()), ("subscriptions#sub_1", false));
    assert_eq!((&canceled.data()["status"], &canceled.data()["ended_at"]), (&"canceled".into(), &9.into()));
    let updated = changes("customer.subscription.updated", object);
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
