//! Slack's limits: <https://docs.slack.dev/apis/web-api/rate-limits>, read 2026-11. Each method has its own in each workspace, by
//! tier; how large a burst may be is not told. Posting is also limited in a workspace, without a number to keep.

use domain::{
    limit::{Counts, Limit, Per, With},
    rate::Rate,
};

const METHOD: &[Per] = &[Per::Account, Per::Path(1)];

pub(super) const LIMITS: &[Limit] = &[
    Limit {
        name: "channel",
        counts: Counts::Of(&["/chat.postMessage"]),
        per: &[Per::Account, Per::Field("/channel")],
        with: With::Any,
        rate: Rate::per_second(1, 1),
        costs: &[],
        reasons: &[],
    },
    // Hundreds a minute, the documentation says; Slack's own SDK for Java keeps 600.
    Limit {
        name: "auth_test",
        counts: Counts::Of(&["/auth.test"]),
        per: METHOD,
        with: With::Any,
        rate: Rate::per_minute(600, 60),
        costs: &[],
        reasons: &[],
    },
    Limit {
        name: "tier3",
        counts: Counts::Of(&[
            "/auth.revoke",
            "/conversations.history",
            "/conversations.info",
            "/conversations.replies",
        ]),
        per: METHOD,
        with: With::Any,
        rate: Rate::per_minute(50, 20),
        costs: &[],
        reasons: &[],
    },
    // What the SDK keeps where it knows no other.
    Limit {
        name: "tier2",
        counts: Counts::Rest,
        per: METHOD,
        with: With::Any,
        rate: Rate::per_minute(20, 10),
        costs: &[],
        reasons: &[],
    },
];
