//! Stripe's limits: <https://docs.stripe.com/rate-limits>, read 2026-11 in a copy of 2026-04. They are an account's, live and test
//! apart. Besides these it limits calls at the same time and some changes of one object, without a number to keep.

use std::time::Duration;

use domain::call::{
    limit::{Applies, CredentialMode, Limit, PartitionBy},
    rate::Rate,
};

pub(super) const LIMITS: &[Limit] = &[
    Limit {
        name: "operation",
        applies: Applies::All,
        partition_by: &[PartitionBy::Account, PartitionBy::Method, PartitionBy::Path(2)],
        credential_mode: CredentialMode::Live,
        rate: Rate::per_second(25, 25),
        costs: &[],
        reasons: &["endpoint-rate"],
        max_retry_after: Duration::from_mins(1),
    },
    Limit {
        name: "account",
        applies: Applies::All,
        partition_by: &[PartitionBy::Account],
        credential_mode: CredentialMode::Live,
        rate: Rate::per_second(100, 100),
        costs: &[],
        reasons: &["global-rate"],
        max_retry_after: Duration::from_mins(1),
    },
    // One operation has as many as all together.
    Limit {
        name: "test",
        applies: Applies::All,
        partition_by: &[PartitionBy::Account],
        credential_mode: CredentialMode::Test,
        rate: Rate::per_second(25, 25),
        costs: &[],
        reasons: &["global-rate", "endpoint-rate"],
        max_retry_after: Duration::from_mins(1),
    },
];
