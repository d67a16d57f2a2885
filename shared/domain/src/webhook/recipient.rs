//! Whose event it is: decided here once, from what the event says and from where it was delivered.
//!
//! *Invariant:* a signer with an integration's own secret speaks for that integration alone, and an event of one mode never
//! reaches an integration of the other.

use crate::{
    call::Mode,
    integration::IntegrationKey,
    webhook::event::{Event, Owner},
};

/// Where a delivery was received, and so for whom its signature can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryEndpoint<'a> {
    /// The app's endpoint; with the account that events belong to which name none, if one is configured.
    App {
        /// The account's id.
        account: Option<&'a str>,
    },
    /// An integration's own endpoint.
    Integration {
        /// The integration's public id.
        id: &'a str,
        /// The account's id; a message without it is for no integration.
        account: Option<&'a str>,
    },
}

/// Which integrations an event is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// How they are looked up; `None` if the event is for no integration.
    pub lookup: Option<Lookup>,
    /// The one of them that is meant, by its public id; `None` for all.
    only: Option<String>,
    /// The mode that they must have, if the event names one.
    mode: Option<Mode>,
}

/// What a lookup found for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The integrations that the event is for.
    pub integrations: Vec<IntegrationKey>,
    /// Whether only its mode keeps the event from every integration. Then it is not for the application's handlers either: to
    /// them a test payment would look like a real one.
    pub other_mode: bool,
}

/// The key of an index that leads to integrations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// The id of their account.
    Account(String),
    /// The address of their account, in lower case.
    Address(String),
}

impl Recipient {
    /// The recipient of an event that was delivered to this endpoint.
    pub fn of(event: &Event<'_>, endpoint: DeliveryEndpoint<'_>) -> Self {
        let account = |account: &str| Some(Lookup::Account(account.to_owned())).filter(|_| !account.is_empty());
        let (lookup, only) = match (endpoint, &event.owner) {
            (DeliveryEndpoint::Integration { id, account: own }, _) => (own.and_then(account), Some(id)),
            (DeliveryEndpoint::App { .. }, Owner::Account(named)) => (account(named), None),
            (DeliveryEndpoint::App { .. }, Owner::Integration { id, account: named }) => {
                (account(named), Some(id.as_str()))
            }
            (DeliveryEndpoint::App { .. }, Owner::Address(address)) => (Some(Lookup::Address(address.clone())), None),
            (DeliveryEndpoint::App { account: configured }, Owner::Unnamed) => (configured.and_then(account), None),
            (DeliveryEndpoint::App { account: configured }, Owner::About(named)) => {
                (configured.and_then(account).or_else(|| account(named)), None)
            }
        };
        Self { lookup, only: only.map(str::to_owned), mode: event.mode }
    }

    /// The recipients among the integrations that the lookup found.
    pub fn among(&self, mut found: Vec<IntegrationKey>) -> Reached {
        found.retain(|integration| self.only.as_ref().is_none_or(|id| integration.id() == *id));
        let before = found.len();
        found.retain(|integration| match (self.mode, integration.mode) {
            (Some(event), Some(integration)) => event == integration,
            (None, _) | (_, None) => true,
        });
        Reached { other_mode: before > 0 && found.is_empty(), integrations: found }
    }

