//! The integrations that an event is for: decided here once, from what the event says and from where it was delivered.
//!
//! *Invariant:* a signer with an integration's own secret speaks for that integration alone, and an event of one mode never
//! reaches an integration of the other.

use crate::{
    call::Mode,
    id::{AccountAddress, AccountId, IntegrationId},
    integration::IntegrationKey,
    sync::ReadSince,
    webhook::event::{Event, Owner},
};

/// Where a delivery was received, which decides what its signature can speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryEndpoint<'a> {
    /// The app's endpoint; with the account that events belong to which name none, if one is configured.
    App {
        /// None if the app's secret names no account.
        account: Option<&'a AccountId>,
    },
    /// An integration's own endpoint.
    Integration {
        /// The integration's public id.
        id: &'a IntegrationId,
        /// The account's id; a message without it is for no integration.
        account: Option<&'a AccountId>,
    },
}

/// Which integrations an event is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The lookup that finds them; `None` if the event is for no integration.
    pub lookup: Option<Lookup>,
    /// The only one that is meant, by its public id; `None` for all.
    only: Option<IntegrationId>,
    /// The mode that an integration must have, if the event names one.
    mode: Option<Mode>,
}

/// An integration that a lookup found, and that the event may be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which one.
    pub key: IntegrationKey,
    /// Which of its events have nothing new to say.
    pub read_since: ReadSince,
    /// What its user granted.
    pub granted: Vec<String>,
}

/// What a lookup found for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The integrations that the event is for.
    pub integrations: Vec<Candidate>,
    /// Whether only its mode keeps the event from every integration. Then it is not for the application's handlers either: to
    /// them a test payment would look like a real one.
    pub other_mode: bool,
}

/// The key of an index that leads to integrations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// The id of their account.
    Account(AccountId),
    /// The address of their account.
    Address(AccountAddress),
}

impl Recipient {
    /// The recipient of an event that was delivered to this endpoint.
    pub fn of(event: &Event<'_>, endpoint: DeliveryEndpoint<'_>) -> Self {
        let account = |id: &AccountId| Lookup::Account(id.clone());
        let (lookup, only) = match (endpoint, event.owner()) {
            (DeliveryEndpoint::Integration { id, account: own }, _) => (own.map(account), Some(id)),
            (DeliveryEndpoint::App { .. }, Owner::Account(named)) => (Some(account(named)), None),
            (DeliveryEndpoint::App { .. }, Owner::Integration { id, account: named }) => {
                (Some(account(named)), Some(id))
            }
            (DeliveryEndpoint::App { .. }, Owner::Address(address)) => (Some(Lookup::Address(address.clone())), None),
            (DeliveryEndpoint::App { account: configured }, Owner::Unnamed) => (configured.map(account), None),
            (DeliveryEndpoint::App { account: configured }, Owner::About(named)) => {
                (Some(account(configured.unwrap_or(named))), None)
            }
        };
        Self { lookup, only: only.cloned(), mode: event.mode() }
    }

    /// The recipient of a delivery that is no event: whose endpoint it came to.
    pub fn of_no_event(endpoint: DeliveryEndpoint<'_>) -> Self {
        let (account, only) = match endpoint {
            DeliveryEndpoint::Integration { id, account } => (account, Some(id)),
            DeliveryEndpoint::App { account } => (account, None),
        };
        Self { lookup: account.cloned().map(Lookup::Account), only: only.cloned(), mode: None }
    }

    /// The recipients among the integrations that the lookup found.
    pub fn among(&self, mut found: Vec<Candidate>) -> Reached {
        found.retain(|found| self.only.as_ref().is_none_or(|id| found.key.id() == *id));
        let before = found.len();
        found.retain(|found| match (self.mode, found.key.mode) {
            (Some(event), Some(integration)) => event == integration,
            (None, _) | (_, None) => true,
        });
        Reached { other_mode: before > 0 && found.is_empty(), integrations: found }
    }

