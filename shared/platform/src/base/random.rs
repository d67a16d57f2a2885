//! Random handles for cookies and URLs.
//!
//! *Invariant:* they come from the operating system's cryptographic generator, so they can't be guessed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};

/// 256 random bits as 43 characters for URLs and cookies. `None` if the system has no randomness.
pub fn handle() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether a text could be such a handle.
pub fn is_handle(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
