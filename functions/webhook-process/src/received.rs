//! What a message tells: an event, or something that is none.

use domain::{
    AccountId, DeliveryEndpoint, Diagnosis, Event, IntegrationId, Owner, ProviderId, Reason, Recipient,
    messages::message::{Body, WebhookMessage},
    webhook::event::{key, key_of_delivery},
};
use platform::{
    AwsError,
    stores::{
        claims::{About, Entry},
        deliveries::UNKNOWN,
    },
};
use providers::{Provider, Registry};
use sha2::{Digest as _, Sha256};

/// An event, its provider and its recipient.
pub(crate) struct EventOf<'m> {
    pub(crate) provider: &'static dyn Provider,
    pub(crate) event: Event<'m>,
    pub(crate) recipient: Recipient,
}

/// The content of a message, and the key of its record.
pub(crate) struct Received<'m> {
    /// The event, or why the message is given up.
    pub(crate) event: Result<EventOf<'m>, Diagnosis>,
    /// The key of its record.
    pub(crate) key: String,
    /// SHA-256 of the body, in hex.
    pub(crate) hash: String,
    listed_under: &'static ProviderId,
    message: &'m WebhookMessage<'m>,
}

impl<'m> Received<'m> {
    /// Reads a message; one that is no event keeps the reason, under which it is dead-lettered.
    pub(crate) fn read(registry: Registry, message: &'m WebhookMessage<'m>) -> Self {
        let Body::Json(body) = &message.body;
        let account = message.account.as_ref().map_or(UNKNOWN.as_str(), AccountId::as_str);
        let scope = message.integration_id.as_ref().map_or(account, IntegrationId::as_str);
        let none = |named: &ProviderId, listed_under, why| Self {
            event: Err(why),
            key: key_of_delivery(named, scope, &message.delivery_id),
            hash: hash(body.get()),
            listed_under,
            message,
        };
        let Some(provider) = registry.find(&message.provider) else {
            let why = Diagnosis::new(
                Reason::UnknownProvider,
                format!("there is no provider {:?}", message.provider.as_str()),
            );
            return none(&message.provider, &UNKNOWN, why);
        };
        let id = &provider.spec().id;
        match provider.event(body, message.received_at) {
            Err(error) => none(id, id, Diagnosis::new(Reason::NotAnEvent, error.to_string())),
            Ok(event) => {
                let endpoint = message.endpoint();
                let recipient = Recipient::of(&event, endpoint);
                let event = match endpoint {
                    // Nor do the application's handlers see another account.
                    DeliveryEndpoint::Integration { account: Some(account), .. } => {
                        event.with_owner(Owner::Account(account.clone()))
                    }
                    DeliveryEndpoint::Integration { account: None, .. } | DeliveryEndpoint::App { .. } => event,
                };
                let key = key(id, recipient.scope(endpoint), event.id());
                // Of the payload alone: the rest of a body may differ between deliveries of one event.
                let hash = hash(event.data().get());
                Self { event: Ok(EventOf { provider, event, recipient }), key, hash, listed_under: id, message }
            }
        }
    }

    /// The message as its record names it.
    pub(crate) fn entry(&self) -> Entry<'_> {
        Entry { key: &self.key, body_hash: &self.hash, about: self.about() }
    }

    /// Whose delivery it is, and under which provider; none of a provider that is not known.
    pub(crate) fn recipient(&self) -> Option<(&'static ProviderId, Recipient)> {
        let recipient = match &self.event {
            Ok(event) => event.recipient.clone(),
            Err(_) => Recipient::of_no_event(self.message.endpoint()),
        };
        (self.listed_under != &UNKNOWN).then_some((self.listed_under, recipient))
    }

    /// The message's text, as the queue had it.
    pub(crate) fn text(&self) -> Result<String, AwsError> {
        serde_json::to_string(self.message).map_err(|error| AwsError::unwritable("a message", error))
    }

    /// What is stored of it beside its claim.
    pub(crate) fn about(&self) -> About<'_> {
        About {
            provider: self.listed_under,
            r#type: self.event.as_ref().ok().map(|it| it.event.event_type()),
            delivery_id: &self.message.delivery_id,
            received_at: self.message.received_at,
        }
    }
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