    /// Within what the event's id is unique: an integration hears of an event at its own endpoint, and the others of the account
    /// at theirs.
    pub fn scope(&self, endpoint: DeliveryEndpoint<'_>) -> &str {
        match (endpoint, &self.lookup, &self.only) {
            (DeliveryEndpoint::Integration { .. }, Some(_), Some(id)) => id.as_str(),
            (_, Some(Lookup::Account(id)), _) => id.as_str(),
            (_, Some(Lookup::Address(address)), _) => address.as_str(),
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
    use crate::{EventId, EventType, UserId};

    fn found(key: &IntegrationKey) -> Candidate {
        Candidate { key: key.clone(), read_since: ReadSince::default(), granted: Vec::new() }
    }

    fn account(id: &str) -> AccountId {
        AccountId::parse(id).unwrap()
    }

    fn integration_id(digit: &str) -> IntegrationId {
        IntegrationId::parse(format!("int_{}", digit.repeat(32))).unwrap()
    }

    const APP: DeliveryEndpoint<'static> = DeliveryEndpoint::App { account: None };

    fn event(owner: Owner, mode: Option<Mode>) -> Event<'static> {
        let (id, kind) = (EventId::parse("evt_1").unwrap(), EventType::parse("t").unwrap());
        let event = Event::new(id, kind, Timestamp::UNIX_EPOCH, Cow::Borrowed(RawValue::NULL));
        event.with_owner(owner).with_mode(mode)
    }

    fn integration(account: &str, mode: Option<Mode>) -> IntegrationKey {
        IntegrationKey { mode, ..IntegrationKey::parse("u", &format!("p#{account}")).unwrap() }
    }

    fn of_eve(integration: &IntegrationKey) -> IntegrationKey {
        IntegrationKey { user_id: UserId::parse("eve").unwrap(), ..integration.clone() }
    }

    fn owners() -> [Owner; 5] {
        [
            Owner::Unnamed,
            Owner::Account(account("acct_2")),
            Owner::Address(AccountAddress::parse("ada@example.com").unwrap()),
            Owner::Integration { id: integration_id("2"), account: account("acct_2") },
            Owner::About(account("acct_3")),
        ]
    }

    fn includes(recipient: &Recipient, integration: &IntegrationKey) -> bool {
        !recipient.among(vec![found(integration)]).integrations.is_empty()
    }

    #[test]
    fn each_kind_of_owner_at_each_kind_of_endpoint_has_one_recipient() {
        let lookup = |id: &str| Some(Lookup::Account(account(id)));
        let address = || Some(Lookup::Address(AccountAddress::parse("ada@example.com").unwrap()));
        let (own, acct_1, acct_app) = (integration_id("1"), account("acct_1"), account("acct_app"));
        let table = [
            (APP, [None, lookup("acct_2"), address(), lookup("acct_2"), lookup("acct_3")]),
            (
                DeliveryEndpoint::App { account: Some(&acct_app) },
                [lookup("acct_app"), lookup("acct_2"), address(), lookup("acct_2"), lookup("acct_app")],
            ),
            (DeliveryEndpoint::Integration { id: &own, account: Some(&acct_1) }, [(); 5].map(|()| lookup("acct_1"))),
            (DeliveryEndpoint::Integration { id: &own, account: None }, [None, None, None, None, None]),
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
        let endpoint = DeliveryEndpoint::Integration { id: &id, account: Some(&mine.account_id) };
        for owner in owners() {
            let recipient = Recipient::of(&event(owner, None), endpoint);
            assert!(includes(&recipient, &mine));
            assert!(!includes(&recipient, &of_eve(&mine)));
            assert_eq!(recipient.scope(endpoint), id.as_str());
        }
    }

    #[test]
    fn a_channel_reports_to_the_integration_that_opened_it() {
        let mine = integration("acct_2", None);
        let owner = Owner::Integration { id: mine.id(), account: mine.account_id.clone() };
        let recipient = Recipient::of(&event(owner, None), APP);
        assert!(includes(&recipient, &mine));
        assert!(!includes(&recipient, &of_eve(&mine)));
        assert_eq!(recipient.scope(APP), "acct_2");
    }

    #[test]
    fn an_event_of_one_mode_reaches_no_integration_of_the_other_at_any_endpoint() {
        let modes = [None, Some(Mode::Live), Some(Mode::Test)];
        let configured = account("acct_app");
        for owner in owners() {
            for of_event in modes {
                for kept in modes {
                    let integration = integration("acct_1", kept);
                    let id = integration.id();
                    let own = DeliveryEndpoint::Integration { id: &id, account: Some(&integration.account_id) };
                    for endpoint in [APP, DeliveryEndpoint::App { account: Some(&configured) }, own] {
                        let recipient = Recipient::of(&event(owner.clone(), of_event), endpoint);
                        let other = of_event.is_some() && kept.is_some() && of_event != kept;
                        let only = recipient.only.as_ref().is_some_and(|only| *only != id);
                        let reached = recipient.among(vec![found(&integration)]);
                        let expected = (!other && !only, other && !only);
                        let is = (!reached.integrations.is_empty(), reached.other_mode);
                        assert_eq!(is, expected, "{owner:?} {of_event:?} {kept:?}");
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
