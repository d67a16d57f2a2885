//! The number that outdates the earlier holders of a lease.

use std::{num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

/// Counts the acquisitions of one lease: a write under the lease is conditional on the fence that it was won with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(u64);

impl FromStr for Fence {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl From<Fence> for u64 {
    fn from(fence: Fence) -> Self {
        fence.0
    }
}

impl From<Fence> for i128 {
    fn from(fence: Fence) -> Self {
        fence.0.into()
    }
}
