//! The SQS envelopes, versioned on the wire.
//!
//! *Invariant:* a reader accepts only the versions it knows; an unknown one is an error with the message kept, never a guess.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;

use crate::{
    id::{AccountId, CredentialName, IntegrationId, ProviderId},
    integration::IntegrationKey,
    sync::{Scope, SyncJob, sharing::TOLERANCE, slot::INTERVAL},
    webhook::{
        delivery::{DeliveryId, VerifiedJson},
        json,
        recipient::DeliveryEndpoint,
    },
};

/// The version of an envelope: (de)serialises as the number `V` and as nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EnvelopeVersion<const V: u32>;

impl<const V: u32> Serialize for EnvelopeVersion<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(V)
    }
}

impl<'de, const V: u32> Deserialize<'de> for EnvelopeVersion<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            version if version == V => Ok(Self),
            version => Err(D::Error::custom(format_args!("message version {version} is not {V}, the one this reads"))),
        }
    }
}

/// A verified delivery on its way to `webhook-process`.
#[derive(Debug, Serialize, Deserialize)]
pub struct WebhookMessage<'a> {
    pub v: EnvelopeVersion<1>,
    /// The provider that sent it; this version may not have it.
    pub provider: ProviderId,
    /// The integration that the called endpoint belongs to, if it was not the app's.
    pub integration_id: Option<IntegrationId>,
    /// The account that events of this endpoint belong to when they don't name one.
    #[serde(default, deserialize_with = "unless_empty")]
    pub account: Option<AccountId>,
    /// Names this delivery in logs, records and `GET /deliveries`: see [`DeliveryId::new`].
    pub delivery_id: DeliveryId,
    /// When it was received.
    pub received_at: Timestamp,
    /// What was verified.
    #[serde(borrow)]
    pub body: Body<'a>,
}

impl WebhookMessage<'_> {
    /// Where the delivery was received.
    pub fn endpoint(&self) -> DeliveryEndpoint<'_> {
        let account = self.account.as_ref();
        match &self.integration_id {
            Some(id) => DeliveryEndpoint::Integration { id, account },
            None => DeliveryEndpoint::App { account },
        }
    }
}

/// An earlier version wrote an empty text for an account that is not configured, and its messages can still be in the queue.
fn unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AccountId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(AccountId::parse).transpose().map_err(D::Error::custom)
}

/// A delivery's body, unparsed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body<'a> {
    /// A JSON body, embedded as it is.
    Json(#[serde(borrow)] &'a RawValue),
}

/// Where a delivery came in: all of a [`WebhookMessage`] but the body.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Envelope<'a> {
    /// See [`WebhookMessage::v`].
    pub v: EnvelopeVersion<1>,
    /// See [`WebhookMessage::provider`].
    pub provider: &'a ProviderId,
    /// See [`WebhookMessage::integration_id`].
    pub integration_id: Option<&'a IntegrationId>,
    /// See [`WebhookMessage::account`].
    pub account: Option<&'a AccountId>,
    /// See [`WebhookMessage::delivery_id`].
    pub delivery_id: &'a DeliveryId,
    /// See [`WebhookMessage::received_at`].
    pub received_at: Timestamp,
}

impl Envelope<'_> {
    /// The message's text: ASCII only, so that SQS takes it whatever the body holds.
    pub fn seal(self, body: &VerifiedJson<'_>) -> Result<String, serde_json::Error> {
        let body = json::ascii(body.text());
        let mut message = serde_json::to_string(&self)?;
        // The body was checked when it was verified; the serialiser would read all of it once more.
        message.reserve(body.len() + 32);
        message.pop();
        message.push_str(",\"body\":{\"json\":");
        message.push_str(&body);
        message.push_str("}}");
        Ok(message)
    }
}

/// One sync of one integration, on its way to `sync-worker`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SyncMessage {
    pub v: EnvelopeVersion<1>,
    /// The integration to sync; in the message, `user_id` and `integration`.
    #[serde(flatten)]
    pub key: IntegrationKey,
    /// How much of it.
    pub r#type: SyncJob,
    /// Decides whether a sync that runs already is enough.
    #[serde(default)]
    pub cause: Cause,
    /// What it is about, if not everything.
    #[serde(default, skip_serializing_if = "Scope::is_all")]
    pub scope: Scope,
    /// Further integrations of the account, with equal scopes: the object that it is about is asked for once, and written for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<IntegrationKey>,
    /// When it was asked for: what was read in full since then is not read again.
    pub asked_at: Timestamp,
    /// How far it has come.
    #[serde(default, skip_serializing_if = "Stage::is_first")]
    pub stage: Stage,
    /// The [slot](crate::sync::slot) that it is for: a message for a slot that was served is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Timestamp>,
    /// The webhook delivery that reported the change, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<DeliveryId>,
}

impl SyncMessage {
    /// The message that asks for a sync of an integration.
    pub fn new(key: &IntegrationKey, r#type: SyncJob, cause: Cause, asked_at: Timestamp) -> Self {
        Self {
            v: EnvelopeVersion,
            key: key.clone(),
            r#type,
            cause,
            scope: Scope::All,
            others: Vec::new(),
            asked_at,
            stage: Stage::First,
            slot: None,
            delivery_id: None,
        }
    }

