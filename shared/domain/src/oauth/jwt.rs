//! JSON Web Tokens: the signature only. What the claims must say, and when, is the caller's to check.
//!
//! *Invariant:* the kind of the key decides the algorithm, never the token, so a public key can't be used as an HMAC key.

use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, Validation,
    crypto::{CryptoProvider, JwkUtils, JwtVerifier},
    decode, decode_header,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, Jwk, JwkSet},
    signature::{Error as SignatureError, Verifier},
};
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::Sha256;

/// The public keys of an issuer, as it publishes them: RFC 7517 §5.
#[derive(Debug, Clone, Deserialize)]
pub struct Jwks(JwkSet);

/// The claims of a token signed with this HMAC key (HS256).
pub fn verify_hmac<T: DeserializeOwned + Clone>(token: &str, key: &[u8]) -> Option<T> {
    claims(token, &DecodingKey::from_secret(key), Algorithm::HS256)
}

impl Jwks {
    /// The claims of a token signed with one of the keys (RS256, ES256).
    pub fn verify<T: DeserializeOwned + Clone>(&self, token: &str) -> Option<T> {
        let jwk = self.key(token)?;
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(_) => Algorithm::ES256,
            AlgorithmParameters::OctetKey(_) | AlgorithmParameters::OctetKeyPair(_) => return None,
        };
        claims(token, &DecodingKey::from_jwk(jwk).ok()?, algorithm)
    }

    /// Whether the token's key is among these. If not, the issuer may have published a new one.
    pub fn knows(&self, token: &str) -> bool {
        self.key(token).is_some()
    }

    fn key(&self, token: &str) -> Option<&Jwk> {
        let id = decode_header(token).ok()?.kid;
        match id {
            Some(id) => self.0.find(&id),
            None if self.0.keys.len() == 1 => self.0.keys.first(),
            None => None,
        }
    }
}

fn claims<T: DeserializeOwned + Clone>(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Option<T> {
    // Fails only if it is installed already.
    let _ = PROVIDER.install_default();
    let mut validation = Validation::new(algorithm);
    // The library would read the clock itself.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims::<&str>(&[]);
    decode(token, key, &validation).ok().map(|data| data.claims)
}

/// HMAC as for webhooks and RSA and ECDSA as for TLS: the library's own choices bring a third stack.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| {
        let key = match (algorithm, key.kind()) {
            (Algorithm::HS256, _) => VerificationKey::Hmac(key.try_get_hmac_secret()?.to_vec()),
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                VerificationKey::Rsa { n: n.clone(), e: e.clone() }
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => VerificationKey::P256(point.clone()),
            _ => return Err(ErrorKind::InvalidAlgorithm.into()),
        };
        Ok(Box::new(key))
    },
    jwk_utils: JwkUtils::new_unimplemented(),
};

enum VerificationKey {
    Hmac(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
}

impl Verifier<Vec<u8>> for VerificationKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        match self {
            Self::Hmac(key) => {
                let mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| SignatureError::new())?;
                mac.chain_update(message).verify_slice(signature).map_err(|_| SignatureError::new())
            }
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .map_err(|_| SignatureError::new()),
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
                .map_err(|_| SignatureError::new()),
        }
    }
}

impl JwtVerifier for VerificationKey {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Hmac(_) => Algorithm::HS256,
            Self::Rsa { .. } => Algorithm::RS256,
            Self::P256(_) => Algorithm::ES256,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The key and token of RFC 7515 §A.2 and §A.3.
    const RSA: &str = r#"{"keys":[{"kty":"RSA","kid":"a","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}]}"#;
    const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    const EC: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    const EC_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    #[test]
    fn the_standards_own_tokens_verify_and_altered_ones_do_not() {
        for (keys, token) in [(RSA, RSA_TOKEN), (EC, EC_TOKEN)] {
            let keys: Jwks = serde_json::from_str(keys).unwrap();
            assert_eq!(keys.verify::<Value>(token).unwrap()["iss"], "joe");
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let altered = format!("{}A.{signature}", &signed[..signed.len() - 1]);
            assert!(keys.verify::<Value>(&altered).is_none());
            assert!(keys.verify::<Value>(&format!("{signed}.")).is_none());
        }
    }

    #[test]
    fn a_token_can_not_choose_its_algorithm() {
        let keys: Jwks = serde_json::from_str(RSA).unwrap();
        // {"alg":"HS256"} and {"alg":"none"}
        for header in ["eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJub25lIn0"] {
            assert!(keys.verify::<Value>(&format!("{header}.eyJpc3MiOiJqb2UifQ.c2ln")).is_none());
        }
        assert!(keys.verify::<Value>(EC_TOKEN).is_none());
        assert!(verify_hmac::<Value>(RSA_TOKEN, b"secret").is_none());
    }
}
