//! The keys with which Google signs.
//!
//! The signing key beside this file is committed: making an RSA key takes seconds in a debug build. It is harmless, as
//! nothing trusts it but a verifier that was told to take its keys from the sandbox, on this machine.

use std::sync::Arc;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::SystemRandom,
    rsa::{KeyPair, PublicKeyComponents},
    signature::RSA_PKCS1_SHA256,
};
use serde_json::{Value, json};

const KEY: &str = include_str!("signing-key.pem");
const KEY_ID: &str = "sandbox-1";

#[derive(Clone)]
pub(super) struct Signer(Arc<KeyPair>);

impl Signer {
    /// An error says that the committed key is none.
    pub(super) fn new() -> Result<Self, std::io::Error> {
        let encoded: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(encoded).map_err(std::io::Error::other)?;
        let key = KeyPair::from_pkcs8(&der).map_err(|rejected| std::io::Error::other(rejected.to_string()))?;
        Ok(Self(Arc::new(key)))
    }

    /// The public keys, as a JSON Web Key Set.
    pub(super) fn keys(&self) -> Value {
        let public: PublicKeyComponents<Vec<u8>> = self.0.public().into();
        let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
        json!({ "keys": [{ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": KEY_ID, "n": n, "e": e }] })
    }

    /// A JWT of these claims, RS256. It is empty only if the random source of the system fails.
    pub(super) fn jwt(&self, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "kid": KEY_ID, "typ": "JWT" });
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.0.public().modulus_len()];
        match self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature) {
            Ok(()) => format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)),
            Err(_) => String::new(),
        }
    }
}
