//! Calendar's limits: <https://developers.google.com/workspace/calendar/api/guides/quota>, read 2026-11: those of projects made
//! since 2026-05. Any minute counts, so a tenth is kept back for bursts.

use domain::call::{limit::Limit, rate::Rate};

use crate::google;

/// Of 600 a minute, and of 10,000.
pub(super) const LIMITS: &[Limit] = &google::limits(Rate::per_minute(540, 60), Rate::per_minute(9_000, 1_000), &[]);
