//! The OAuth 2.0 grant of a provider as data, and the reading of what its token endpoint answers.
//!
//! *Invariant:* a token is never made up: an answer without a usable access token is a refusal or unreadable, whatever its status.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::call::{Failure, Reply, SuccessFlag, form, retry_after};

/// How a provider gives access.
#[derive(Debug, Clone, Copy)]
pub struct OAuth {
    /// Where the user is sent.
    pub authorize: &'static str,
    /// Where codes and refresh tokens are exchanged.
    pub token: &'static str,
    /// How the app authenticates to the token endpoint.
    pub client_auth: ClientAuth,
    /// What is asked for.
    pub scopes: &'static [&'static str],
    /// What the provider has besides, and a caller may ask for too.
    pub further_scopes: &'static [&'static str],
    /// Other names that a scope can be asked for by, each with the one that the provider's answers have.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Those scopes that only identify the account: a grant of these alone is of no use.
    pub identity_scopes: &'static [&'static str],
    /// The parameter of the authorize address that preselects an account by its id
    /// ([OpenID Connect Core 1.0 §3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest) calls it
    /// `login_hint`), if the provider has one.
    pub account_hint: Option<&'static str>,
    /// Sent along when no account is preselected, so that the provider asks which one is meant.
    pub account_choice: Option<(&'static str, &'static str)>,
    /// What scopes allow, as it follows "the app may not": for people, when one was not granted.
    pub scope_labels: &'static [(&'static str, &'static str)],
    /// What stands between scopes, in requests and answers.
    pub scope_separator: &'static str,
    /// Whether the provider checks a PKCE verifier (RFC 7636).
    pub pkce: bool,
    /// Sent along when the user is sent.
    pub authorize_params: &'static [(&'static str, &'static str)],
    /// The issuer that the callback's `iss` must name if it is there (RFC 9207).
    pub issuer: Option<&'static str>,
    /// The tokens that an answer can carry.
    pub tokens: &'static [Token],
    /// How a failure inside a successful answer shows.
    pub failed: Option<SuccessFlag>,
    /// Errors that mean that the grant is over, so that only the user can help.
    pub terminal_errors: &'static [&'static str],
    /// A token is refreshed when less than this is left of its life.
    pub refresh_ahead: Duration,
    /// How a grant is revoked; none if the provider has no way to.
    pub revoke: Option<Revoke>,
}

/// How the app authenticates: RFC 6749 §2.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Id and secret in the form.
    Form,
    /// Id and secret as HTTP Basic.
    Basic,
}

/// One token of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Token {
    /// The name of the credential that it becomes.
    pub name: &'static str,
    /// The JSON pointer to the object that holds it; empty for the answer itself.
    pub at: &'static str,
    /// Whether an answer without it is unreadable.
    pub required: bool,
}

/// How a grant is revoked.
#[derive(Debug, Clone, Copy)]
pub struct Revoke {
    /// The revocation endpoint.
    pub url: &'static str,
    /// How the token is sent.
    pub token: RevokedBy,
    /// Whether it ends all that the account granted the app, at other providers of the same app too.
    pub whole_account: bool,
}

/// How the token that is to end is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedBy {
    /// As the credential of the call.
    Bearer,
    /// As `token` in the form (RFC 7009), the app proving itself as at the token endpoint.
    Form,
}

/// Tokens as a provider issued them.
#[derive(Debug, Clone)]
pub struct TokenResponse {
    /// The name of the credential.
    pub name: &'static str,
    /// What authorises calls.
    pub access: SecretString,
    /// The refresh token, if there came one.
    pub refresh: Option<SecretString>,
    /// How long the access token lives; none if the provider does not say.
    pub life: Option<Duration>,
    /// What was granted; none if the provider does not say, which means what was asked for.
    pub scopes: Option<Vec<String>>,
}

/// The longest life of a token that is believed.
const MAX_LIFE: Duration = Duration::from_hours(24 * 366 * 10);

