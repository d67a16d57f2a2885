//! What a session token claims, and whether that is valid.
//!
//! *Invariant:* a token of another issuer is for the configured audience, or it is refused (RFC 7519 §4.1.3).

use domain::{UserId, oauth::jwt::Jwks};
use jiff::Timestamp;
use serde::Deserialize;

/// The claims of a token (RFC 7519 §4).
#[derive(Clone, Deserialize)]
pub struct Claims {
    /// The user that the token speaks for.
    pub sub: UserId,
    /// The user's role, such as `admin`.
    pub role: Option<String>,
    /// Until when it is valid, in Unix seconds.
    pub exp: i64,
    nbf: Option<i64>,
    /// The token's id.
    pub jti: Option<String>,
    iss: Option<String>,
    aud: Option<Audience>,
}

/// RFC 7519 §4.1.3: one, or a list.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Another issuer than ourselves.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    pub(super) jwks_url: String,
    pub(super) name: String,
    pub(super) audience: String,
}

impl Claims {
    pub(super) fn valid(&self, now: Timestamp) -> bool {
        let now = now.as_second();
        now < self.exp && self.nbf.is_none_or(|nbf| nbf <= now)
    }
}

/// The claims of a token of another issuer.
pub(super) fn foreign(keys: &Jwks, issuer: &Issuer, token: &str, now: Timestamp) -> Option<Claims> {
    let claims: Claims = keys.verify(token)?;
    let meant = match &claims.aud {
        Some(Audience::One(audience)) => *audience == issuer.audience,
        Some(Audience::Many(audiences)) => audiences.contains(&issuer.audience),
        None => false,
    };
    let issued = claims.iss.as_ref() == Some(&issuer.name);
    (claims.valid(now) && meant && issued).then_some(claims)
}
