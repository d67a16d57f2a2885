//! The keys of session tokens: they sign, they verify, and they make pseudonyms.
//!
//! *Invariant:* every key in force verifies, so that a key can be replaced while sessions last; the first one signs.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use domain::{oauth::jwt::verify_hmac, secret};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::Deserialize;
use sha2::Sha256;

use crate::{
    aws::{UnusableSecret, secrets::Stored},
    runtime::session::claims::{Claims, Expected, Unchecked},
};

/// The keys of `{prefix}/session`: all verify.
#[derive(Debug)]
pub struct Keys(pub(super) Vec<SecretSlice<u8>>);

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

/// An unusable key is an error: without it, every session token would be refused, and no log would say why.
fn decode(field: &'static str, key: &SecretString) -> Result<SecretSlice<u8>, UnusableSecret> {
    let key = secret::read(key.expose_secret()).map_err(|source| UnusableSecret::Value { field, source })?;
    let key = STANDARD.decode(key).ok().filter(|key| key.len() >= MIN_KEY);
    key.map(SecretSlice::from).ok_or(UnusableSecret::Key { field, least: MIN_KEY })
}

impl Keys {
    /// What a token of the application says; `None` if none of the keys signed it, or it is not valid now.
    pub(super) fn verify(&self, token: &str, admin: &Expected, now: Timestamp) -> Option<Claims> {
        let signed = |key| verify_hmac::<Unchecked>(token, SecretSlice::expose_secret(key));
        self.0.iter().find_map(signed)?.valid(admin, now)
    }

    pub(super) fn pseudonyms(&self, purpose: &str, text: &str) -> Option<Vec<String>> {
        self.0.iter().map(|key| mac(key, &[purpose, "\n", text]).map(hex::encode)).collect()
    }
}

/// Mints a token: what the application does, for `cargo local token` and tests.
pub fn mint(key: &SecretString, user_id: &str, role: Option<&str>, expires_at: Timestamp) -> Option<String> {
    let key = decode("key", key).ok()?;
    // Its own name each, so that one for the browser's form is accepted once.
    let id = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let mut claims = serde_json::json!({ "sub": user_id, "exp": expires_at.as_second(), "jti": id });
    if let Some(role) = role {
        claims["role"] = role.into();
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(mac(&key, &[&message])?);
    Some(format!("{message}.{signature}"))
}

pub(super) fn mac(key: &SecretSlice<u8>, parts: &[&str]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret()).ok()?;
    for part in parts {
        mac.update(part.as_bytes());
    }
    Some(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::session::issued::{Issued, Use};

    const NOW: i64 = 1_700_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn key(byte: u8) -> SecretString {
        STANDARD.encode([byte; 32]).into()
    }

    fn admin() -> Expected {
        Expected { claim: "role".to_owned(), value: "admin".to_owned() }
    }

    fn keys() -> Keys {
        Keys::of(StoredKeys { key: key(1), previous: vec![key(2)] }).unwrap()
    }

    #[test]
    fn a_token_of_any_current_key_names_its_user_and_role() {
        for (key, role) in [(key(1), None), (key(2), Some("admin"))] {
            let token = mint(&key, "user-1", role, at(NOW + 60)).unwrap();
            let keys = keys();
            let claims = keys.verify(&token, &admin(), at(NOW)).unwrap();
            assert_eq!((claims.sub.as_str(), claims.admin), ("user-1", role.is_some()));
        }
    }

    #[test]
    fn expired_foreign_and_tampered_tokens_name_nobody() {
        let good = mint(&key(1), "u", None, at(NOW + 60)).unwrap();
        assert!(keys().verify(&good, &admin(), at(NOW + 120)).is_none(), "expired");
        let foreign = mint(&key(3), "u", None, at(NOW + 60)).unwrap();
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1IiwiZXhwIjo5OTk5OTk5OTk5fQ.";
        for token in [&foreign, none, "", "a.b.c", &good[..good.len() - 2]] {
            assert!(keys().verify(token, &admin(), at(NOW)).is_none(), "{token}");
        }
        assert!(keys().verify(&mint(&key(1), "", None, at(NOW + 60)).unwrap(), &admin(), at(NOW)).is_none());
    }

    #[test]
    fn a_token_of_ours_serves_its_own_use_alone_and_outlives_the_replacement_of_its_key() {
        let program = mint(&key(1), "u", Some("admin"), at(NOW + 60)).unwrap();
        let claims = keys().verify(&program, &admin(), at(NOW)).unwrap();
        let issued = Issued::new(&claims, at(NOW), at(NOW + 60)).unwrap();
        let [cookie, code] = [Use::Cookie, Use::Code].map(|of| keys().issue(of, &issued).unwrap());
        for (token, of) in [(&cookie, Some(Use::Cookie)), (&code, Some(Use::Code)), (&program, None)] {
            for r#use in [Use::Cookie, Use::Code] {
                assert_eq!(keys().issued(r#use, token, at(NOW)).is_some(), of == Some(r#use), "{of:?} as {use:?}");
            }
            assert_eq!(keys().verify(token, &admin(), at(NOW)).is_some(), of.is_none(), "{of:?} as a program's");
        }
        let rotated = Keys::of(StoredKeys { key: key(3), previous: vec![key(1)] }).unwrap();
        let (kept, _) = rotated.issued(Use::Cookie, &cookie, at(NOW)).unwrap();
        assert_eq!((kept.sub.as_str(), kept.admin, kept.issued_at), ("u", true, at(NOW)));
        assert!(rotated.issued(Use::Cookie, &cookie, at(NOW + 60)).is_none(), "its end has come");
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
}
