//! Gmail.

use crate::{Provider, Spec};

/// See the module.
#[derive(Debug)]
pub(crate) struct Gmail;

const SPEC: Spec = Spec { id: "gmail", name: "Gmail", secret: "google", webhook: None };

impl Provider for Gmail {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }
}
