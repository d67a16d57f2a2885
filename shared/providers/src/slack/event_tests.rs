//! Slack's deliveries, as its documentation shows them.

use serde_json::json;

use super::*;

const RECEIVED: Timestamp = Timestamp::constant(1_795_428_000, 0);

fn callback_of(event: &Value) -> String {
    json!({
        "token": "XXYYZZ", "team_id": "TXXXXXXXX", "api_app_id": "AXXXXXXXXX", "event": event, "type": "event_callback",
        "event_id": "EvXXXXXXXX", "event_time": 1_234_567_890, "authorizations": [{"team_id": "T061EG9R6", "user_id": "UBOT", "is_bot": true}]
    })
    .to_string()
}

fn read_text(text: &str) -> Result<Event<'_>, NotAnEvent> {
    read(serde_json::from_str(text).unwrap(), RECEIVED)
}

fn team(id: &str) -> Owner {
    Owner::Account(id.parse().unwrap())
}

fn effect_of(event: &Value) -> Effect {
    read_text(&callback_of(event)).unwrap().effect().clone()
}

#[test]
fn an_event_is_its_inner_part_for_the_workspace_that_installed_the_app() {
    let text =
        callback_of(&json!({"type": "message", "subtype": "message_deleted", "channel": "C1", "event_ts": "1.0"}));
    let event = read_text(&text).unwrap();
    assert_eq!((event.id().as_str(), event.event_type().as_str()), ("EvXXXXXXXX", "message.message_deleted"));
    assert_eq!((event.owner(), event.occurred_at().as_second()), (&team("T061EG9R6"), 1_234_567_890));
    assert_eq!(event.effect(), &Effect::Records(vec![]));
    assert!(!event.data().get().contains("XXYYZZ"), "the verification token is not published");
    assert_eq!(account(&text).as_deref(), Some("T061EG9R6"));
    assert_eq!(account(r#"{"team_id":"T1"}"#).as_deref(), Some("T1"));
}

#[test]
fn only_the_loss_of_the_bots_token_ends_the_grant() {
    let revoked = |tokens| effect_of(&json!({"type": "tokens_revoked", "tokens": tokens}));
    assert_eq!(revoked(json!({"oauth": ["UXXXXXXXX"], "bot": ["UXXXXXXXX"]})), Effect::GrantEnded);
    assert_eq!(revoked(json!({"oauth": ["UXXXXXXXX"], "bot": []})), Effect::Records(vec![]));
    assert_eq!(effect_of(&json!({"type": "app_uninstalled"})), Effect::GrantEnded);
}

#[test]
fn a_deleted_channel_is_a_tombstone_at_the_events_microsecond() {
    let effect =
        effect_of(&json!({"type": "channel_deleted", "channel": "C024BE91L", "event_ts": "1360782804.083113"}));
    let Effect::Records(changes) = effect else { panic!("{effect:?}") };
    assert_eq!((changes[0].key().as_str(), changes[0].version().get()), ("channels#C024BE91L", 1_360_782_804_083_113));
    assert!(changes[0].is_deleted());
}

#[test]
fn a_changed_user_is_a_record_and_a_part_of_a_channel_asks_for_a_sync_of_it() {
    let user =
        json!({"id": "U1", "name": "ada", "deleted": false, "profile": {"email": "ada@example.com"}, "updated": 7});
    let effect = effect_of(&json!({"type": "user_change", "user": user, "event_ts": "1360782804.083113"}));
    let Effect::Records(changes) = effect else { panic!("{effect:?}") };
    assert_eq!((changes[0].key().as_str(), changes[0].updated_at().as_second()), ("users#U1", 7));
    assert_eq!(*changes[0].data(), json!({"name": "ada", "deactivated": false}));
    for kind in ["channel_created", "channel_rename", "channel_archive", "group_unarchive"] {
        assert_eq!(effect_of(&json!({"type": kind, "channel": {"id": "C1", "name": "x"}})), of_channel("C1"), "{kind}");
    }
    let missed = r#"{"token":"t","type":"app_rate_limited","team_id":"T1","minute_rate_limited":1518467820}"#;
    let event = read_text(missed).unwrap();
    assert_eq!((event.id().as_str(), event.effect()), ("app_rate_limited.1518467820", &Effect::Sync(Scope::All)));
}

fn of_channel(id: &str) -> Effect {
    Effect::Sync(Scope::Object(RecordKey::new("channels", id).unwrap()))
}

#[test]
fn a_channel_that_the_app_joins_or_leaves_asks_for_a_sync_of_it_and_other_members_do_not() {
    for kind in ["member_joined_channel", "member_left_channel"] {
        let moved =
            |user: &str| effect_of(&json!({"type": kind, "user": user, "channel": "G1", "event_ts": "1.000001"}));
        assert_eq!((moved("UBOT"), moved("U1")), (of_channel("G1"), Effect::Records(vec![])), "{kind}");
    }
}

#[test]
fn a_slash_command_arrives_as_the_fields_of_a_form_and_loses_its_token() {
    let fields = json!({
        "token": "gIkuvaNzQIHg97ATvDxqgjtO", "team_id": "T0001", "team_domain": "example", "channel_id": "C2147483705",
        "user_id": "U2147483697", "command": "/weather", "text": "94070", "api_app_id": "A123456",
        "response_url": "https://hooks.slack.com/commands/1234/5678",
        "trigger_id": "13345224609.738474920.8088930838d88f008e0"
    })
    .to_string();
    let event = read_text(&fields).unwrap();
    assert_eq!((event.event_type().as_str(), event.owner()), ("slash_command", &team("T0001")));
    assert_eq!((event.id().as_str(), event.occurred_at()), ("13345224609.738474920.8088930838d88f008e0", RECEIVED));
    assert!(event.data().get().contains("94070") && !event.data().get().contains("gIkuvaNzQIHg97ATvDxqgjtO"));
}

#[test]
fn an_interaction_is_json_in_a_field_and_is_named_by_trigger_or_view() {
    let form = |payload: &Value| json!({"payload": payload.to_string()}).to_string();
    let shortcut = form(&json!({
        "type": "shortcut", "token": "SECRET", "action_ts": "1581106241.371594", "team": {"id": "TXXXXXXXX"},
        "user": {"id": "U1", "team_id": "TXXXXXXXX"}, "trigger_id": "944799105734.773906753841.38b5894552bdd4a780554ee59d1f3638"
    }));
    let event = read_text(&shortcut).unwrap();
    assert_eq!((event.event_type().as_str(), event.owner()), ("interactive.shortcut", &team("TXXXXXXXX")));
    assert_eq!(event.id(), "944799105734.773906753841.38b5894552bdd4a780554ee59d1f3638");
    assert!(!event.data().get().contains("SECRET"));
    assert_eq!(account(&shortcut).as_deref(), Some("TXXXXXXXX"));
    let closed = form(&json!({
        "type": "view_closed", "team": null, "user": {"id": "U1", "team_id": "T2"},
        "view": {"id": "VNHU13V36", "hash": "156772938.1827394"}
    }));
    let event = read_text(&closed).unwrap();
    assert_eq!((event.id().as_str(), event.owner()), ("VNHU13V36.156772938.1827394", &team("T2")));
}

#[test]
fn only_a_harmless_challenge_is_given_back() {
    let ask = |kind: &str, text: &str| challenge(&json!({"token": "t", "type": kind, "challenge": text}).to_string());
    let documented = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P";
    assert_eq!(ask("url_verification", documented).as_deref(), Some(documented));
    assert_eq!(ask("event_callback", documented), None);
    for bad in ["", "<script>", "a b", "a\r\nb", "é", &"x".repeat(257)] {
        assert_eq!(ask("url_verification", bad), None, "{bad}");
    }
    assert!(read_text(r#"{"type":"url_verification","challenge":"x"}"#).is_err());
}

#[test]
fn what_is_no_event_is_refused() {
    for text in [
        callback_of(&Value::Null),
        callback_of(&json!({"type": 1})),
        callback_of(&json!({"type": "channel_deleted", "channel": {"id": "C1"}})),
        callback_of(&json!({"type": "channel_deleted", "channel": "C#1"})),
        callback_of(&json!({"type": "t".repeat(129)})),
        callback_of(&json!({"type": "x"})).replace("EvXXXXXXXX", "Ev#1"),
        callback_of(&json!({"type": "x"})).replace("1234567890", "9223372036854775807"),
        callback_of(&json!({"type": "x"})).replace("T061EG9R6", "T#1"),
        json!({"command": "/x", "team_id": "T1"}).to_string(),
        json!({"payload": "nonsense"}).to_string(),
        json!({"payload": "{\"type\":\"shortcut\"}"}).to_string(),
        json!({"payload": format!("{}{}", "[".repeat(1000), "]".repeat(1000))}).to_string(),
    ] {
        assert!(read_text(&text).is_err(), "{text}");
    }
}

#[test]
fn every_shape_that_names_a_workspace_leads_to_it() {
    let outer = |more: Value| {
        let mut delivery: Value = serde_json::from_str(&callback_of(&json!({"type": "app_mention"}))).unwrap();
        for (name, value) in more.as_object().unwrap() {
            delivery[name] = value.clone();
        }
        delivery.to_string()
    };
    let form = |mut payload: Value| {
        payload["type"] = "block_actions".into();
        payload["trigger_id"] = "1.2.3".into();
        json!({ "payload": payload.to_string() }).to_string()
    };
    let command = |more: Value| {
        let mut fields = json!({ "command": "/x", "trigger_id": "1.2.3" });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields.to_string()
    };
    let none = Value::Null;
    for (what, text, expected) in [
        ("its installation", outer(json!({})), Some("T061EG9R6")),
        (
            "the context, where the installation is an organisation's",
            outer(json!({
                "authorizations": [{"enterprise_id": "E1", "team_id": null, "is_enterprise_install": true}],
                "context_team_id": "T2", "context_enterprise_id": "E1"
            })),
            Some("T2"),
        ),
        (
            "a workspace of an organisation that installed the app",
            outer(
                json!({"authorizations": [{"enterprise_id": "E1", "team_id": "T423567", "is_enterprise_install": true}]}),
            ),
            Some("T423567"),
        ),
        ("an older event", outer(json!({"authorizations": none})), Some("TXXXXXXXX")),
        ("an empty list", outer(json!({"authorizations": [], "context_team_id": none})), Some("TXXXXXXXX")),
        (
            "an organisation alone",
            outer(json!({"authorizations": [], "team_id": none, "enterprise_id": "E1"})),
            Some("E1"),
        ),
        ("nothing", outer(json!({"authorizations": none, "team_id": none})), None),
        (
            "a command",
            command(json!({"team_id": "T1", "enterprise_id": "E1", "is_enterprise_install": "true"})),
            Some("T1"),
        ),
        ("an organisation's command", command(json!({"team_id": "", "enterprise_id": "E1"})), Some("E1")),
        ("an interaction", form(json!({"team": {"id": "T1"}, "user": {"id": "U1", "team_id": "E1"}})), Some("T1")),
        (
            "a view",
            form(json!({"team": {"id": "T9"}, "view": {"team_id": "T9", "app_installed_team_id": "T1"}})),
            Some("T1"),
        ),
        (
            "a view of an organisation",
            form(json!({
                "team": none, "enterprise": {"id": "E1"}, "user": {"id": "U1", "team_id": "E1"},
                "view": {"team_id": "T3", "app_installed_team_id": "E1"}
            })),
            Some("T3"),
        ),
        ("an organisation's shortcut", form(json!({"team": none, "enterprise": {"id": "E1"}})), Some("E1")),
    ] {
        let event = read_text(&text).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(*event.owner(), expected.map_or(Owner::Unnamed, team), "{what}");
        assert_eq!(account(&text).as_deref(), expected, "{what}");
    }
}
