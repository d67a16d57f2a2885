//! Headers and bodies of strangers through [`UnverifiedDelivery::verify`], for every proof that there is.
//!
//! Beside an input's own headers stand `{NAME}`, which becomes the genuine value of header NAME, and `{NAME:upper}`, the same
//! in upper case. The header `clock` says how many seconds after signing it arrives, `claims` what an identity token says,
//! and `jwks` which keys its issuer publishes.

#![no_main]

use std::{borrow::Cow, slice, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Proof, Rejection, Scheme, UnverifiedDelivery, VerifiedDelivery, oauth::jwt::Jwks, webhook::{proof::{ChannelOwner, ChannelToken, VerificationContext}, signature::{Encoding, SecretEncoding, SignedPart, standard_webhooks}}};
use fuzz::{NOW, headers, split};
use http::HeaderMap;
use jiff::SignedDuration;
use libfuzzer_sys::fuzz_target;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use secrecy::SecretString;
use serde_json::json;

/// Both are keys for every scheme; the second signs nothing.
const SECRETS: [&str; 2] = ["c2VjcmV0", "b3RoZXJz"];
const AUDIENCE: &str = "https://intertie.example/webhooks/gmail";
const EMAIL: &str = "push@project.iam.gserviceaccount.com";

/// Schemes of the same language that no provider here has.
const OTHERS: [Scheme; 2] = [
    Scheme {
        header: "x-hub-signature-256",
        separator: None,
        prefix: "sha256=",
        encoding: Encoding::Hex,
        key: SecretEncoding::Text,
        content: &[SignedPart::Body],
        time: None,
    },
    standard_webhooks::SCHEME,
];

struct Issuer {
    key: EcdsaKeyPair,
    jwks: Jwks,
}

static ISSUERS: LazyLock<[Issuer; 2]> = LazyLock::new(|| [(); 2].map(|()| issuer()));

fn issuer() -> Issuer {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
    // An uncompressed point: 4, then both coordinates.
    let [x, y] = [1..33, 33..65].map(|part| URL_SAFE_NO_PAD.encode(&key.public_key().as_ref()[part]));
    let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "x": x, "y": y}]});
    Issuer { key, jwks: serde_json::from_value(jwks).unwrap() }
}

/// The headers that prove a delivery. `asked` tells whether the input has a place for any.
fn genuine(
    proof: &Proof,
    given: &HeaderMap,
    body: &[u8],
    secret: &SecretString,
    asked: bool,
) -> Vec<(&'static str, String)> {
    let text = |name: &str| given.get(name).and_then(|value| value.to_str().ok());
    match proof {
        Proof::Signature(scheme) => scheme.sign(given, body, secret, NOW).unwrap_or_default(),
        Proof::ChannelToken(token) => {
            let owner = ChannelOwner { integration_id: format!("int_{:032}", 1).parse().unwrap(), account: "ada@example.com".parse().unwrap() };
            let channel = text(token.channel).unwrap_or("c1");
            ChannelToken::mint(slice::from_ref(secret), channel, &owner)
                .map(|it| (token.token, it))
                .into_iter()
                .collect()
        }
        // Costs more than all the rest.
        Proof::IdToken(_) if !asked => Vec::new(),
        Proof::IdToken(token) => {
            let usual = || {
                json!({"iss": token.issuers[0], "aud": AUDIENCE, "email": EMAIL, "email_verified": true,
                    "exp": NOW.as_second()})
                .to_string()
            };
            let claims = text("claims").map_or_else(usual, str::to_owned);
            let parts = [r#"{"alg":"ES256","kid":"k"}"#, &claims].map(|part| URL_SAFE_NO_PAD.encode(part));
            let signed = parts.join(".");
            let signature = ISSUERS[0].key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            vec![("authorization", format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature)))]
        }
    }
}

