//! Gmail's limits, in units that calls cost: <https://developers.google.com/workspace/gmail/api/reference/quota>, read 2026-11:
//! those of projects made since 2026-05. Any minute counts, so a tenth is kept back for bursts.

use std::time::Duration;

use domain::{
    limit::{Counts, Limit, Per, With},
    rate::Rate,
};

const COSTS: &[(&str, u32)] = &[
    ("/users/*/profile", 1),
    ("/users/*/history", 2),
    ("POST /users/*/messages/send", 100),
    ("POST /users/*/drafts/send", 100),
    ("/users/*/watch", 100),
    ("/users/*/stop", 50),
    ("GET /users/*/messages", 5),
    ("POST /users/*/messages", 25),
    ("POST /users/*/messages/batchModify", 50),
    ("POST /users/*/messages/batchDelete", 50),
    ("POST /users/*/messages/import", 25),
    ("/users/*/messages/**", 20),
    ("GET /users/*/threads", 10),
    ("/users/*/threads/**", 40),
    ("GET /users/*/labels/**", 1),
    ("/**", 5),
];

pub(super) const LIMITS: &[Limit] = &[
    // 6,000 a minute.
    Limit {
        name: "user",
        counts: Counts::All,
        per: &[Per::Account],
        with: With::Any,
        rate: Rate::per_minute(5_400, 600),
        costs: COSTS,
        reasons: &[],
        // Other limits have the same reason, and waits of hours: of sending, of forwarding rules.
        closes: Duration::from_mins(2),
    },
    // 1,200,000 a minute.
    Limit {
        name: "project",
        counts: Counts::All,
        per: &[],
        with: With::Any,
        rate: Rate::per_minute(1_080_000, 120_000),
        costs: COSTS,
        reasons: &["dailyLimitExceeded"],
        closes: Duration::from_mins(15),
    },
];
