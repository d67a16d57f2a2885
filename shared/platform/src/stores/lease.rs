//! Leases of items: one holder at a time works on an item, until the lease ends, is released or is taken over.
//!
//! *Invariant:* every acquisition moves the fence, and every write under a lease is conditional on the fence it was won with, so a
//! holder that lost its lease writes nothing.

use std::time::Duration;

use domain::Fence;
use jiff::Timestamp;

use crate::stores::{
    item::{millis, n, s},
    table::Update,
};

/// The condition under which a lease can be acquired. Repeating the call as the same holder finds the lease again, so a lost reply
/// locks nothing.
pub(crate) const ACQUIRABLE: &str = "attribute_not_exists(lease_until) OR lease_until <= :now OR holder = :holder";

/// A lease that is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease<'a> {
    pub(crate) holder: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) time: Duration,
}

impl Update {
    /// Acquires the lease of the item, with `:now` and `:holder` for a condition such as [`ACQUIRABLE`].
    pub(crate) fn acquire(self, lease: Lease<'_>) -> Self {
        self.set("holder = :holder, lease_until = :lease_until, fence = if_not_exists(fence, :zero) + :one").with([
            (":holder", s(lease.holder)),
            (":lease_until", millis(lease.now + lease.time)),
            (":now", millis(lease.now)),
            (":zero", n(0)),
            (":one", n(1)),
        ])
    }

    /// Makes the update only under the lease that was won with this fence.
    pub(crate) fn held(self, fence: Fence) -> Self {
        self.when("fence = :fence").with([(":fence", n(fence))])
    }

    /// Prolongs the lease.
    pub(crate) fn renew(self, now: Timestamp, time: Duration) -> Self {
        self.set("lease_until = :lease_until").with([(":lease_until", millis(now + time))])
    }

    /// Releases the lease. The fence stays, so that it goes on counting.
    pub(crate) fn release(self) -> Self {
        self.remove("holder, lease_until")
    }
}
