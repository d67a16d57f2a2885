//! How a provider proves that it sent a delivery: a signature, a token of ours that it returns, or a token of its own.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::{
    id::is_segment,
    id::{AccountId, IntegrationId},
    oauth::jwt::Jwks,
    webhook::{Rejection, signature::Scheme},
};

/// The proof that a provider gives.
#[derive(Debug, Clone, Copy)]
pub enum Proof {
    /// A signature over the body.
    Signature(Scheme),
    /// The token that we gave it for a channel, in a header. The body proves nothing and is not read.
    ChannelToken(ChannelToken),
    /// An `OpenID` Connect token of its own.
    IdToken(IdToken),
}

/// A push channel's token: a MAC of ours that binds it to channel, integration and account, so that no lookup is needed.
#[derive(Debug, Clone, Copy)]
pub struct ChannelToken {
    /// The header with the token.
    pub token: &'static str,
    /// The header with the channel's id.
    pub channel: &'static str,
    /// Headers that become the delivery's body, with the names they get in it.
    pub forwarded_headers: &'static [(&'static str, &'static str)],
}

/// An `OpenID` Connect token in the `Authorization` header.
#[derive(Debug, Clone, Copy)]
pub struct IdToken {
    /// The issuers that are accepted: the claim `iss`.
    pub issuers: &'static [&'static str],
    /// Where the issuer publishes its keys.
    pub jwks: &'static str,
}

/// What proofs are checked against.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerificationContext<'a> {
    /// The app's webhook secrets: all verify.
    pub secrets: &'a [SecretString],
    /// The keys that the issuer publishes; an ID token is refused without them.
    pub jwks: Option<&'a Jwks>,
    /// The claim `aud` that the token must have.
    pub audience: Option<&'a str>,
    /// The claim `email` that the token must have: the address of the service account that sends.
    pub email: Option<&'a str>,
}

/// The integration that opened a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelOwner {
    /// The integration that the reports on the channel are for.
    pub integration_id: IntegrationId,
    /// Its account at the provider.
    pub account: AccountId,
}

/// Clocks may differ by this much, in seconds.
const LEEWAY: i64 = 60;

impl ChannelToken {
    /// The token for a channel. `None` without a secret.
    pub fn mint(secrets: &[SecretString], channel_id: &str, owner: &ChannelOwner) -> Option<String> {
        let payload = URL_SAFE_NO_PAD.encode(format!("{}|{}", owner.integration_id, owner.account));
        let mac = mac(secrets.first()?, channel_id, &payload)?.finalize().into_bytes();
        Some(format!("{payload}.{}", URL_SAFE_NO_PAD.encode(mac)))
    }

    /// The body of a genuine delivery: the headers that it carries, and the integration and account of its channel.
    pub(crate) fn verify(&self, headers: &HeaderMap, material: &VerificationContext<'_>) -> Result<Value, Rejection> {
        let text = |name| headers.get(name).map(|value| value.to_str().map_err(|_| Rejection::Malformed));
        if material.secrets.iter().all(|secret| secret.expose_secret().is_empty()) {
            return Err(Rejection::NoSecret);
        }
        let token = text(self.token).ok_or(Rejection::Missing)??;
        let channel_id = text(self.channel).ok_or(Rejection::Missing)??;
        let (payload, signature) = token.split_once('.').ok_or(Rejection::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Rejection::Malformed)?;
        let genuine = |secret| mac(secret, channel_id, payload).is_some_and(|mac| mac.verify_slice(&signature).is_ok());
        if !material.secrets.iter().any(genuine) {
            return Err(Rejection::Mismatch);
        }
        let owner = URL_SAFE_NO_PAD.decode(payload).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let owner = owner.as_deref().and_then(|owner| owner.split_once('|')).ok_or(Rejection::Malformed)?;
        let mut body = Map::from_iter([
            ("integration_id".to_owned(), json!(owner.0)),
            ("account".to_owned(), json!(owner.1)),
            ("channel_id".to_owned(), json!(channel_id)),
        ]);
        for (header, name) in self.forwarded_headers {
            if let Some(value) = text(header) {
                body.insert((*name).to_owned(), json!(value?));
            }
        }
        Ok(Value::Object(body))
    }
}

