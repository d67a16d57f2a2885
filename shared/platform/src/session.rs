//! Who is calling: the session token, a JWT that the application minted.

use ::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    crypto::{CryptoProvider, JwkUtils, JwtVerifier},
    errors::ErrorKind,
    signature::{Error as SignatureError, Verifier},
};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::Deserialize;
use sha2::Sha256;

/// The cookie on https. The prefix makes browsers refuse it from anywhere but this host.
pub const COOKIE: &str = "__Host-intertie_session";
/// The cookie on loopback over http, where the prefix can't be used.
pub const LOOPBACK_COOKIE: &str = "intertie_session";

/// The keys of `{prefix}/session`: all verify.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Keys(Vec<SecretSlice<u8>>);

/// As stored: Base64.
#[derive(Deserialize)]
struct Stored {
    key: SecretString,
    #[serde(default)]
    previous: Vec<SecretString>,
}

/// A key that can't be used: an unusable one would silently lock everybody out.
#[derive(Debug, thiserror::Error)]
#[error("a session key is not Base64 of at least {MIN_KEY} bytes")]
struct BadKey;

/// HS256 asks for keys of at least its output's size: RFC 7518 §3.2.
const MIN_KEY: usize = 32;

impl TryFrom<Stored> for Keys {
    type Error = BadKey;

    fn try_from(stored: Stored) -> Result<Self, BadKey> {
        let all = std::iter::once(&stored.key).chain(&stored.previous);
        all.map(decode).collect::<Result<_, _>>().map(Self)
    }
}

fn decode(key: &SecretString) -> Result<SecretSlice<u8>, BadKey> {
    let key = STANDARD.decode(key.expose_secret()).ok().filter(|key| key.len() >= MIN_KEY);
    key.map(SecretSlice::from).ok_or(BadKey)
}

/// Whom a request speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The application's user id.
    pub user_id: String,
    /// Whether they may see what is not their own.
    pub admin: bool,
    /// Whether a browser sent the token by itself.
    pub by_cookie: bool,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    role: Option<String>,
    exp: i64,
    nbf: Option<i64>,
}

/// Where a token may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// `Authorization: Bearer` only: programs.
    Bearer,
    /// The session cookie of a public host too: people.
    BearerOrCookie,
    /// The session cookie of a local run too.
    BearerOrLoopbackCookie,
}

/// The token of a request, and whether it came by cookie.
pub fn token(headers: &HeaderMap, accept: Accept) -> Option<(&str, bool)> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("Bearer").then(|| (token.trim(), false));
    }
    // One name per kind of host: a sibling host can set a cookie of the unprefixed name for ours.
    let accepted = match accept {
        Accept::Bearer => return None,
        Accept::BearerOrCookie => COOKIE,
        Accept::BearerOrLoopbackCookie => LOOPBACK_COOKIE,
    };
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == accepted).map(|(_, token)| (token, true))
}

impl Keys {
    /// Checks a token. `None` for anything but a token of ours that is valid now.
    pub fn verify(&self, token: &str, by_cookie: bool, now: Timestamp) -> Option<Caller> {
        // Fails only if it is installed already.
        let _ = PROVIDER.install_default();
        let mut validation = Validation::new(Algorithm::HS256);
        // The library would read the clock itself; the claims are checked below.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        let claims: Claims = self.0.iter().find_map(|key| {
            let key = DecodingKey::from_secret(key.expose_secret());
            jsonwebtoken::decode(token, &key, &validation).ok().map(|data| data.claims)
        })?;
        let now = now.as_second();
        let valid = now < claims.exp && claims.nbf.is_none_or(|nbf| nbf <= now) && !claims.sub.is_empty();
        let admin = claims.role.as_deref() == Some("admin");
        valid.then_some(Caller { user_id: claims.sub, admin, by_cookie })
    }
}

/// HS256 by the HMAC that verifies webhooks; the library's own choices bring a second crypto stack.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| {
        if *algorithm != Algorithm::HS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Ok(Box::new(Hs256(key.try_get_hmac_secret()?.to_vec())))
    },
    jwk_utils: JwkUtils::new_unimplemented(),
};

struct Hs256(Vec<u8>);

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|_| SignatureError::new())?;
        mac.update(message);
        mac.verify_slice(signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

/// Mints a token: what the application does, for `cargo local token` and tests.
pub fn mint(key: &SecretString, user_id: &str, role: Option<&str>, expires_at: Timestamp) -> Option<String> {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let key = decode(key).ok()?;
    let mut claims = serde_json::json!({ "sub": user_id, "exp": expires_at.as_second() });
    if let Some(role) = role {
        claims["role"] = role.into();
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret()).ok()?;
    mac.update(message.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    Some(format!("{message}.{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn key(byte: u8) -> SecretString {
        STANDARD.encode([byte; 32]).into()
    }

    fn keys() -> Keys {
        Stored { key: key(1), previous: vec![key(2)] }.try_into().unwrap()
    }

    #[test]
    fn a_token_of_any_current_key_names_its_user_and_role() {
        for (key, role) in [(key(1), None), (key(2), Some("admin"))] {
            let token = mint(&key, "user-1", role, at(NOW + 60)).unwrap();
            let caller = keys().verify(&token, false, at(NOW)).unwrap();
            assert_eq!(caller, Caller { user_id: "user-1".into(), admin: role.is_some(), by_cookie: false });
        }
    }

    #[test]
    fn expired_foreign_and_tampered_tokens_name_nobody() {
        let good = mint(&key(1), "u", None, at(NOW + 60)).unwrap();
        assert!(keys().verify(&good, false, at(NOW + 60)).is_none(), "expired");
        let foreign = mint(&key(3), "u", None, at(NOW + 60)).unwrap();
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1IiwiZXhwIjo5OTk5OTk5OTk5fQ.";
        for token in [&foreign, none, "", "a.b.c", &good[..good.len() - 2]] {
            assert!(keys().verify(token, false, at(NOW)).is_none(), "{token}");
        }
        assert!(keys().verify(&mint(&key(1), "", None, at(NOW + 60)).unwrap(), false, at(NOW)).is_none());
    }

    #[test]
    fn an_unusable_key_is_an_error_and_not_a_lock_out() {
        for key in ["", "c2hvcnQ=", "not base64 at all, however long it may be, dear reader"] {
            assert!(Keys::try_from(Stored { key: key.into(), previous: vec![] }).is_err(), "{key}");
        }
    }

    #[test]
    fn a_cookie_counts_only_where_people_call() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=b; __Host-intertie_session=T1".parse().unwrap());
        assert_eq!(token(&headers, Accept::BearerOrCookie), Some(("T1", true)));
        assert_eq!(token(&headers, Accept::Bearer), None);
        assert_eq!(token(&headers, Accept::BearerOrLoopbackCookie), None);
        headers.insert(header::COOKIE, "intertie_session=T1".parse().unwrap());
        assert_eq!(token(&headers, Accept::BearerOrLoopbackCookie), Some(("T1", true)));
        assert_eq!(token(&headers, Accept::BearerOrCookie), None);
        headers.insert(header::AUTHORIZATION, "bearer T2".parse().unwrap());
        assert_eq!(token(&headers, Accept::BearerOrCookie), Some(("T2", false)));
        headers.insert(header::AUTHORIZATION, "Basic T2".parse().unwrap());
        assert_eq!(token(&headers, Accept::BearerOrCookie), None);
    }
}
