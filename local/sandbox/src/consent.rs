//! The authorization endpoint of RFC 6749 §4.1.1, with the page on which a user allows or refuses: plain HTML, no script.

use std::fmt::Write as _;

use http::StatusCode;

use super::{
    call::{Call, Reply},
    form::{Form, link},
    oauth::Allowed,
};

/// An emulator with an authorization endpoint.
pub(super) trait Authorizes {
    /// What an authorization request asks for, or the page that refuses it.
    fn asked(&self, form: &Form) -> Result<Allowed, Box<Reply>>;

    /// The page of such a request.
    fn consent<'c>(&'c self, call: &'c Call, scopes: &'c [String]) -> Consent<'c>;

    /// The user allowed what was asked for, and chose an account in the form.
    fn allow(&mut self, asked: Allowed, form: &Form) -> Reply;

    /// `GET`: asks the user.
    fn ask(&self, call: &Call) -> Reply {
        match self.asked(&call.query) {
            Ok(asked) => self.consent(call, &[asked.scopes, asked.user_scopes].concat()).page(&call.query),
            Err(refusal) => *refusal,
        }
    }

    /// `POST`: the user's decision.
    fn decide(&mut self, call: &Call) -> Reply {
        let form = call.form().unwrap_or_default();
        match self.asked(&form) {
            Ok(asked) if form.get("decision") == Some("allow") => self.allow(asked, &form),
            Ok(asked) => denied(&asked, &form),
            Err(refusal) => *refusal,
        }
    }
}

/// The user allowed nothing: RFC 6749 §4.1.2.1.
pub(super) fn denied(asked: &Allowed, form: &Form) -> Reply {
    let state = form.get("state").unwrap_or_default();
    Reply::redirect(&link(&asked.redirect_uri, &[("error", "access_denied"), ("state", state)]))
}

/// What the page shows.
pub(super) struct Consent<'c> {
    pub(super) provider: &'c str,
    /// Where the form goes.
    pub(super) action: &'c str,
    /// The client id of the app that asks.
    pub(super) app: &'c str,
    /// Value and label of each account.
    pub(super) accounts: Vec<(&'c str, String)>,
    pub(super) scopes: &'c [String],
    /// Whether a scope must be granted with the others; none if all must.
    pub(super) fixed: Option<fn(&str) -> bool>,
}

impl Consent<'_> {
    /// The page; `asked` travels in hidden fields.
    pub(super) fn page(&self, asked: &Form) -> Reply {
        let mut hidden = String::new();
        for (name, value) in asked.pairs().filter(|(name, _)| self.fixed.is_none() || *name != "scope") {
            // Writing to a string does not fail; so below.
            let _ = writeln!(hidden, "<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value));
        }
        let mut accounts = String::new();
        for (index, (value, label)) in self.accounts.iter().enumerate() {
            let checked = if index == 0 { " checked" } else { "" };
            let (value, label) = (escape(value), escape(label));
            let _ = writeln!(
                accounts,
                "<label><input type=\"radio\" name=\"account\" value=\"{value}\"{checked}> {label}</label><br>"
            );
        }
        let mut scopes = String::new();
        for scope in self.scopes.iter().map(|scope| escape(scope)) {
            let _ = match self.fixed.map(|fixed| fixed(&scope)) {
                None => writeln!(scopes, "<li>{scope}</li>"),
                Some(true) => {
                    writeln!(scopes, "<input type=\"hidden\" name=\"scope\" value=\"{scope}\"><li>{scope}</li>")
                }
                Some(false) => {
                    let input = format!("<input type=\"checkbox\" name=\"scope\" value=\"{scope}\" checked>");
                    writeln!(scopes, "<label>{input} {scope}</label><br>")
                }
            };
        }
        let (provider, action, app) = (escape(self.provider), escape(self.action), escape(self.app));
        let body = format!(
            "<h1>{provider} sandbox</h1>\n<p>The app <b>{app}</b> asks for access.</p>\n\
             <form method=\"post\" action=\"{action}\">\n{hidden}\
             <fieldset><legend>Account</legend>\n{accounts}</fieldset>\n\
             <fieldset><legend>It will be able to</legend>\n{scopes}</fieldset>\n\
             <button name=\"decision\" value=\"allow\" id=\"allow\">Allow</button>\n\
             <button name=\"decision\" value=\"cancel\" id=\"cancel\">Cancel</button>\n</form>"
        );
        page(StatusCode::OK, &provider, &body)
    }
}

/// The page of a request that can't be answered by a redirect, because its client or redirect URI is not to be trusted.
pub(super) fn refuse(provider: &str, status: StatusCode, reason: &str) -> Reply {
    page(status, &escape(provider), &format!("<h1>Access blocked</h1>\n<p>{}</p>", escape(reason)))
}

fn page(status: StatusCode, provider: &str, body: &str) -> Reply {
    let head = "<meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
        <link rel=\"icon\" href=\"data:,\">";
    let html = format!("<!doctype html>\n<html lang=\"en\"><title>{provider} sandbox</title>{head}\n{body}\n</html>\n");
    Reply::html(status, html).with("cache-control", "no-store")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
