//! Installing the app: consent, and `oauth.v2.access` for codes and refresh tokens. The consent page offers each workspace and the
//! whole organisation (`account=E0SANDBOX`).
//!
//! <https://docs.slack.dev/reference/methods/oauth.v2.access>.

use http::StatusCode;
use local_base::now;
use serde_json::{Value, json};

use super::{APP_ID, ORGANISATION, Slack, error, ok};
use crate::{
    call::{Call, Reply},
    consent::{Authorizes, Consent, refuse},
    form::{Form, link},
    oauth::{Allowed, BadClient, BadCode, Grant, Tokens, authenticate},
};

impl Authorizes for Slack {
    fn consent<'c>(&'c self, call: &'c Call, scopes: &'c [String]) -> Consent<'c> {
        let workspaces = self.workspaces.iter().map(|workspace| (workspace.id, workspace.name.to_owned()));
        let organisation = (ORGANISATION.0, format!("{} (all workspaces)", ORGANISATION.1));
        let accounts = workspaces.chain([organisation]).collect();
        let app = &self.app.client_id;
        Consent { provider: "Slack", action: &call.path, app, accounts, scopes, fixed: None }
    }

    fn allow(&mut self, mut asked: Allowed, form: &Form) -> Reply {
        let url = asked.redirect_uri.clone();
        let state = form.get("state").unwrap_or_default();
        let chosen = form.get("account").unwrap_or_default();
        if chosen != ORGANISATION.0 && self.workspace(chosen).is_none() {
            return refuse("Slack", StatusCode::BAD_REQUEST, "invalid_team_for_non_distributed_app");
        }
        chosen.clone_into(&mut asked.account);
        let code = self.grants.code(asked, now());
        Reply::redirect(&link(&url, &[("code", &code), ("state", state)]))
    }

    fn asked(&self, form: &Form) -> Result<Allowed, Box<Reply>> {
        let refuse = |reason| Box::new(refuse("Slack", StatusCode::BAD_REQUEST, reason));
        let scopes = |name| -> Vec<String> {
            form.get(name).unwrap_or_default().split(',').filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
        };
        let (bot, user) = (scopes("scope"), scopes("user_scope"));
        let redirect_uri = form.get("redirect_uri").unwrap_or_default().to_owned();
        if form.get("client_id") != Some(&self.app.client_id) {
            return Err(refuse("Invalid client_id parameter"));
        }
        if !redirect_uri.starts_with("http://") && !redirect_uri.starts_with("https://") {
            return Err(refuse("redirect_uri did not match any configured URIs"));
        }
        if bot.is_empty() && user.is_empty() {
            return Err(refuse("No scopes requested"));
        }
        // Scopes are separated by commas: with another separator the whole list is one unknown scope.
        let known = |scope: &String| scope.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":._-".contains(&byte));
        if !bot.iter().chain(&user).all(known) {
            return Err(refuse("Invalid permissions requested"));
        }
        let challenge = form.get("code_challenge").map(str::to_owned);
        let account = String::new();
        Ok(Allowed { account, scopes: bot, user_scopes: user, redirect_uri, challenge, offline: true })
    }
}

impl Slack {
    /// `oauth.v2.access`.
    pub(super) fn access(&mut self, call: &Call) -> Reply {
        let form = match (call.form(), call.body.is_empty()) {
            (Some(form), _) => form,
            (None, true) => call.query.clone(),
            (None, false) => return error("invalid_arguments"),
        };
        match authenticate(call, &form, &self.app) {
            Err(BadClient::Missing | BadClient::Id) => return error("invalid_client_id"),
            Err(BadClient::Secret) => return error("bad_client_secret"),
            Ok(()) => {}
        }
        match form.get("grant_type") {
            None | Some("authorization_code") => self.redeem(&form),
            Some("refresh_token") => self.rotate(&form),
            Some(_) => error("invalid_grant_type"),
        }
    }

    fn redeem(&mut self, form: &Form) -> Reply {
        let now = now();
        let allowed = match self.grants.redeem(form, now) {
            Ok(allowed) => allowed,
            Err(BadCode::Used) => return error("code_already_used"),
            Err(BadCode::Redirect) => return error("bad_redirect_uri"),
            Err(BadCode::VerifierMissing | BadCode::VerifierUnasked | BadCode::VerifierWrong) => {
                return error("invalid_code_verifier");
            }
            Err(BadCode::Unknown | BadCode::Expired) => return error("invalid_code"),
        };
        if allowed.account == ORGANISATION.0 {
            let scope = allowed.scopes.join(",");
            let tokens = self.grants.grant(ORGANISATION.0, "bot", allowed.scopes, true, now);
            return ok(of_organisation(&scope, &tokens));
        }
        let Some(workspace) = self.workspaces.iter().find(|workspace| workspace.id == allowed.account) else {
            return error("team_access_not_granted");
        };
        let mut answer = whole(workspace.id, workspace.name, workspace.installer());
        if !allowed.scopes.is_empty() {
            let scope = allowed.scopes.join(",");
            let tokens = self.grants.grant(workspace.id, "bot", allowed.scopes, true, now);
            answer["bot_user_id"] = workspace.bot().into();
            fill(&mut answer, "bot", &scope, &tokens);
        }
        if !allowed.user_scopes.is_empty() {
            let scope = allowed.user_scopes.join(",");
            let tokens = self.grants.grant(workspace.id, "user", allowed.user_scopes, true, now);
            fill(&mut answer["authed_user"], "user", &scope, &tokens);
        }
        ok(answer)
    }

    fn rotate(&mut self, form: &Form) -> Reply {
        let token = form.get("refresh_token").unwrap_or_default();
        let Ok((Grant { account, kind, scopes, .. }, tokens)) = self.grants.refresh(token, now()) else {
            return error("invalid_refresh_token");
        };
        let Some(workspace) = self.workspace(&account) else { return error("invalid_refresh_token") };
        let mut answer = whole(workspace.id, workspace.name, workspace.installer());
        if kind == "bot" {
            answer["bot_user_id"] = workspace.bot().into();
        }
        // A refreshed user token stands at the top, too; `token_type` tells them apart.
        fill(&mut answer, kind, &scopes.join(","), &tokens);
        ok(answer)
    }
}

fn whole(team: &str, name: &str, user: &str) -> Value {
    json!({
        "app_id": APP_ID, "team": { "id": team, "name": name }, "enterprise": null, "is_enterprise_install": false,
        "authed_user": { "id": user },
    })
}

/// <https://api.slack.com/enterprise/apps/reference>: `team` is null.
fn of_organisation(scope: &str, tokens: &Tokens) -> Value {
    let (id, name) = ORGANISATION;
    let mut answer = json!({
        "app_id": APP_ID, "team": null, "enterprise": { "id": id, "name": name }, "is_enterprise_install": true,
        "authed_user": { "id": "W0ADA000001" }, "bot_user_id": "W0BOT0SANDBOX",
    });
    fill(&mut answer, "bot", scope, tokens);
    answer
}

fn fill(into: &mut Value, kind: &str, scope: &str, tokens: &Tokens) {
    into["access_token"] = tokens.access.clone().into();
    into["token_type"] = kind.into();
    into["scope"] = scope.into();
    into["refresh_token"] = tokens.refresh.clone().into();
    into["expires_in"] = tokens.expires_in.into();
}
