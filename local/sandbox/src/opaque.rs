//! Texts without a meaning to clients: ids, tokens, cursors.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// `length` random letters and digits, 64 at most.
pub(super) fn random(length: usize) -> String {
    let mut text = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    text.truncate(length);
    text
}

/// `length` random capitals and digits.
pub(super) fn capitals(length: usize) -> String {
    random(length).to_uppercase()
}

/// A cursor that carries `value`.
pub(super) fn seal(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// The value in a cursor; none if it is no cursor.
pub(super) fn open(cursor: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

/// Distinguishes tokens in lists without showing them.
pub(super) fn fingerprint(token: &str) -> String {
    hex::encode(Sha256::digest(token)).chars().take(6).collect()
}

/// The PKCE challenge (S256, RFC 7636) of a verifier.
pub(super) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}