    /// The message that asks for the incremental sync of a slot.
    pub fn for_slot(key: &IntegrationKey, slot: Timestamp, asked_at: Timestamp) -> Self {
        Self { slot: Some(slot), ..Self::new(key, SyncJob::Incremental, Cause::Due, asked_at) }
    }

    /// The message that asks for a sync of what a webhook delivery reported.
    pub fn reported(key: &IntegrationKey, scope: Scope, delivery_id: &DeliveryId, asked_at: Timestamp) -> Self {
        let delivery_id = Some(delivery_id.clone());
        Self { scope, delivery_id, ..Self::new(key, SyncJob::Incremental, Cause::Changed, asked_at) }
    }

    /// Since when a reading of the account must have begun to serve what the message asks of an integration that was connected at this time;
    /// `None` if the integration has to read for itself.
    ///
    /// A user that connects gets what the last slot read. Any other full sync repairs records, so that it copies none.
    pub fn fresh_since(&self, connected_at: Timestamp) -> Option<Timestamp> {
        let Self { asked_at, slot, .. } = *self;
        match (self.cause, self.r#type) {
            _ if asked_at <= connected_at => Some(asked_at - INTERVAL - TOLERANCE),
            (_, SyncJob::Full) => None,
            // A message that goes on with one that is due was asked for exactly then.
            (Cause::Due, _) if !self.stage.is_first() => Some(asked_at),
            (Cause::Due, _) => Some(slot.unwrap_or(asked_at).max(asked_at) - TOLERANCE),
            (Cause::Asked | Cause::Changed, _) => Some(asked_at),
        }
    }
}

impl SyncMessage {
    /// The message for what a sync has left to do when its time is up.
    #[must_use]
    pub fn rest(&self, stage: Stage) -> Self {
        let asked_at = self.slot.map_or(self.asked_at, |slot| slot.max(self.asked_at));
        // A renewal leaves what it read for another message.
        let kind = if self.r#type == SyncJob::RenewWatches { SyncJob::Incremental } else { self.r#type };
        // What goes on was begun for its cause, and another message that goes on with it will do.
        Self { stage, ..Self::new(&self.key, kind, Cause::Due, asked_at) }
    }

    /// Whether it belongs into the queue of long syncs, so that a report of a change, or a user, never waits behind it.
    pub const fn is_long(&self) -> bool {
        match (self.r#type, self.stage) {
            (SyncJob::PurgeRecords | SyncJob::DeleteIntegration | SyncJob::RenewWatches, _)
            | (_, Stage::Rest | Stage::Full) => true,
            (SyncJob::Full | SyncJob::Incremental, Stage::First) => self.slot.is_some(),
        }
    }
}

/// How far a sync has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It begins.
    #[default]
    First,
    /// Its time was up once.
    Rest,
    /// What is left is to be read in full.
    Full,
}

impl Stage {
    /// Whether it begins.
    pub const fn is_first(&self) -> bool {
        matches!(self, Self::First)
    }
}

/// Why a sync is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A caller asked: a sync that runs already will do.
    #[default]
    Asked,
    /// The schedule's time came: likewise, and a stream that is refused is not asked for before its pause is over.
    Due,
    /// Something changed at the provider: a sync that runs already may have passed it.
    Changed,
}

/// One credential to refresh, on its way to `token-refresh`.
#[derive(Debug, Serialize, Deserialize)]
pub struct RefreshMessage {
    pub v: EnvelopeVersion<1>,
    /// The integration it belongs to.
    pub integration_id: IntegrationId,
    /// The name of the credential, as in the provider's data.
    pub credential: CredentialName,
}

/// What a schedule starts, as the template writes it into the trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Syncs whose slot comes before the next sweep.
    Incremental,
    /// Watches that are due for renewal.
    Watches,
    /// Credentials that expire soon.
    Refresh,
    /// What SQS itself moved to the dead-letter queue of webhooks.
    DeadLetters,
}

impl Schedule {
    /// The name of its rule, without the stack's prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::Watches => "watches",
            Self::Refresh => "refresh",
            Self::DeadLetters => "dead-letters",
        }
    }
}

/// An entry of an index on due time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueEntry {
    /// In seconds since 1970, as stored.
    pub due_at: i64,
    /// The key of the item in its table.
    pub key: [String; 2],
}

/// The rest of a sweep that did not fit into one invocation, on its way back to `sync-scheduler`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleMessage {
    pub v: EnvelopeVersion<1>,
    /// The sweep to continue.
    pub schedule: Schedule,
    /// The shard of the index to continue with.
    pub shard: u32,
    /// The last entry of the shard that was sent; none if the shard is yet to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DueEntry>,
    /// Which entries the sweep sends: those due by then. If none is named, those due by the end of the schedule's interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many continuations led here.
    pub hop: u32,
}

#[cfg(test)]
mod tests;
