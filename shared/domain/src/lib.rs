//! The nouns and decisions of Intertie: no async, no AWS, no HTTP client, no clock.
//!
//! *Invariant:* everything here is a pure function of its arguments; time and secrets are passed in.

pub mod call;
pub mod error;
pub mod fence;
pub mod id;
pub mod integration;
pub mod messages;
pub mod oauth;
pub mod offered;
pub mod provider_api;
pub mod reason;
pub mod secret;
pub mod sentence;
pub mod sync;
pub mod webhook;

pub use call::{Failure, Mode, Reply, Request};
pub use error::{Kind, Problem};
pub use fence::Fence;
pub use id::{AccountAddress, AccountId, CredentialName, IntegrationId, ProviderId, UserId};
pub use integration::{Integration, IntegrationKey};
pub use messages::disposition::{Aging, Deferral, Disposition};
pub use oauth::connect::ConnectError;
pub use offered::{Offered, UnknownProviders};
pub use reason::{Diagnosis, Reason};
pub use sentence::Sentence;
pub use sync::record::{Change, Record, RecordKey, Version};
pub use webhook::{
    Rejection,
    claim::{ClaimState, IdempotencyRecord, Verdict},
    delivery::{DeliveryId, Probe, UnverifiedDelivery, VerifiedDelivery, VerifiedJson},
    event::{Effect, Event, EventId, EventType, NotAnEvent, Owner},
    proof::Proof,
    recipient::{Candidate, DeliveryEndpoint, Lookup, Reached, Recipient},
    signature::Scheme,
};
