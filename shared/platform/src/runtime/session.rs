//! Who is calling: the session token, a JWT that the application minted.

use ::http::{HeaderMap, header};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use domain::{
    Problem, UserId,
    oauth::jwt::{Jwks, verify_hmac},
    secret,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::Deserialize;
use sha2::Sha256;

use crate::{
    aws::{
        Aws, UnusableSecret,
        secrets::{Freshness, Secrets, Stored},
    },
    base::{clock, config::Env, rewrites::Rewrites},
    client::jwks::JwksCache,
    runtime::http::{failed, internal},
};

/// The cookie on https. The prefix makes browsers refuse it from anywhere but this host.
pub const COOKIE: &str = "__Host-intertie_session";
/// The cookie on loopback over http, where the prefix can't be used.
pub const LOOPBACK_COOKIE: &str = "intertie_session";

/// The keys of `{prefix}/session`: all verify.
#[derive(Debug)]
pub struct Keys(Vec<SecretSlice<u8>>);

/// As stored: Base64.
#[derive(Deserialize)]
pub struct StoredKeys {
    key: SecretString,
    #[serde(default)]
    previous: Vec<SecretString>,
}

/// HS256 asks for keys of at least its output's size: RFC 7518 §3.2.
const MIN_KEY: usize = 32;

impl Stored for Keys {
    type Form = StoredKeys;

    fn of(form: StoredKeys) -> Result<Self, UnusableSecret> {
        let previous = form.previous.iter().map(|key| ("previous", key));
        let all = std::iter::once(("key", &form.key)).chain(previous);
        all.map(|(field, key)| decode(field, key)).collect::<Result<_, _>>().map(Self)
    }
}

/// An unusable key would silently lock everybody out.
fn decode(field: &'static str, key: &SecretString) -> Result<SecretSlice<u8>, UnusableSecret> {
    let key = secret::read(key.expose_secret()).map_err(|source| UnusableSecret::Value { field, source })?;
    let key = STANDARD.decode(key).ok().filter(|key| key.len() >= MIN_KEY);
    key.map(SecretSlice::from).ok_or(UnusableSecret::Key { field, least: MIN_KEY })
}

/// The user that a request speaks for.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The subject of the request's token.
    pub user_id: UserId,
    /// Whether the token's role allows what is not the user's own.
    pub admin: bool,
    /// What a form of the user's page must carry; none for programs.
    pub csrf: Option<SecretString>,
}

impl Caller {
    /// The same, if they are an administrator.
    pub fn admin(self) -> Result<Self, Problem> {
        if self.admin { Ok(self) } else { Err(Problem::forbidden()) }
    }
}

/// What a token says.
#[derive(Clone, Deserialize)]
pub struct Claims {
    /// The user that the token speaks for.
    pub sub: UserId,
    /// The user's role, such as `admin`.
    pub role: Option<String>,
    /// Until when it is valid, in Unix seconds.
    pub exp: i64,
    nbf: Option<i64>,
    /// Names the token.
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
struct Issuer {
    jwks_url: String,
    name: String,
    audience: String,
}

/// What sessions are configured by.
#[derive(Debug)]
pub struct Config {
    resource_prefix: String,
    secret_cache: std::time::Duration,
    issuer: Option<Issuer>,
}

impl Config {
    /// Reads it.
    pub fn read(env: &mut Env) -> Self {
        let resource_prefix = env.text("RESOURCE_PREFIX");
        let secret_cache = env.seconds("SECRET_CACHE_SECONDS");
        let issuer = ["JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE"].map(|name| env.optional(name));
        let issuer = match issuer {
            [Some(jwks_url), Some(name), Some(audience)] => Some(Issuer { jwks_url, name, audience }),
            [None, None, None] => None,
            _ => {
                env.problem("JwksUrl, JwtIssuer and JwtAudience are set together or not at all");
                None
            }
        };
        Self { resource_prefix, secret_cache, issuer }
    }
}

/// Checks tokens.
#[derive(Debug)]
pub struct Sessions {
    keys: Secrets<Keys>,
    issuer: Option<Issuer>,
    jwks: JwksCache,
}

impl Sessions {
    /// Makes the clients.
    pub fn new(aws: &Aws, config: &Config, rewrites: &Rewrites) -> Self {
        Self {
            keys: Secrets::new(aws, &config.resource_prefix, config.secret_cache),
            issuer: config.issuer.clone(),
            jwks: JwksCache::new(rewrites.clone()),
        }
    }