    /// Within what the event's id is unique: an integration hears of an event at its own endpoint, and the others of the account
    /// at theirs.
    pub fn scope(&self, endpoint: DeliveryEndpoint<'_>) -> &str {
        match (endpoint, &self.lookup, &self.only) {
            (DeliveryEndpoint::Integration { .. }, Some(_), Some(id)) => id,
            (_, Some(Lookup::Account(key) | Lookup::Address(key)), _) => key,
            (_, None, _) => "-",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use jiff::Timestamp;
    use serde_json::value::RawValue;

    use super::*;
    use crate::Effect;

    const OWN: DeliveryEndpoint<'static> = DeliveryEndpoint::Integration { id: "int_own", account: Some("acct_1") };
    const APP: DeliveryEndpoint<'static> = DeliveryEndpoint::App { account: None };
    const CONFIGURED: DeliveryEndpoint<'static> = DeliveryEndpoint::App { account: Some("acct_app") };

    fn event(owner: Owner, mode: Option<Mode>) -> Event<'static> {
        Event {
            id: "evt_1".to_owned(),
            r#type: "t".to_owned(),
            occurred_at: Timestamp::UNIX_EPOCH,
            owner,
            mode,
            data: Cow::Borrowed(RawValue::NULL),
            effect: Effect::Records(Vec::new()),
        }
    }

    fn integration(account: &str, mode: Option<Mode>) -> IntegrationKey {
        IntegrationKey { user_id: "u".into(), provider: "p".into(), account_id: account.into(), mode }
    }

    fn owners() -> [Owner; 5] {
        let own = |text: &str| text.to_owned();
        [
            Owner::Unnamed,
            Owner::Account(own("acct_2")),
            Owner::Address(own("ada@example.com")),
            Owner::Integration { id: own("int_2"), account: own("acct_2") },
            Owner::About(own("acct_3")),
        ]
    }

    fn includes(recipient: &Recipient, integration: &IntegrationKey) -> bool {
        !recipient.among(vec![integration.clone()]).integrations.is_empty()
    }

    #[test]
    fn each_kind_of_owner_at_each_kind_of_endpoint_has_one_recipient() {
        let account = |id: &str| Some(Lookup::Account(id.to_owned()));
        let address = || Some(Lookup::Address("ada@example.com".to_owned()));
        let table = [
            (APP, [None, account("acct_2"), address(), account("acct_2"), account("acct_3")]),
            (CONFIGURED, [account("acct_app"), account("acct_2"), address(), account("acct_2"), account("acct_app")]),
            (OWN, [account("acct_1"), account("acct_1"), account("acct_1"), account("acct_1"), account("acct_1")]),
            (DeliveryEndpoint::Integration { id: "int_own", account: None }, [None, None, None, None, None]),
            (
                DeliveryEndpoint::App { account: Some("") },
                [None, account("acct_2"), address(), account("acct_2"), account("acct_3")],
            ),
        ];
        for (endpoint, expected) in table {
            for (owner, lookup) in owners().into_iter().zip(expected) {
                let recipient = Recipient::of(&event(owner.clone(), None), endpoint);
                assert_eq!(recipient.lookup, lookup, "{owner:?} at {endpoint:?}");
            }
        }
    }

    #[test]
    fn an_integrations_own_secret_speaks_for_it_alone_whatever_the_event_names() {
        let mine = integration("acct_1", None);
        let id = mine.id();
        let endpoint = DeliveryEndpoint::Integration { id: &id, account: Some("acct_1") };
        for owner in owners() {
            let recipient = Recipient::of(&event(owner, None), endpoint);
            assert!(includes(&recipient, &mine));
            assert!(!includes(&recipient, &IntegrationKey { user_id: "eve".into(), ..mine.clone() }));
            assert_eq!(recipient.scope(endpoint), id);
        }
    }

    #[test]
    fn a_channel_reports_to_the_integration_that_opened_it() {
        let mine = integration("acct_2", None);
        let owner = Owner::Integration { id: mine.id(), account: "acct_2".to_owned() };
        let recipient = Recipient::of(&event(owner, None), APP);
        assert!(includes(&recipient, &mine));
        assert!(!includes(&recipient, &IntegrationKey { user_id: "eve".into(), ..mine.clone() }));
        assert_eq!(recipient.scope(APP), "acct_2");
    }

    #[test]
    fn an_event_of_one_mode_reaches_no_integration_of_the_other_at_any_endpoint() {
        let modes = [None, Some(Mode::Live), Some(Mode::Test)];
        for owner in owners() {
            for told in modes {
                for kept in modes {
                    let integration = integration("acct_1", kept);
                    let id = integration.id();
                    for endpoint in
                        [APP, CONFIGURED, DeliveryEndpoint::Integration { id: &id, account: Some("acct_1") }]
                    {
                        let recipient = Recipient::of(&event(owner.clone(), told), endpoint);
                        let other = told.is_some() && kept.is_some() && told != kept;
                        let only = recipient.only.as_ref().is_some_and(|only| *only != id);
                        let reached = recipient.among(vec![integration.clone()]);
                        let expected = (!other && !only, other && !only);
                        let is = (!reached.integrations.is_empty(), reached.other_mode);
                        assert_eq!(is, expected, "{owner:?} {told:?} {kept:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_event_for_no_integration_has_a_scope_that_no_account_has() {
        let recipient = Recipient::of(&event(Owner::Unnamed, None), APP);
        assert_eq!((recipient.scope(APP), &recipient.lookup), ("-", &None));
    }
}
