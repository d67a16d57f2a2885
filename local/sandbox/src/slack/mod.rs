//! Slack: <https://docs.slack.dev>. Errors are `ok: false` with status 200; tokens rotate.

mod arguments;
mod control;
mod events;
mod files;
mod install;
mod methods;
mod workspace;

#[cfg(test)]
mod tests;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use self::{
    files::Upload,
    workspace::{Workspace, seed},
};
use super::{
    app::App,
    call::{Call, Reply},
    consent::Authorizes as _,
    controls::{Control, GRANTS},
    deliver::Outbox,
    emulator::{Emulator, Outcome, Spec},
    oauth::{Grants, Rules},
    opaque::random,
};

/// The app's id, in events and token answers.
const APP_ID: &str = "A0SANDBOX01";

/// Id and name of the organisation that has the workspaces, and that an administrator can install the app for as a whole.
const ORGANISATION: (&str, &str) = ("E0SANDBOX", "Starship");

pub(super) const SPEC: Spec = Spec {
    secret: "slack",
    providers: &["slack"],
    origins: &["https://slack.com", "https://files.slack.com"],
    settings: &[],
    start: |app, outbox| Ok(Box::new(Slack::new(app, outbox))),
};

struct Slack {
    app: App,
    grants: Grants,
    workspaces: Vec<Workspace>,
    uploads: Vec<Upload>,
    outbox: Outbox,
}

/// <https://docs.slack.dev/authentication/using-token-rotation>, read 2026-11: 12 hours, refresh tokens for one use.
const RULES: Rules = Rules {
    code: || format!("1234567890.4738291056.{}", random(64)),
    access: |kind| format!("xoxe.xox{}-1-{}", if kind == "user" { "p" } else { "b" }, random(60)),
    refresh: || format!("xoxe-1-{}", random(60)),
    life: 43200,
    single_use: true,
};

impl Slack {
    fn new(app: App, outbox: Outbox) -> Self {
        Self { app, grants: Grants::new(RULES), workspaces: seed(), uploads: Vec::new(), outbox }
    }

    fn workspace(&self, id: &str) -> Option<&Workspace> {
        self.workspaces.iter().find(|workspace| workspace.id == id)
    }
}

impl Emulator for Slack {
    fn answer(&mut self, call: &Call) -> Reply {
        match (call.method.as_str(), call.path.as_str()) {
            ("GET", "/oauth/v2/authorize") => self.ask(call),
            ("POST", "/oauth/v2/authorize") => self.decide(call),
            ("GET" | "POST", "/api/oauth.v2.access") => self.access(call),
            ("GET" | "POST", path) if path.starts_with("/api/") => self.method(&path["/api/".len()..], call),
            ("POST", path) if path.starts_with("/upload/v1/") => self.receive(&path["/upload/v1/".len()..], call),
            _ => Reply::html(StatusCode::NOT_FOUND, "<!doctype html><title>Slack</title>404\n".to_owned()),
        }
    }

    /// <https://docs.slack.dev/apis/web-api/rate-limits>
    fn limited(&self, _call: &Call, wait: u64) -> Reply {
        let reply = Reply::json(StatusCode::TOO_MANY_REQUESTS, &json!({ "ok": false, "error": "ratelimited" }));
        reply.with("retry-after", &wait.to_string())
    }

    fn controls(&self) -> &'static [&'static [Control]] {
        &[control::CONTROLS, GRANTS]
    }

    fn administer(&mut self, method: &Method, path: &[&str], body: &Value) -> Option<Outcome> {
        self.control(method, path, body)
    }
}

/// `ok: false` with status 200.
fn error(code: &str) -> Reply {
    Reply::json(StatusCode::OK, &json!({ "ok": false, "error": code }))
}

/// `ok: true` and these fields.
fn ok(mut fields: Value) -> Reply {
    fields["ok"] = true.into();
    Reply::json(StatusCode::OK, &fields)
}
