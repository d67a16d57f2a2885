//! The OAuth 2.0 grant of a provider as data, and the request that begins one.

mod token_response;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

pub use self::token_response::TokenResponse;
use crate::{
    call::{SuccessFlag, form},
    id::{AccountId, CredentialName},
};

/// How a provider gives access.
#[derive(Debug, Clone)]
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
    /// The token that calls are made with.
    pub access: Token,
    /// The other tokens that an answer can carry.
    pub further_tokens: &'static [Token],
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
#[derive(Debug, Clone)]
pub struct Token {
    /// The name of the credential that it becomes.
    pub name: CredentialName,
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
    pub account: Option<&'a AccountId>,
}

impl OAuth {
    /// All tokens that an answer can carry.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        std::iter::once(&self.access).chain(self.further_tokens)
    }

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
        pairs.extend(self.account_hint.zip(account.map(AccountId::as_str)));
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
