//! Stripe's limits: <https://docs.stripe.com/rate-limits>, read 2026-11 in a copy of 2026-04. They are an account's, live and test
//! apart. Besides these it limits calls at the same time and some changes of one object, without a number to keep.

use std::time::Duration;

use domain::call::{
    limit::{Counts, Limit, Per, With},
    rate::Rate,
};

pub(super) const LIMITS: &[Limit] = &[
    Limit {
        name: "operation",
        counts: Counts::All,
        per: &[Per::Account, Per::Method, Per::Path(2)],
        with: With::Live,
        rate: Rate::per_second(25, 25),
        costs: &[],
        reasons: &["endpoint-rate"],
        closes: Duration::from_mins(1),
    },
    Limit {
        name: "account",
        counts: Counts::All,
        per: &[Per::Account],
        with: With::Live,
        rate: Rate::per_second(100, 100),
        costs: &[],
        reasons: &["global-rate"],
        closes: Duration::from_mins(1),
    },
    // One operation has as many as all together.
    Limit {
        name: "test",
        counts: Counts::All,
        per: &[Per::Account],
        with: With::Test,
        rate: Rate::per_second(25, 25),
        costs: &[],
        reasons: &["global-rate", "endpoint-rate"],
        closes: Duration::from_mins(1),
    },
];
