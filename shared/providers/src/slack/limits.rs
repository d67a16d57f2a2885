//! Slack's limits: <https://docs.slack.dev/apis/web-api/rate-limits>, read 2026-11. Each method has its own in each workspace, by
//! tier; the size of a burst is not documented. Posting is also limited in a workspace, without a number to keep.

use std::time::Duration;

use domain::call::{
    limit::{Applies, CredentialMode, Limit, PartitionBy},
    rate::Rate,
};

/// It asks for a minute at most; longer is a method that was switched off.
const CLOSES: Duration = Duration::from_mins(15);

const METHOD: &[PartitionBy] = &[PartitionBy::Account, PartitionBy::Path(1)];

pub(super) const LIMITS: &[Limit] = &[
    Limit {
        name: "channel",
        applies: Applies::Of(&["/chat.postMessage"]),
        partition_by: &[PartitionBy::Account, PartitionBy::Field("/channel")],
        credential_mode: CredentialMode::Any,
        rate: Rate::per_second(1, 1),
        costs: &[],
        reasons: &[],
        max_retry_after: CLOSES,
    },
    // Hundreds a minute, the documentation says; Slack's own SDK for Java keeps 600.
    Limit {
        name: "auth_test",
        applies: Applies::Of(&["/auth.test"]),
        partition_by: METHOD,
        credential_mode: CredentialMode::Any,
        rate: Rate::per_minute(600, 60),
        costs: &[],
        reasons: &[],
        max_retry_after: CLOSES,
    },
    Limit {
        name: "tier2",
        applies: Applies::Of(&["/conversations.list", "/users.list"]),
        partition_by: METHOD,
        credential_mode: CredentialMode::Any,
        rate: Rate::per_minute(20, 20),
        costs: &[],
        reasons: &[],
        max_retry_after: CLOSES,
    },
    Limit {
        name: "tier4",
        applies: Applies::Of(&["/users.info", "/conversations.members"]),
        partition_by: METHOD,
        credential_mode: CredentialMode::Any,
        rate: Rate::per_minute(100, 40),
        costs: &[],
        reasons: &[],
        max_retry_after: CLOSES,
    },
    // Most methods are of this tier; what Slack says corrects it for those that are not.
    Limit {
        name: "tier3",
        applies: Applies::Rest,
        partition_by: METHOD,
        credential_mode: CredentialMode::Any,
        rate: Rate::per_minute(50, 20),
        costs: &[],
        reasons: &[],
        max_retry_after: CLOSES,
    },
];