    /// Whom a token speaks for. Cookies hold tokens of ours; programs hold those of the configured issuer, if there is one.
    pub async fn caller(&self, token: &str, by_cookie: bool) -> Result<Caller, Problem> {
        let (claims, csrf) = if by_cookie {
            let (claims, csrf) = self.own(token).await?;
            (claims, Some(csrf))
        } else {
            (self.claims(token).await?, None)
        };
        Ok(Caller { admin: claims.role.as_deref() == Some("admin"), user_id: claims.sub, csrf })
    }

    /// What a valid token of the application says.
    pub async fn claims(&self, token: &str) -> Result<Claims, Problem> {
        let Some(issuer) = &self.issuer else { return Ok(self.own(token).await?.0) };
        let now = clock::now();
        let keys =
            self.jwks.for_token(&issuer.jwks_url, token, now).await.map_err(|error| failed(&error.diagnosis()))?;
        foreign(&keys, issuer, token, now).ok_or_else(Problem::unauthenticated)
    }

    /// A token of ours for whom `claims` speak.
    pub async fn mint(&self, claims: &Claims, expires_at: Timestamp) -> Result<String, Problem> {
        let keys = self.keys.get("session", Freshness::Cached, clock::now()).await.map_err(|error| internal(&error))?;
        let key = keys.0.first().ok_or_else(Problem::internal)?;
        sign(key, &claims.sub, claims.role.as_deref(), expires_at).ok_or_else(Problem::internal)
    }

    /// Names for `text` that only a holder of the session keys can link to it: a hash under each key in force, the current one
    /// first. `purpose` keeps the names of one use apart from those of another.
    ///
    /// A name lasts as long as its key: once a former key is removed, what was named under it is no longer found.
    pub async fn pseudonyms(&self, purpose: &str, text: &str) -> Result<Vec<String>, Problem> {
        let keys = self.keys.get("session", Freshness::Cached, clock::now()).await.map_err(|error| internal(&error))?;
        keys.pseudonyms(purpose, text).ok_or_else(Problem::internal)
    }

