//! What a session token claims, and whether that is valid.
//!
//! *Invariant:* a token of another issuer is for the configured audience, or it is refused (RFC 7519 §4.1.3).

use domain::{UserId, oauth::jwt::Jwks};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

/// How far the clocks of the signer and of this function may differ: RFC 7519 §4.1.4 and §4.1.5 allow "no more than a few minutes".
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// The longest name of an actor, in bytes: with it, a session must fit into a cookie.
const MAX_ACTOR: usize = 255;
/// Claims whose meaning RFC 7519 and RFC 8693 fix: none of them can be the claim of the administrator or of the audience.
pub(super) const FIXED: [&str; 6] = ["sub", "exp", "nbf", "jti", "iss", "act"];

/// What a valid token says.
#[derive(Debug, Clone)]
pub struct Claims {
    /// The user that the token speaks for.
    pub sub: UserId,
    /// Whether the user is an administrator.
    pub admin: bool,
    /// The party that acts for the user, if it is another one (`act.sub`, RFC 8693 §4.1).
    pub actor: Option<String>,
    /// The end of the token.
    pub expires_at: Timestamp,
    /// The token's id.
    pub jti: Option<String>,
}

/// The claims of a token, unchecked (RFC 7519 §4).
#[derive(Clone, Deserialize)]
pub(super) struct Unchecked {
    sub: UserId,
    #[serde(deserialize_with = "numeric_date")]
    exp: Timestamp,
    #[serde(default, deserialize_with = "optional_numeric_date")]
    nbf: Option<Timestamp>,
    jti: Option<String>,
    iss: Option<String>,
    act: Option<Actor>,
    /// The claims whose names are settings.
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Clone, Deserialize)]
struct Actor {
    sub: String,
}

/// Another issuer than ourselves.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    pub(super) jwks_url: String,
    pub(super) name: String,
    pub(super) audience: Expected,
}

/// A claim, and a value that it must equal, or contain if it is a list.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) claim: String,
    pub(super) value: String,
}

impl Expected {
    fn is_met(&self, claims: &Unchecked) -> bool {
        match claims.others.get(&self.claim) {
            Some(Value::String(text)) => *text == self.value,
            Some(Value::Array(list)) => list.iter().any(|it| it.as_str() == Some(&self.value)),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
        }
    }
}

impl Unchecked {
    /// The claims, if the token is valid now.
    pub(super) fn valid(self, admin: &Expected, now: Timestamp) -> Option<Claims> {
        let ends = self.exp.checked_add(LEEWAY).unwrap_or(Timestamp::MAX);
        let begins = self.nbf.map(|nbf| nbf.checked_sub(LEEWAY).unwrap_or(Timestamp::MIN));
        let is_named = self.act.as_ref().is_none_or(|act| (1..=MAX_ACTOR).contains(&act.sub.len()));
        (is_named && now < ends && begins.is_none_or(|begins| begins <= now)).then(|| Claims {
            admin: admin.is_met(&self),
            sub: self.sub,
            actor: self.act.map(|act| act.sub),
            expires_at: self.exp,
            jti: self.jti,
        })
    }
}

/// The claims of a valid token of another issuer.
pub(super) fn foreign(keys: &Jwks, issuer: &Issuer, admin: &Expected, token: &str, now: Timestamp) -> Option<Claims> {
    let claims: Unchecked = keys.verify(token)?;
    let is_issued = claims.iss.as_ref() == Some(&issuer.name);
    (is_issued && issuer.audience.is_met(&claims)).then(|| claims.valid(admin, now)).flatten()
}

/// Seconds since 1970, with or without a fraction: RFC 7519 §2, `NumericDate`.
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    let time = SignedDuration::try_from_secs_f64(seconds).map_err(D::Error::custom)?;
    Timestamp::UNIX_EPOCH.checked_add(time).map_err(D::Error::custom)
}

fn optional_numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    struct NumericDate(#[serde(deserialize_with = "numeric_date")] Timestamp);
    Ok(Option::<NumericDate>::deserialize(deserializer)?.map(|NumericDate(at)| at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn expected(claim: &str, value: &str) -> Expected {
        Expected { claim: claim.to_owned(), value: value.to_owned() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn read(mut claims: Value) -> Option<Claims> {
        if claims["sub"].is_null() {
            claims["sub"] = "u".into();
        }
        serde_json::from_value::<Unchecked>(claims).ok()?.valid(&expected("role", "admin"), at(NOW))
    }

    #[test]
    fn times_are_numbers_with_or_without_a_fraction_and_clocks_may_differ_by_a_minute() {
        assert_eq!(read(json!({ "exp": NOW + 10 })).unwrap().expires_at, at(NOW + 10));
        let fraction = read(json!({ "exp": 1_700_000_000.25 })).unwrap();
        assert_eq!(fraction.expires_at.as_millisecond(), NOW * 1_000 + 250);
        for (claims, valid) in [
            (json!({ "exp": NOW - 59 }), true),
            (json!({ "exp": NOW - 60 }), false),
            (json!({ "exp": NOW + 10, "nbf": NOW + 60 }), true),
            (json!({ "exp": NOW + 10, "nbf": 1_700_000_060.5 }), false),
            (json!({ "exp": NOW + 10, "nbf": null }), true),
            (json!({ "exp": i64::MAX }), false),
            (json!({ "exp": 1e300 }), false),
            (json!({ "exp": (NOW + 10).to_string() }), false),
            (json!({ "exp": null }), false),
            (json!({}), false),
        ] {
            assert_eq!(read(claims.clone()).is_some(), valid, "{claims}");
        }
    }

    #[test]
    fn an_administrator_is_told_by_a_claim_that_equals_or_contains_the_value() {
        let exp = NOW + 10;
        for (claims, admin) in [
            (json!({ "exp": exp, "role": "admin" }), true),
            (json!({ "exp": exp, "role": ["user", "admin"] }), true),
            (json!({ "exp": exp, "role": "administrator" }), false),
            (json!({ "exp": exp, "role": ["admins"] }), false),
            (json!({ "exp": exp, "role": { "admin": true } }), false),
            (json!({ "exp": exp, "groups": ["admin"] }), false),
        ] {
            assert_eq!(read(claims.clone()).unwrap().admin, admin, "{claims}");
        }
        let groups = serde_json::from_value::<Unchecked>(json!({ "sub": "u", "exp": exp, "cognito:groups": ["ops"] }));
        assert!(groups.unwrap().valid(&expected("cognito:groups", "ops"), at(NOW)).unwrap().admin);
    }

    #[test]
    fn the_actor_is_the_subject_of_the_claim_act() {
        let claims = read(json!({ "exp": NOW + 10, "sub": "acme-inc", "act": { "sub": "ada" } })).unwrap();
        assert_eq!((claims.sub.as_str(), claims.actor.as_deref()), ("acme-inc", Some("ada")));
        assert!(read(json!({ "exp": NOW + 10, "act": "ada" })).is_none(), "RFC 8693 has an object there");
    }
}
