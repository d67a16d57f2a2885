//! The caller of a request, by the session token: a JWT that the application minted.

mod claims;
mod keys;

use ::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Problem, UserId};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::{
    aws::{
        Aws,
        secrets::{Freshness, Secrets},
    },
    base::{clock, config::Env, rewrites::Rewrites},
    client::jwks::JwksCache,
    runtime::http::{failed, internal},
};

pub use self::{
    claims::Claims,
    keys::{Keys, StoredKeys, mint},
};
use self::{
    claims::{Issuer, foreign},
    keys::{mac, sign},
};

/// The cookie on https. The prefix makes browsers refuse it from anywhere but this host.
pub const COOKIE: &str = "__Host-intertie_session";
/// The cookie on loopback over http, where the prefix can't be used.
pub const LOOPBACK_COOKIE: &str = "intertie_session";

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
    /// The same caller, if it is an administrator.
    pub fn admin(self) -> Result<Self, Problem> {
        if self.admin { Ok(self) } else { Err(Problem::forbidden()) }
    }
}

/// The settings of sessions.
#[derive(Debug)]
pub struct Config {
    resource_prefix: String,
    secret_cache: std::time::Duration,
    issuer: Option<Issuer>,
}

impl Config {
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

/// Verifies session tokens, and mints them.
#[derive(Debug)]
pub struct Sessions {
    keys: Secrets<Keys>,
    issuer: Option<Issuer>,
    jwks: JwksCache,
}

impl Sessions {
    pub fn new(aws: &Aws, config: &Config, rewrites: &Rewrites) -> Self {
        Self {
            keys: Secrets::new(aws, &config.resource_prefix, config.secret_cache),
            issuer: config.issuer.clone(),
            jwks: JwksCache::new(rewrites.clone()),
        }
    }

    /// The caller by a token. Cookies hold tokens of ours; programs hold those of the configured issuer, if there is one.
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

    /// A token of ours with the subject and role of `claims`.
    pub async fn mint(&self, claims: &Claims, expires_at: Timestamp) -> Result<String, Problem> {
        let keys = self.keys.get("session", Freshness::Cached, clock::now()).await.map_err(|error| internal(&error))?;
        let key = keys.0.first().ok_or_else(Problem::internal)?;
        sign(key, claims.sub.as_str(), claims.role.as_deref(), expires_at).ok_or_else(Problem::internal)
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

#[cfg(test)]
mod tests {
    use super::*;

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
