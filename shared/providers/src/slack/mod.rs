//! Slack.

use domain::signature::{Encoding, Key, Part, Scheme, Time};

use crate::{Provider, Spec};

/// See the module.
#[derive(Debug)]
pub(crate) struct Slack;

const SPEC: Spec = Spec {
    id: "slack",
    name: "Slack",
    secret: "slack",
    webhook: Some(
        // https://api.slack.com/authentication/verifying-requests-from-slack, read 2026-11.
        Scheme {
            header: "x-slack-signature",
            separator: None,
            prefix: "v0=",
            encoding: Encoding::Hex,
            key: Key::Text,
            content: &[Part::Text("v0:"), Part::Time, Part::Text(":"), Part::Body],
            time: Some(Time::Header("x-slack-request-timestamp")),
        },
    ),
};

impl Provider for Slack {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }
}
