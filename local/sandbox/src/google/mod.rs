//! Google: accounts, consent, tokens and the keys of its signatures, for Calendar and Gmail.
//!
//! <https://developers.google.com/identity/protocols/oauth2/web-server>.

pub(crate) mod calendar;
pub(crate) mod gmail;
mod person;

use http::{Method, StatusCode};
use local_base::now;
use serde_json::{Value, json};

use super::{
    App, Push,
    call::{Call, Reply},
    consent::{Consent, refuse},
    controls::{Control, GRANTS},
    deliver::Outbox,
    form::{Form, link},
    oauth::{Allowed, BadClient, BadCode, BadToken, Grants, Rules, authenticate},
    opaque::random,
    server::{Outcome, Vendor, refusal},
};

pub(super) use self::person::{ACCOUNTS, is_identity};
use self::{
    calendar::Calendar,
    gmail::{Gmail, push::Signer},
    person::{Person, canonical},
};

/// See the module.
pub(super) struct Google {
    app: App,
    grants: Grants,
    signer: Signer,
    people: [Person; 2],
    calendar: Calendar,
    gmail: Gmail,
}

/// Who calls an API.
pub(super) struct Caller {
    pub(super) account: String,
    scopes: Vec<String>,
}

/// An error of an API, as Google's APIs write it.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Refresh tokens stay as they are, and live until revoked.
const RULES: Rules = Rules {
    code: || format!("4/0A{}", random(62)),
    access: |_| format!("ya29.a0{}", random(64)),
    refresh: || format!("1//0{}", random(60)),
    life: 3599,
    single_use: false,
};

impl Google {
    /// An error says that the signing key is none.
    pub(super) fn new(app: App, push: Push, outbox: Outbox) -> Result<Self, std::io::Error> {
        let signer = Signer::new(push)?;
        let gmail = Gmail::new(signer.clone(), outbox.clone());
        Ok(Self {
            app,
            grants: Grants::new(RULES),
            signer,
            people: person::people(),
            calendar: Calendar::new(outbox),
            gmail,
        })
    }

    fn ask(&self, call: &Call) -> Reply {
        let asked = match self.asked(&call.query) {
            Ok(asked) => asked,
            Err(reply) => return *reply,
        };
        let accounts = self.people.iter().map(|person| (person.address.as_str(), person.address.clone())).collect();
        let app = &self.app.client_id;
        let consent =
            Consent { vendor: "Google", action: &call.path, app, accounts, scopes: &asked.scopes, choice: true };
        consent.page(&call.query)
    }