    /// What a token of ours says, and what the forms of its session carry. That follows from the token under the key that
    /// signed it, so there is nothing to store, and it stays the same while keys are replaced.
    ///
    /// An unknown key makes the cache read the keys again once, so that they can be replaced.
    async fn own(&self, token: &str) -> Result<(Claims, SecretString), Problem> {
        let now = clock::now();
        for freshness in [Freshness::Cached, Freshness::Reread] {
            let keys = self.keys.get("session", freshness, now).await.map_err(|error| internal(&error))?;
            if let Some((claims, key)) = keys.verify(token, now) {
                let csrf = mac(key, &["csrf\n", token]).ok_or_else(Problem::internal)?;
                return Ok((claims, URL_SAFE_NO_PAD.encode(csrf).into()));
            }
        }
        Err(Problem::unauthenticated())
    }
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
    cookies(headers).find(|(name, _)| *name == accepted).map(|(_, token)| (token, true))
}

/// The cookies of a request.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

impl Keys {
    /// Checks a token: what it says, and the key that signed it. `None` for anything but a token of ours that is valid now.
    fn verify(&self, token: &str, now: Timestamp) -> Option<(Claims, &SecretSlice<u8>)> {
        let signed = |key| Some((verify_hmac::<Claims>(token, SecretSlice::expose_secret(key))?, key));
        self.0.iter().find_map(signed).filter(|(claims, _)| claims.valid(now))
    }
}

impl Keys {
    fn pseudonyms(&self, purpose: &str, text: &str) -> Option<Vec<String>> {
        self.0.iter().map(|key| mac(key, &[purpose, "\n", text]).map(hex::encode)).collect()
    }
}

impl Claims {
    fn valid(&self, now: Timestamp) -> bool {
        let now = now.as_second();
        now < self.exp && self.nbf.is_none_or(|nbf| nbf <= now)
    }
}

fn foreign(keys: &Jwks, issuer: &Issuer, token: &str, now: Timestamp) -> Option<Claims> {
    let claims: Claims = keys.verify(token)?;
    let meant = match &claims.aud {
        Some(Audience::One(audience)) => *audience == issuer.audience,
        Some(Audience::Many(audiences)) => audiences.contains(&issuer.audience),
        None => false,
    };
    let issued = claims.iss.as_ref() == Some(&issuer.name);
    (claims.valid(now) && meant && issued).then_some(claims)
}

/// Mints a token: what the application does, for `cargo local token` and tests.
pub fn mint(key: &SecretString, user_id: &str, role: Option<&str>, expires_at: Timestamp) -> Option<String> {
    sign(&decode("key", key).ok()?, user_id, role, expires_at)
}

fn sign(key: &SecretSlice<u8>, user_id: &str, role: Option<&str>, expires_at: Timestamp) -> Option<String> {
    // Its own name each, so that one for the browser's form is accepted once.
    let id = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let mut claims = serde_json::json!({ "sub": user_id, "exp": expires_at.as_second(), "jti": id });
    if let Some(role) = role {
        claims["role"] = role.into();
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(mac(key, &[&message])?);
    Some(format!("{message}.{signature}"))
}

fn mac(key: &SecretSlice<u8>, parts: &[&str]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret()).ok()?;
    for part in parts {
        mac.update(part.as_bytes());
    }
    Some(mac.finalize().into_bytes().to_vec())
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
        Keys::of(StoredKeys { key: key(1), previous: vec![key(2)] }).unwrap()
    }

    #[test]
    fn a_token_of_any_current_key_names_its_user_and_role() {
        for (key, role) in [(key(1), None), (key(2), Some("admin"))] {
            let token = mint(&key, "user-1", role, at(NOW + 60)).unwrap();
            let keys = keys();
            let (claims, _) = keys.verify(&token, at(NOW)).unwrap();
            assert_eq!((claims.sub.as_str(), claims.role.as_deref()), ("user-1", role));
        }
    }

    #[test]
    fn expired_foreign_and_tampered_tokens_name_nobody() {
        let good = mint(&key(1), "u", None, at(NOW + 60)).unwrap();
        assert!(keys().verify(&good, at(NOW + 60)).is_none(), "expired");
        let foreign = mint(&key(3), "u", None, at(NOW + 60)).unwrap();
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1IiwiZXhwIjo5OTk5OTk5OTk5fQ.";
        for token in [&foreign, none, "", "a.b.c", &good[..good.len() - 2]] {
            assert!(keys().verify(token, at(NOW)).is_none(), "{token}");
        }
        assert!(keys().verify(&mint(&key(1), "", None, at(NOW + 60)).unwrap(), at(NOW)).is_none());
    }

    #[test]
    fn a_pseudonym_is_found_after_a_rotation_and_differs_between_keys_purposes_and_texts() {
        let names = |keys: Keys, purpose, text| keys.pseudonyms(purpose, text).unwrap();
        let before = names(keys(), "erasure", "ada");
        let rotated = Keys::of(StoredKeys { key: key(3), previous: vec![key(1), key(2)] }).unwrap();
        assert_eq!(names(rotated, "erasure", "ada")[1..], before);
        let mut all = [before, names(keys(), "erasure", "bob"), names(keys(), "other", "ada")].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn an_unusable_key_is_an_error_and_not_a_lock_out() {
        for key in ["", "c2hvcnQ=", "not base64 at all, however long it may be, dear reader"] {
            assert!(Keys::of(StoredKeys { key: key.into(), previous: vec![] }).is_err(), "{key}");
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
