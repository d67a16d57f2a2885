//! Tokens of ours: browser sessions, and codes that begin one.
//!
//! *Invariant:* each use has a key of its own, derived from a session key, so that no token of the application passes for a session,
//! no session for a token of the application, and no code for either.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{UserId, oauth::jwt::verify_hmac};
use jiff::{Timestamp, fmt::serde::timestamp::millisecond};
use secrecy::SecretSlice;
use serde::{Deserialize, Serialize};

use super::{
    Claims,
    keys::{Keys, mac},
};
use crate::base::random;

/// What a token of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A session, in the browser's cookie.
    Cookie,
    /// A code that begins a session, in a form of a page of the application.
    Code,
}

impl Use {
    const fn name(self) -> &'static str {
        match self {
            Self::Cookie => "cookie\n",
            Self::Code => "code\n",
        }
    }
}

/// What a token of ours says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Issued {
    /// The user that it speaks for.
    pub sub: UserId,
    /// Whether the user is an administrator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
    /// See [`Claims::actor`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// When it was issued.
    #[serde(rename = "iat_ms", with = "millisecond::required")]
    pub issued_at: Timestamp,
    /// Its end.
    #[serde(rename = "exp_ms", with = "millisecond::required")]
    pub expires_at: Timestamp,
    /// Of its own, so that a code is used once.
    pub jti: String,
    /// The origin of the page that may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

impl Issued {
    /// A token with the subject of `claims`, valid from `now` until `expires_at`. `None` only if the random source of the system fails.
    pub fn new(claims: &Claims, now: Timestamp, expires_at: Timestamp) -> Option<Self> {
        let jti = random::handle()?;
        let Claims { sub, admin, actor, .. } = claims.clone();
        Some(Self { sub, admin, actor, issued_at: now, expires_at, jti, origin: None })
    }
}

impl Keys {
    /// Signs a token of ours with the current key.
    pub(super) fn issue(&self, r#use: Use, issued: &Issued) -> Option<String> {
        let key = derived(self.0.first()?, r#use)?;
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(issued).ok()?));
        let signature = URL_SAFE_NO_PAD.encode(mac(&key, &[&message])?);
        Some(format!("{message}.{signature}"))
    }

    /// What a token of ours says, and the key that signed it; `None` if it is not valid now.
    pub(super) fn issued(&self, r#use: Use, token: &str, now: Timestamp) -> Option<(Issued, SecretSlice<u8>)> {
        let signed = |key| {
            let key = derived(key, r#use)?;
            Some((verify_hmac::<Issued>(token, secrecy::ExposeSecret::expose_secret(&key))?, key))
        };
        self.0.iter().find_map(signed).filter(|(issued, _)| now < issued.expires_at)
    }
}

fn derived(key: &SecretSlice<u8>, r#use: Use) -> Option<SecretSlice<u8>> {
    mac(key, &["intertie\n", r#use.name()]).map(SecretSlice::from)
}
