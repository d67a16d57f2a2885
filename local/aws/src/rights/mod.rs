//! The rights that roles grant, and a record of those that functions use.

mod grant;
mod ledger;

pub use self::{
    grant::Grant,
    ledger::{Ledger, LedgerError},
};