#[derive(Deserialize)]
struct Answer {
    access_token: SecretString,
    refresh_token: Option<SecretString>,
    expires_in: Option<Value>,
    scope: Option<String>,
    token_type: Option<String>,
}

/// An authorization request (RFC 6749 §4.1.1).
#[derive(Clone, Copy)]
pub struct Authorize<'a> {
    /// The app's id at the provider.
    pub client_id: &'a str,
    /// The address of the callback.
    pub redirect_uri: &'a str,
    /// The scopes that are asked for.
    pub scopes: &'a [String],
    /// The random text that comes back with the code (RFC 6749 §4.1.1).
    pub state: &'a str,
    /// The PKCE verifier (RFC 7636); the address holds its hash, if the provider takes one.
    pub verifier: &'a str,
    /// The account to preselect, if the provider can.
    pub account: Option<&'a str>,
}

impl OAuth {
    /// The address to send the user to.
    pub fn authorize_url(&self, request: Authorize<'_>) -> String {
        let Authorize { client_id, redirect_uri, scopes, state, verifier, account } = request;
        let scope = scopes.join(self.scope_separator);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", redirect_uri),
            ("scope", &scope),
            ("state", state),
        ];
        if self.pkce {
            pairs.extend([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")]);
        }
        let choice = self.account_choice.filter(|_| account.is_none());
        let replaced = |name: &str| choice.is_some_and(|(chosen, _)| chosen == name);
        pairs.extend(self.authorize_params.iter().filter(|(name, _)| !replaced(name)));
        pairs.extend(choice);
        pairs.extend(self.account_hint.zip(account));
        format!("{}?{}", self.authorize, form(pairs))
    }

    /// The scope of this name, if the provider has it.
    pub fn scope(&self, name: &str) -> Option<&'static str> {
        let name = self.aliases.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, scope)| scope);
        self.scopes.iter().chain(self.further_scopes).copied().find(|scope| *scope == name)
    }

    /// Whether these scopes allow anything beyond identifying the account.
    pub fn is_useful(&self, granted: &[String]) -> bool {
        granted.iter().any(|scope| !self.identity_scopes.contains(&&**scope))
    }

    /// What the usual scopes allow, in words, without those of identity.
    pub fn useful(&self) -> Vec<&'static str> {
        let useful = self.scopes.iter().filter(|scope| !self.identity_scopes.contains(*scope));
        useful.map(|scope| self.allowed_by(scope)).collect()
    }

    /// What a scope allows, in words; itself if there are none.
    pub fn allowed_by<'s>(&self, scope: &'s str) -> &'s str {
        self.scope_labels.iter().find(|(known, _)| *known == scope).map_or(scope, |(_, words)| words)
    }

    /// Whether the token endpoint gave an answer that can be read: it is neither busy nor down.
    pub fn answered(&self, reply: &Reply, now: Timestamp) -> Result<(), Failure> {
        match reply.status {
            429 => Err(Failure::RateLimited(retry_after(reply, now))),
            408 | 500.. => Err(Failure::Down(retry_after(reply, now))),
            _ => Ok(()),
        }
    }

    /// Reads what the token endpoint answered to a code, and the whole answer.
    pub fn read(&self, reply: &Reply) -> Result<(Vec<TokenResponse>, Value), Failure> {
        self.read_tokens(self.tokens, reply)
    }

    fn read_tokens(&self, tokens: &[Token], reply: &Reply) -> Result<(Vec<TokenResponse>, Value), Failure> {
        match reply.status {
            429 => return Err(Failure::RateLimited(None)),
            408 | 500.. => return Err(Failure::Down(None)),
            _ => {}
        }
        let body: Value = serde_json::from_slice(&reply.body).map_err(|_| Failure::Unreadable)?;
        let failed = self.failed.is_some_and(|flag| body.pointer(flag.pointer) != Some(&Value::Bool(true)));
        // Some providers answer errors with a success: an `error` decides.
        if let Some(code) = body.get("error").and_then(Value::as_str) {
            return Err(self.refusal(code));
        }
        if failed || !reply.is_success() {
            return Err(Failure::Unreadable);
        }
        let mut all = Vec::new();
        for token in tokens {
            let issued = body.pointer(token.at).and_then(|part| self.issued(token.name, part));
            match issued {
                Some(issued) => all.push(issued),
                None if token.required => return Err(Failure::Unreadable),
                None => {}
            }
        }
        if all.is_empty() {
            return Err(Failure::Unreadable);
        }
        Ok((all, body))
    }

    /// What an error code of the token endpoint means (RFC 6749 §5.2): the grant is over, the endpoint is busy or down, or the
    /// app itself is at fault, with a wrong client secret for example.
    fn refusal(&self, code: &str) -> Failure {
        if self.terminal_errors.contains(&code) {
            return Failure::GrantEnded;
        }
        match code {
            "ratelimited" | "rate_limited" | "slow_down" => Failure::RateLimited(None),
            "temporarily_unavailable" | "server_error" | "internal_error" | "fatal_error" | "service_unavailable" => {
                Failure::Down(None)
            }
            _ => {
                let legal = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
                Failure::AppRefused { code: code.chars().filter(legal).take(64).collect() }
            }
        }
    }

    /// Reads what the token endpoint answered to a refresh of one token: it stands at the top, whichever it is.
    pub fn read_refreshed(&self, name: &'static str, reply: &Reply) -> Result<TokenResponse, Failure> {
        let token = [Token { name, at: "", required: true }];
        let (mut all, _) = self.read_tokens(&token, reply)?;
        all.pop().ok_or(Failure::Unreadable)
    }

    fn issued(&self, name: &'static str, part: &Value) -> Option<TokenResponse> {
        let answer = Answer::deserialize(part).ok()?;
        let bearer = answer.token_type.as_deref().is_none_or(|kind| !kind.eq_ignore_ascii_case("mac"));
        let usable = |token: &SecretString| {
            let token = token.expose_secret();
            !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic())
        };
        if !bearer || !usable(&answer.access_token) {
            return None;
        }
        let scopes = answer.scope.map(|scope| {
            let parts = scope.split(|c: char| c == ' ' || self.scope_separator.contains(c));
            parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
        });
        Some(TokenResponse {
            name,
            access: answer.access_token,
            refresh: answer.refresh_token.filter(usable),
            life: answer.expires_in.as_ref().and_then(life),
            scopes,
        })
    }
}

