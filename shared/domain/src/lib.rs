//! The nouns and decisions of Intertie: no async, no AWS, no HTTP client, no clock.
//!
//! *Invariant:* everything here is a pure function of its arguments; time and secrets are passed in.

pub mod account;
pub mod address;
pub mod backoff;
pub mod call;
pub mod claim;
pub mod connect;
pub mod delivery;
pub mod disposition;
pub mod error;
pub mod event;
pub mod grant;
pub mod id_token;
pub mod integration;
pub mod json;
pub mod jwt;
pub mod limit;
pub mod message;
pub mod proof;
pub mod rate;
pub mod reason;
pub mod recipient;
pub mod record;
pub mod refresh;
pub mod route;
pub mod secret;
pub mod signature;
pub mod spell;
pub mod status;
pub mod stream;
pub mod sync;

pub use call::{Failure, Reply, Request};
pub use claim::{IdempotencyRecord, State as ClaimState, Verdict};
pub use connect::ConnectError;
pub use delivery::{Probe, Rejection, UnverifiedDelivery, VerifiedDelivery, VerifiedJson};
pub use disposition::{Aging, Deferral, Disposition};
pub use error::{Kind, Problem};
pub use event::{Effect, Event, NotAnEvent};
pub use integration::{Integration, IntegrationKey, Mode};
pub use proof::Proof;
pub use reason::{Diagnosis, Reason};
pub use recipient::{Endpoint, Lookup, Owner, Reached, Recipient};
pub use record::{Change, Record};
pub use signature::Scheme;
