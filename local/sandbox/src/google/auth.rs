//! Consent, and tokens for codes and refresh tokens: <https://developers.google.com/identity/protocols/oauth2/web-server>.
//!
//! A user may leave out scopes on the consent page, but for those of identity.

use http::StatusCode;
use local_base::now;
use serde_json::{Value, json};

use super::{
    Google,
    person::{canonical, is_identity},
};
use crate::{
    call::{Call, Reply},
    consent::{Authorizes, Consent, denied, refuse},
    form::{Form, link},
    oauth::{Allowed, BadClient, BadCode, BadToken, authenticate},
};

impl Authorizes for Google {
    fn consent<'c>(&'c self, call: &'c Call, scopes: &'c [String]) -> Consent<'c> {
        let accounts = self.people.iter().map(|person| (person.address.as_str(), person.address.clone())).collect();
        let app = &self.app.client_id;
        Consent { provider: "Google", action: &call.path, app, accounts, scopes, fixed: Some(is_identity) }
    }

    fn allow(&mut self, mut asked: Allowed, form: &Form) -> Reply {
        let url = asked.redirect_uri.clone();
        let state = form.get("state").unwrap_or_default();
        let chosen = form.get("account").unwrap_or_default();
        let by_address = self.people.iter().find(|person| person.address == chosen);
        let person = by_address.or_else(|| self.people.iter().find(|person| person.account == chosen));
        let Some(account) = person.map(|person| person.account.clone()) else {
            return refuse("Google", StatusCode::BAD_REQUEST, "Choose an account");
        };
        asked.account.clone_from(&account);
        // Google gives a refresh token with the first consent only, unless consent is asked for again.
        let again = form.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == "consent"));
        asked.offline &= again || !self.grants.is_offline(&account);
        if form.get("include_granted_scopes") == Some("true") {
            let before = self.grants.live(&account).flat_map(|grant| grant.scopes.clone());
            asked.scopes.extend(before.collect::<Vec<_>>());
            asked.scopes.sort();
            asked.scopes.dedup();
        }
        if asked.scopes.is_empty() {
            return denied(&asked, form);
        }
        let scope = asked.scopes.join(" ");
        let code = self.grants.code(asked, now());
        let parameters =
            [("state", state), ("iss", "https://accounts.google.com"), ("code", &code), ("scope", scope.as_str())];
        Reply::redirect(&link(&url, &parameters))
    }

    fn asked(&self, form: &Form) -> Result<Allowed, Box<Reply>> {
        let refuse = |status, reason: &str| Box::new(refuse("Google", status, reason));
        let bad = StatusCode::BAD_REQUEST;
        if form.get("client_id") != Some(&self.app.client_id) {
            return Err(refuse(StatusCode::UNAUTHORIZED, "Error 401: invalid_client. The OAuth client was not found."));
        }
        let redirect_uri = form.get("redirect_uri").unwrap_or_default().to_owned();
        if !redirect_uri.starts_with("http://") && !redirect_uri.starts_with("https://") {
            return Err(refuse(bad, "Error 400: redirect_uri_mismatch"));
        }
        if form.get("response_type") != Some("code") {
            return Err(refuse(bad, "Error 400: invalid_request. Required parameter is missing: response_type"));
        }
        // The link has all scopes in one parameter; the form has one for each that stayed checked.
        let scopes: Vec<_> =
            form.all("scope").flat_map(|scopes| scopes.split(' ')).filter(|one| !one.is_empty()).collect();
        let known = |scope: &&str| {
            let url = scope.starts_with("https://www.googleapis.com/auth/") || *scope == "https://mail.google.com/";
            (url && !scope.contains(',')) || ["openid", "email", "profile"].contains(scope)
        };
        if let Some(unknown) = scopes.iter().find(|scope| !known(scope)) {
            return Err(refuse(
                bad,
                &format!("Error 400: invalid_scope. Some requested scopes were invalid: {unknown}"),
            ));
        }
        if scopes.is_empty() && form.get("decision").is_none() {
            return Err(refuse(bad, "Error 400: invalid_request. Missing required parameter: scope"));
        }
        let challenge = form.get("code_challenge").map(str::to_owned);
        if challenge.is_some() && form.get("code_challenge_method") != Some("S256") {
            return Err(refuse(bad, "Error 400: invalid_request. Only S256 is supported here."));
        }
        let offline = form.get("access_type") == Some("offline");
        let scopes = scopes.into_iter().map(canonical).collect();
        let account = String::new();
        Ok(Allowed { account, scopes, user_scopes: Vec::new(), redirect_uri, challenge, offline })
    }
}

