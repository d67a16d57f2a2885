//! What a token endpoint answers.
//!
//! *Invariant:* a token is never made up: an answer without a usable access token is a refusal or unreadable, whatever its status.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::{OAuth, Token};
use crate::{
    call::{Failure, Reply, retry_after},
    id::CredentialName,
};

/// Tokens as a provider issued them.
#[derive(Debug, Clone)]
pub struct TokenResponse {
    /// The name of the credential.
    pub name: CredentialName,
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

impl OAuth {
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
        self.read_tokens(self.tokens(), reply)
    }

    fn read_tokens<'t>(
        &self,
        tokens: impl Iterator<Item = &'t Token>,
        reply: &Reply,
    ) -> Result<(Vec<TokenResponse>, Value), Failure> {
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
            let issued = body.pointer(token.at).and_then(|part| self.issued(&token.name, part));
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
    pub fn read_refreshed(&self, name: &CredentialName, reply: &Reply) -> Result<TokenResponse, Failure> {
        let token = Token { name: name.clone(), at: "", required: true };
        let (mut all, _) = self.read_tokens(std::iter::once(&token), reply)?;
        all.pop().ok_or(Failure::Unreadable)
    }

    fn issued(&self, name: &CredentialName, part: &Value) -> Option<TokenResponse> {
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
            name: name.clone(),
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

#[cfg(test)]
mod tests;