/// The life in `expires_in`: a number, or one in quotes. Anything else is no life, and the end of the token shows as a 401.
fn life(expires_in: &Value) -> Option<Duration> {
    let seconds = expires_in.as_f64().or_else(|| expires_in.as_str()?.trim().parse().ok())?;
    (seconds.is_finite() && seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(MAX_LIFE.as_secs_f64())))
}

/// The PKCE verifier of a state. It follows from the state under the client's secret, so there is none to store, and
/// a reader of the state on its way through the browser can't know it.
pub fn verifier(state: &str, client_secret: &SecretString) -> String {
    // HMAC takes keys of any length.
    let mac = Hmac::<Sha256>::new_from_slice(client_secret.expose_secret().as_bytes());
    mac.map(|mac| URL_SAFE_NO_PAD.encode(mac.chain_update("pkce ").chain_update(state).finalize().into_bytes()))
        .unwrap_or_default()
}

/// Whether `to` is a path of our own host: what may follow `Location` without leading anywhere else.
pub fn is_own_path(to: &str) -> bool {
    let legal = |b: u8| b.is_ascii_graphic() && b != b'\\';
    let second = to.as_bytes().get(1).copied();
    let lower = to.to_ascii_lowercase();
    to.len() <= 2048
        && to.starts_with('/')
        && second != Some(b'/')
        && to.bytes().all(legal)
        // Encoded slashes and control characters right after the first slash are slashes to some.
        && !["/%2f", "/%5c", "/%09", "/%0a", "/%0d"].iter().any(|bad| lower.starts_with(bad))
}

#[cfg(test)]
mod tests;