impl Google {
    pub(super) fn token(&mut self, call: &Call) -> Reply {
        let bad = StatusCode::BAD_REQUEST;
        let Some(form) = call.form() else {
            return oauth_error(bad, "invalid_request", "Required parameter is missing: grant_type");
        };
        let unauthorized = StatusCode::UNAUTHORIZED;
        match authenticate(call, &form, &self.app) {
            Ok(()) => {}
            Err(BadClient::Missing) => {
                return oauth_error(bad, "invalid_request", "Could not determine client ID from request.");
            }
            Err(BadClient::Id) => {
                return oauth_error(unauthorized, "invalid_client", "The OAuth client was not found.");
            }
            Err(BadClient::Secret) => {
                return oauth_error(unauthorized, "invalid_client", "The provided client secret is invalid.");
            }
        }
        match form.get("grant_type") {
            Some("authorization_code") => self.redeem(&form),
            Some("refresh_token") => self.refresh(&form),
            None => oauth_error(bad, "invalid_request", "Required parameter is missing: grant_type"),
            Some(other) => oauth_error(bad, "unsupported_grant_type", &format!("Invalid grant_type: {other}")),
        }
    }

    fn redeem(&mut self, form: &Form) -> Reply {
        let now = now();
        let grant_error = |words| oauth_error(StatusCode::BAD_REQUEST, "invalid_grant", words);
        match self.grants.redeem(form, now) {
            Ok(allowed) => {
                let scope = allowed.scopes.join(" ");
                let person = self.people.iter().find(|person| person.account == allowed.account);
                let id_token = person.and_then(|it| it.id_token(&self.app.client_id, &allowed.scopes, &self.signer));
                let tokens = self.grants.grant(&allowed.account, "", allowed.scopes, allowed.offline, now);
                let mut answer = json!({
                    "access_token": tokens.access, "expires_in": tokens.expires_in, "scope": scope,
                    "token_type": "Bearer",
                });
                if let Some(refresh) = tokens.refresh {
                    answer["refresh_token"] = refresh.into();
                }
                if let Some(id_token) = id_token {
                    answer["id_token"] = id_token.into();
                }
                fresh(&answer)
            }
            Err(BadCode::Unknown) => grant_error("Malformed auth code."),
            Err(BadCode::Used | BadCode::Expired) => grant_error("Bad Request"),
            Err(BadCode::VerifierMissing) => grant_error("Missing code verifier."),
            Err(BadCode::VerifierWrong) => grant_error("Invalid code verifier."),
            Err(BadCode::VerifierUnasked) => grant_error("code_verifier or verifier is not needed."),
            Err(BadCode::Redirect) => oauth_error(StatusCode::BAD_REQUEST, "redirect_uri_mismatch", "Bad Request"),
        }
    }

    fn refresh(&mut self, form: &Form) -> Reply {
        let bad = StatusCode::BAD_REQUEST;
        let Some(token) = form.get("refresh_token") else {
            return oauth_error(bad, "invalid_request", "Missing required parameter: refresh_token");
        };
        match self.grants.refresh(token, now()) {
            Ok((grant, tokens)) => fresh(&json!({
                "access_token": tokens.access, "expires_in": tokens.expires_in, "scope": grant.scopes.join(" "),
                "token_type": "Bearer",
            })),
            Err(BadToken::Unknown) => oauth_error(bad, "invalid_grant", "Bad Request"),
            Err(BadToken::Expired | BadToken::Revoked) => {
                oauth_error(bad, "invalid_grant", "Token has been expired or revoked.")
            }
        }
    }

    /// Revoking one token of an account revokes all that the app has there.
    pub(super) fn revoke(&mut self, call: &Call) -> Reply {
        let form = call.form().unwrap_or_default();
        let token = form.get("token").or_else(|| call.query.get("token")).unwrap_or_default();
        match self.grants.account_of(token).map(str::to_owned) {
            Some(account) => {
                self.grants.revoke_account(&account);
                fresh(&json!({}))
            }
            None => oauth_error(StatusCode::BAD_REQUEST, "invalid_token", "Token expired or revoked"),
        }
    }
}

fn oauth_error(status: StatusCode, code: &str, description: &str) -> Reply {
    let reply = Reply::json(status, &json!({ "error": code, "error_description": description }));
    reply.with("cache-control", "no-store")
}

fn fresh(body: &Value) -> Reply {
    Reply::json(StatusCode::OK, body).with("cache-control", "no-store")
}
