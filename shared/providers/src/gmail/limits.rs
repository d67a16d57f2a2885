//! Gmail's limits, in units that calls cost: <https://developers.google.com/workspace/gmail/api/reference/quota>, read 2026-11:
//! those of projects made since 2026-05. Any minute counts, so a tenth is kept back for bursts.

use domain::call::{limit::Limit, rate::Rate};

use crate::google;

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

/// Of 6,000 a minute, and of 1,200,000.
pub(super) const LIMITS: &[Limit] =
    &google::limits(Rate::per_minute(5_400, 600), Rate::per_minute(1_080_000, 120_000), COSTS);