    fn decide(&mut self, call: &Call) -> Reply {
        let form = call.form().unwrap_or_default();
        let mut asked = match self.asked(&form) {
            Ok(asked) => asked,
            Err(reply) => return *reply,
        };
        let url = asked.redirect_uri.clone();
        let state = form.get("state").unwrap_or_default();
        if form.get("decision") != Some("allow") {
            return Reply::redirect(&link(&url, &[("error", "access_denied"), ("state", state)]));
        }
        let chosen = form.get("account").unwrap_or_default();
        let by_address = self.people.iter().find(|person| person.address == chosen);
        let person = by_address.or_else(|| self.people.iter().find(|person| person.account == chosen));
        let Some(account) = person.map(|person| person.account) else {
            return refuse("Google", StatusCode::BAD_REQUEST, "Choose an account");
        };
        account.clone_into(&mut asked.account);
        // Google gives a refresh token with the first consent only, unless consent is asked for again.
        let again = form.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == "consent"));
        asked.offline &= again || !self.grants.is_offline(account);
        if form.get("include_granted_scopes") == Some("true") {
            let before = self.grants.live(account).flat_map(|grant| grant.scopes.clone());
            asked.scopes.extend(before.collect::<Vec<_>>());
            asked.scopes.sort();
            asked.scopes.dedup();
        }
        if asked.scopes.is_empty() {
            return Reply::redirect(&link(&url, &[("error", "access_denied"), ("state", state)]));
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

    fn token(&mut self, call: &Call) -> Reply {
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
    fn revoke(&mut self, call: &Call) -> Reply {
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

    /// Changes an account, here and where its address shows.
    fn change(&mut self, order: &Value) -> Outcome {
        let account = order["account"].as_str().unwrap_or(ACCOUNTS[0]);
        let Some(person) = self.people.iter_mut().find(|person| person.account == account) else {
            return Outcome::Done(refusal(StatusCode::NOT_FOUND, "there is no such account"));
        };
        match person.change(order) {
            Ok(done) => {
                self.gmail.rename(person.account, &person.address);
                done.into()
            }
            Err((status, words)) => Outcome::Done(refusal(status, &words)),
        }
    }

    fn api(&mut self, call: &Call) -> Result<Reply, Refusal> {
        let segments = call.segments();
        let path: Vec<_> = segments.iter().map(String::as_str).collect();
        let caller = call.bearer().and_then(|token| self.grants.check(token, now()).ok());
        let caller = caller.map(|grant| Caller { account: grant.account.clone(), scopes: grant.scopes.clone() });
        let caller = caller.ok_or_else(|| {
            let words = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                         other valid authentication credential. See \
                         https://developers.google.com/identity/sign-in/web/devconsole-project.";
            Refusal { status: StatusCode::UNAUTHORIZED, reason: "authError", message: words.to_owned() }
        })?;
        let person =
            self.people.iter().find(|person| person.account == caller.account).ok_or_else(Refusal::not_found)?;
        let own = |user: &str| user == "me" || user == person.address;
        match path.as_slice() {
            ["calendar", "v3", path @ ..] => {
                person.has("calendar")?;
                self.calendar.answer(&caller, path, call)
            }
            ["gmail", "v1", "users", user, path @ ..] if own(user) => {
                person.has("gmail")?;
                self.gmail.answer(&caller, path, call)
            }
            ["upload", "gmail", "v1", "users", user, path @ ..] if own(user) => {
                person.has("gmail")?;
                self.gmail.upload(&caller, path, call)
            }
            ["gmail", "v1", "users", ..] | ["upload", "gmail", "v1", "users", ..] => {
                let message = "Delegation denied for the authenticated user".to_owned();
                Err(Refusal { status: StatusCode::FORBIDDEN, reason: "forbidden", message })
            }
            _ => Err(Refusal::not_found()),
        }
    }
}

impl Vendor for Google {
    fn answer(&mut self, call: &Call) -> Reply {
        match (call.method.as_str(), call.path.as_str()) {
            ("GET", "/o/oauth2/v2/auth") => self.ask(call),
            ("POST", "/o/oauth2/v2/auth") => self.decide(call),
            ("POST", "/token") => self.token(call),
            ("POST", "/revoke") => self.revoke(call),
            ("GET", "/oauth2/v3/certs") => {
                Reply::json(StatusCode::OK, &self.signer.keys()).with("cache-control", "public, max-age=20000")
            }
            _ => self.api(call).unwrap_or_else(Reply::from),
        }
    }

    /// Calendar answers 403, the others 429; none says when to come back in a header.
    /// <https://developers.google.com/workspace/calendar/api/guides/errors>
    fn limited(&self, call: &Call, _wait: u64) -> Reply {
        if call.path.starts_with("/calendar/") {
            let message = "Rate Limit Exceeded".to_owned();
            return Refusal { status: StatusCode::FORBIDDEN, reason: "rateLimitExceeded", message }.into();
        }
        let message = "User-rate limit exceeded.".to_owned();
        Refusal { status: StatusCode::TOO_MANY_REQUESTS, reason: "rateLimitExceeded", message }.into()
    }

    fn controls() -> impl Iterator<Item = &'static Control> {
        GRANTS.iter().chain(person::CONTROLS).chain(calendar::CONTROLS).chain(gmail::CONTROLS)
    }

    fn administer(&mut self, method: &Method, path: &[&str], body: &Value) -> Option<Outcome> {
        if (method, path) == (&Method::POST, &["account"][..]) {
            return Some(self.change(body));
        }
        let tokens = self.grants.administer(method, path, body).map(Outcome::Done);
        tokens.or_else(|| self.calendar.control(method, path, body)).or_else(|| self.gmail.control(method, path, body))
    }
}

impl Caller {
    /// Refuses unless one of these scopes (what follows `/auth/`, or whole) is granted.
    pub(super) fn needs(&self, any_of: &[&str]) -> Result<(), Refusal> {
        let short = |scope: &str| scope.trim_start_matches("https://www.googleapis.com/auth/").to_owned();
        if self.scopes.iter().any(|scope| any_of.contains(&short(scope).as_str())) {
            return Ok(());
        }
        let message = "Request had insufficient authentication scopes.".to_owned();
        Err(Refusal { status: StatusCode::FORBIDDEN, reason: "insufficientPermissions", message })
    }
}

impl Refusal {
    /// There is nothing there.
    pub(super) fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, reason: "notFound", message: "Not Found".to_owned() }
    }

    /// The request is wrong.
    pub(super) fn bad(reason: &'static str, message: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason, message: message.to_owned() }
    }
}

impl From<Refusal> for Reply {
    /// <https://cloud.google.com/apis/design/errors>, with the older `errors` that Calendar and Gmail still send.
    fn from(refusal: Refusal) -> Self {
        let code = refusal.status.as_u16();
        let status = match code {
            400 if refusal.reason == "failedPrecondition" => "FAILED_PRECONDITION",
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ALREADY_EXISTS",
            429 => "RESOURCE_EXHAUSTED",
            _ => "FAILED_PRECONDITION",
        };
        let domain = match refusal.reason {
            "rateLimitExceeded" => "usageLimits",
            "fullSyncRequired" => "calendar",
            _ => "global",
        };
        let errors = json!([{ "domain": domain, "reason": refusal.reason, "message": refusal.message }]);
        let error = json!({ "code": code, "message": refusal.message, "errors": errors, "status": status });
        let reply = Self::json(refusal.status, &json!({ "error": error }));
        let unauthenticated = "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"";
        if code == 401 { reply.with("www-authenticate", unauthenticated) } else { reply }
    }
}

fn oauth_error(status: StatusCode, code: &str, description: &str) -> Reply {
    let reply = Reply::json(status, &json!({ "error": code, "error_description": description }));
    reply.with("cache-control", "no-store")
}

fn fresh(body: &Value) -> Reply {
    Reply::json(StatusCode::OK, body).with("cache-control", "no-store")
}
