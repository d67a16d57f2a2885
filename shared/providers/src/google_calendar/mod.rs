//! Google Calendar.

use crate::{Provider, Spec};

/// See the module.
#[derive(Debug)]
pub(crate) struct GoogleCalendar;

const SPEC: Spec = Spec { id: "google-calendar", name: "Google Calendar", secret: "google", webhook: None };

impl Provider for GoogleCalendar {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }
}
