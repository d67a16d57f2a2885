//! The caller of a request, by the session token: a JWT that the application minted.

mod claims;
mod issued;
mod keys;

use ::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Problem, UserId};
use jiff::Timestamp;
use secrecy::{SecretSlice, SecretString};

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
    issued::{Issued, Use},
    keys::{Keys, StoredKeys, mint},
};
use self::{
    claims::{Expected, FIXED, Issuer, foreign},
    keys::mac,
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
    /// Whether the token says that the user is an administrator. Routes for administrators concern other users, too.
    pub admin: bool,
    /// The party that acts for the user, if it is another one.
    pub actor: Option<String>,
    /// The browser session that the request belongs to; none for programs.
    pub session: Option<BrowserSession>,
}

/// A browser session.
#[derive(Debug, Clone)]
pub struct BrowserSession {
    /// What a form of the user's page must carry.
    pub csrf: SecretString,
    /// Its beginning. One that began before the sessions of its user were ended is refused.
    pub began_at: Timestamp,
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
    admin: Expected,
}

impl Config {
    pub fn read(env: &mut Env) -> Self {
        let resource_prefix = env.text("RESOURCE_PREFIX");
        let secret_cache = env.seconds("SECRET_CACHE_SECONDS");
        let claim = env.text("JWT_AUDIENCE_CLAIM");
        let issuer = ["JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE"].map(|name| env.optional(name));
        let issuer = match issuer {
            [Some(jwks_url), Some(name), Some(value)] => {
                Some(Issuer { jwks_url, name, audience: Expected { claim: claim.clone(), value } })
            }
            [None, None, None] => None,
            _ => {
                env.problem("JwksUrl, JwtIssuer and JwtAudience are set together or not at all");
                None
            }
        };
        let admin = Expected { claim: env.text("JWT_ADMIN_CLAIM"), value: env.text("JWT_ADMIN_VALUE") };
        if [&claim, &admin.claim].into_iter().any(|claim| FIXED.contains(&claim.as_str())) {
            env.problem(format!("JwtAudienceClaim and JwtAdminClaim can't be one of {}", FIXED.join(", ")));
        }
        Self { resource_prefix, secret_cache, issuer, admin }
    }
}

/// Verifies session tokens, and mints them.
#[derive(Debug)]
pub struct Sessions {
    keys: Secrets<Keys>,
    issuer: Option<Issuer>,
    admin: Expected,
    jwks: JwksCache,
}

impl Sessions {
    pub fn new(aws: &Aws, config: &Config, rewrites: &Rewrites) -> Self {
        Self {
            keys: Secrets::new(aws, &config.resource_prefix, config.secret_cache),
            issuer: config.issuer.clone(),
            admin: config.admin.clone(),
            jwks: JwksCache::new(rewrites.clone()),
        }
    }

    /// The caller by a token. Cookies hold tokens of ours; programs hold those of the application, or of the configured issuer if there
    /// is one.
    pub async fn caller(&self, token: &str, by_cookie: bool) -> Result<Caller, Problem> {
        let caller = if by_cookie {
            let (issued, key) = self.issued(Use::Cookie, token).await?;
            // It follows from the token under the key that signed it, so there is nothing to store, and it stays the same while keys are
            // replaced.
            let csrf = mac(&key, &["csrf\n", token]).ok_or_else(Problem::internal)?;
            let csrf = URL_SAFE_NO_PAD.encode(csrf).into();
            let session = Some(BrowserSession { csrf, began_at: issued.issued_at });
            Caller { user_id: issued.sub, admin: issued.admin, actor: issued.actor, session }
        } else {
            let Claims { sub, admin, actor, .. } = self.claims(token).await?;
            Caller { user_id: sub, admin, actor, session: None }
        };
        if let Some(actor) = &caller.actor {
            tracing::info!(actor, "another party acts for the user");
        }
        Ok(caller)
    }

    /// What a valid token of the application, or of the configured issuer, says.
    pub async fn claims(&self, token: &str) -> Result<Claims, Problem> {
        let now = clock::now();
        let Some(issuer) = &self.issuer else {
            return self.by_keys(|keys| keys.verify(token, &self.admin, now)).await;
        };
        let keys =
            self.jwks.for_token(&issuer.jwks_url, token, now).await.map_err(|error| failed(&error.diagnosis()))?;
        foreign(&keys, issuer, &self.admin, token, now).ok_or_else(Problem::unauthenticated)
    }

    /// A token of ours.
    pub async fn issue(&self, r#use: Use, issued: &Issued) -> Result<String, Problem> {
        let keys = self.keys.get("session", Freshness::Cached, clock::now()).await.map_err(|error| internal(&error))?;
        keys.issue(r#use, issued).ok_or_else(Problem::internal)
    }

    /// What a valid token of ours says, and the key that signed it.
    pub async fn issued(&self, r#use: Use, token: &str) -> Result<(Issued, SecretSlice<u8>), Problem> {
        let now = clock::now();
        self.by_keys(|keys| keys.issued(r#use, token, now)).await
    }

    /// Names for `text` that only a holder of the session keys can link to it: a hash under each key in force, the current one
    /// first. `purpose` keeps the names of one use apart from those of another.
    ///
    /// A name lasts as long as its key: once a former key is removed, what was named under it is no longer found.
    pub async fn pseudonyms(&self, purpose: &str, text: &str) -> Result<Vec<String>, Problem> {
        let keys = self.keys.get("session", Freshness::Cached, clock::now()).await.map_err(|error| internal(&error))?;
        keys.pseudonyms(purpose, text).ok_or_else(Problem::internal)
    }

    /// What `read` makes of a token under the session keys.
    ///
    /// An unknown key makes the cache read the keys again once, so that they can be replaced.
    async fn by_keys<T>(&self, read: impl Fn(&Keys) -> Option<T>) -> Result<T, Problem> {
        for freshness in [Freshness::Cached, Freshness::Reread] {
            let keys = self.keys.get("session", freshness, clock::now()).await.map_err(|error| internal(&error))?;
            if let Some(found) = read(&keys) {
                return Ok(found);
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
