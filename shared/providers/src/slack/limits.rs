//! Slack's limits: <https://docs.slack.dev/apis/web-api/rate-limits>, read 2026-11. Each method has its own in each workspace, by
//! tier; how large a burst may be is not told. Posting is also limited in a workspace, without a number to keep.

use std::time::Duration;

use domain::call::{
    limit::{Counts, Limit, Per, With},
    rate::Rate,
};

/// It asks for a minute at most; longer is what somebody deliberately switched off.
const CLOSES: Duration = Duration::from_mins(15);

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
        closes: CLOSES,
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
        closes: CLOSES,
    },
    Limit {
        name: "tier2",
        counts: Counts::Of(&["/conversations.list", "/users.list"]),
        per: METHOD,
        with: With::Any,
        rate: Rate::per_minute(20, 20),
        costs: &[],
        reasons: &[],
        closes: CLOSES,
    },
    Limit {
        name: "tier4",
        counts: Counts::Of(&["/users.info", "/conversations.members"]),
        per: METHOD,
        with: With::Any,
        rate: Rate::per_minute(100, 40),
        costs: &[],
        reasons: &[],
        closes: CLOSES,
    },
    // Most methods are of this tier; what Slack says corrects it for those that are not.
    Limit {
        name: "tier3",
        counts: Counts::Rest,
        per: METHOD,
        with: With::Any,
        rate: Rate::per_minute(50, 20),
        costs: &[],
        reasons: &[],
        closes: CLOSES,
    },
];
