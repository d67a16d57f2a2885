//! Slack.

use crate::{Provider, Spec};

/// See the module.
#[derive(Debug)]
pub(crate) struct Slack;

const SPEC: Spec = Spec { id: "slack", name: "Slack", secret: "slack", webhook: None };

impl Provider for Slack {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }
}
