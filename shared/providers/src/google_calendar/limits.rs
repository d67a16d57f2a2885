//! Calendar's limits: <https://developers.google.com/workspace/calendar/api/guides/quota>, read 2026-11: those of projects made
//! since 2026-05. Any minute counts, so a tenth is kept back for bursts.

use std::time::Duration;

use domain::{
    limit::{Counts, Limit, Per, With},
    rate::Rate,
};

pub(super) const LIMITS: &[Limit] = &[
    // 600 a minute.
    Limit {
        name: "user",
        counts: Counts::All,
        per: &[Per::Account],
        with: With::Any,
        rate: Rate::per_minute(540, 60),
        costs: &[],
        reasons: &[],
        closes: Duration::from_mins(2),
    },
    // 10,000 a minute.
    Limit {
        name: "project",
        counts: Counts::All,
        per: &[],
        with: With::Any,
        rate: Rate::per_minute(9_000, 1_000),
        costs: &[],
        reasons: &["dailyLimitExceeded"],
        closes: Duration::from_mins(15),
    },
];