/// The lines with genuine values in place of their names; the second tells whether there was one.
fn filled<'a>(lines: &[&'a [u8]], genuine: &[(&'static str, String)]) -> (Vec<Cow<'a, [u8]>>, bool) {
    let mut found = false;
    let lines = lines.iter().map(|line| {
        let Ok(text) = std::str::from_utf8(line) else { return Cow::Borrowed(*line) };
        let mut text = Cow::Borrowed(text);
        for (name, value) in genuine {
            for (mark, value) in
                [(format!("{{{name}}}"), Cow::Borrowed(value)), (format!("{{{name}:upper}}"), Cow::Owned(upper(value)))]
            {
                if text.contains(&mark) {
                    found = true;
                    text = Cow::Owned(text.replace(&mark, &value));
                }
            }
        }
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }
    });
    (lines.collect(), found)
}

/// What follows the last `=` in upper case: hexadecimal signatures, that is.
fn upper(value: &str) -> String {
    let (before, after) = value.split_at(value.rfind('=').map_or(0, |at| at + 1));
    before.to_owned() + &after.to_uppercase()
}

struct Case<'a> {
    proof: &'a Proof,
    seconds: i64,
}

impl Case<'_> {
    fn verify<'b>(
        &self,
        headers: &'b HeaderMap,
        body: &'b [u8],
        secret: &str,
        jwks: &Jwks,
    ) -> Result<VerifiedDelivery<'b>, Rejection> {
        let secrets = [SecretString::from(secret)];
        let material = VerificationContext { secrets: &secrets, jwks: Some(jwks), audience: Some(AUDIENCE), email: Some(EMAIL) };
        let now = NOW + SignedDuration::from_secs(self.seconds);
        UnverifiedDelivery { headers, body }.verify(self.proof, &material, now)
    }
}

fuzz_target!(|input: &[u8]| {
    let (lines, body) = split(input);
    let given = headers(lines.iter().copied());
    let text = |name: &str| given.get(name).and_then(|value| value.to_str().ok());
    let seconds = text("clock").and_then(|text| text.parse::<i16>().ok()).unwrap_or_default().into();
    let asked = input.contains(&b'{');
    let [right, wrong] = SECRETS;
    let [issuer, stranger] = &*ISSUERS;
    let proofs = providers::REGISTRY.iter().filter_map(|provider| provider.spec().webhook);
    for proof in proofs.chain(OTHERS.map(Proof::Signature)) {
        let case = Case { proof: &proof, seconds };
        let proved = genuine(&proof, &given, body, &right.into(), asked);
        let (lines, placed) = filled(&lines, &proved);
        let sent = headers(lines.iter().map(|line| &**line));

        assert!(case.verify(&sent, body, wrong, &stranger.jwks).is_err(), "verified under a wrong secret");
        assert!(case.verify(&sent, body, "", &stranger.jwks).is_err(), "verified without a secret");
        if let Some(jwks) = text("jwks").and_then(|text| serde_json::from_str(text).ok()) {
            let _ = case.verify(&sent, body, right, &jwks);
        }
        if let Ok(delivery) = case.verify(&sent, body, right, &issuer.jwks) {
            assert!(placed, "verified without the secret");
            let _ = delivery.json();
            if let Proof::Signature(scheme) = &proof {
                assert!(scheme.time.is_none() || seconds.abs() <= 300, "verified at a wrong time");
                let mut altered = body.to_vec();
                match altered.last_mut() {
                    Some(last) => *last ^= 1,
                    None => altered.push(0),
                }
                assert!(case.verify(&sent, &altered, right, &issuer.jwks).is_err(), "verified another body");
            }
        }

        // The genuine headers alone.
        let Proof::Signature(scheme) = &proof else { continue };
        let mut alone = given.clone();
        for (name, value) in &proved {
            alone.insert(*name, value.parse().unwrap());
        }
        let expected = if scheme.time.is_none() || seconds.abs() <= 300 { Ok(()) } else { Err(Rejection::Stale) };
        if !proved.is_empty() {
            assert_eq!(case.verify(&alone, body, right, &issuer.jwks).map(drop), expected, "{}", scheme.header);
        }
    }
});
