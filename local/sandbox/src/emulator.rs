//! What an emulator is to the server that runs it.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    app::App,
    call::{Call, Reply},
    controls::Control,
    deliver::{Delivery, Outbox},
};

/// What is known of an emulator before it runs.
pub(super) struct Spec {
    /// The secret that holds its app, by its name without prefix.
    pub(super) secret: &'static str,
    /// The ids of the providers that it stands for.
    pub(super) providers: &'static [&'static str],
    /// The origins that it stands in for. Their paths do not collide.
    pub(super) origins: &'static [&'static str],
    /// [`App::settings`] of a local run.
    pub(super) settings: &'static [(&'static str, &'static str)],
    pub(super) start: fn(App, Outbox) -> Result<Box<dyn Emulator>, std::io::Error>,
}

impl Spec {
    /// Whether a name is that of its secret or of one of its providers.
    pub(super) fn is(&self, name: &str) -> bool {
        self.secret == name || self.providers.contains(&name)
    }
}

/// One provider's API, and the controls of its own.
pub(super) trait Emulator: Send {
    /// Answers a call of its API.
    fn answer(&mut self, call: &Call) -> Reply;

    /// Answers a call that is one too many. `wait` is the seconds until the next may come.
    fn limited(&self, call: &Call, wait: u64) -> Reply;

    /// Adds what every answer carries.
    fn finish(&self, _reply: &mut Reply) {}

    /// The calls of its own controls.
    fn controls(&self) -> &'static [&'static [Control]];

    /// Answers a call of its own controls, if it has this one.
    fn administer(&mut self, method: &Method, path: &[&str], body: &Value) -> Option<Outcome>;
}

/// What a call of the controls leads to.
pub(super) enum Outcome {
    /// It is done.
    Done(Reply),
    /// A delivery: its answer becomes the answer of the control.
    Send(Delivery),
}

impl From<Value> for Outcome {
    fn from(body: Value) -> Self {
        Self::Done(Reply::json(StatusCode::OK, &body))
    }
}

/// A refusal of the controls.
pub(super) fn refusal(status: StatusCode, reason: &str) -> Reply {
    Reply::json(status, &json!({ "error": reason }))
}