impl IdToken {
    pub(crate) fn verify(
        &self,
        headers: &HeaderMap,
        material: &VerificationContext<'_>,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        #[derive(Clone, Deserialize)]
        struct Claims {
            iss: String,
            aud: String,
            exp: i64,
            email: String,
            email_verified: bool,
        }
        let (Some(jwks), Some(audience), Some(email)) =
            (material.jwks, configured(material.audience), configured(material.email))
        else {
            return Err(Rejection::NoSecret);
        };
        let value = headers.get(header::AUTHORIZATION).ok_or(Rejection::Missing)?;
        let value = value.to_str().map_err(|_| Rejection::Malformed)?;
        let (scheme, token) = value.split_once(' ').ok_or(Rejection::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Rejection::Malformed);
        }
        let claims: Claims = jwks.verify(token).ok_or(Rejection::Mismatch)?;
        if claims.exp.saturating_add(LEEWAY) <= now.as_second() {
            return Err(Rejection::Stale);
        }
        let genuine = self.issuers.contains(&claims.iss.as_str())
            && claims.aud == audience
            && claims.email == email
            && claims.email_verified;
        if genuine { Ok(()) } else { Err(Rejection::Mismatch) }
    }
}

fn configured(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// Keyed by the app's secret and bound to its purpose, so that no other signature under that secret can stand in.
fn mac(secret: &SecretString, channel_id: &str, payload: &str) -> Option<Hmac<Sha256>> {
    let secret = secret.expose_secret();
    if secret.is_empty() || !is_segment(channel_id) {
        return None;
    }
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    Some(mac.chain_update("channel\n").chain_update(channel_id).chain_update("\n").chain_update(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: ChannelToken = ChannelToken {
        token: "x-token",
        channel: "x-channel",
        forwarded_headers: &[("x-number", "number"), ("x-state", "state")],
    };

    const ID: &str = "int_00000000000000000000000000000001";

    fn owner() -> ChannelOwner {
        ChannelOwner {
            integration_id: IntegrationId::parse(ID).unwrap(),
            account: AccountId::parse("ada@example.com").unwrap(),
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_channel_token_names_its_owner_and_fits_another_channel_or_secret_never() {
        let secrets = ["old".into(), "new".into()];
        let token = ChannelToken::mint(&secrets[1..], "c1", &owner()).unwrap();
        let verify = |secrets: &[SecretString], token: &str, channel: &str| {
            let headers = headers(&[("x-token", token), ("x-channel", channel), ("x-number", "7")]);
            TOKEN.verify(&headers, &VerificationContext { secrets, ..VerificationContext::default() })
        };
        let body = verify(&secrets, &token, "c1").unwrap();
        assert_eq!(
            (&body["integration_id"], &body["account"], &body["number"]),
            (&json!(ID), &json!("ada@example.com"), &json!("7"))
        );
        assert_eq!(verify(&secrets, &token, "c2"), Err(Rejection::Mismatch));
        assert_eq!(verify(&secrets[..1], &token, "c1"), Err(Rejection::Mismatch));
        assert_eq!(verify(&[], &token, "c1"), Err(Rejection::NoSecret));
        assert_eq!(verify(&secrets, "nonsense", "c1"), Err(Rejection::Malformed));
        let (_, signature) = token.split_once('.').unwrap();
        let other = URL_SAFE_NO_PAD.encode("int_2|ada@example.com");
        assert_eq!(verify(&secrets, &format!("{other}.{signature}"), "c1"), Err(Rejection::Mismatch));
    }

    #[test]
    fn a_channel_token_fits_into_what_providers_take() {
        let owner = ChannelOwner { account: AccountId::parse("a".repeat(100)).unwrap(), ..owner() };
        let token = ChannelToken::mint(&["s".into()], "c1", &owner).unwrap();
        assert!(token.len() <= 256, "{}", token.len());
    }

    #[test]
    fn without_a_configured_identity_no_token_of_the_provider_is_taken() {
        let token = IdToken { issuers: &["https://accounts.google.com"], jwks: "" };
        let empty = VerificationContext { audience: Some(""), email: Some(""), ..VerificationContext::default() };
        assert_eq!(token.verify(&headers(&[]), &empty, Timestamp::UNIX_EPOCH), Err(Rejection::NoSecret));
    }
}
