//! From the bytes of a delivery to a claimed event.

pub mod claim;
pub mod delivery;
pub mod event;
pub mod json;
pub mod proof;
pub mod recipient;
mod rejection;
pub mod signature;

pub use self::rejection::Rejection;
