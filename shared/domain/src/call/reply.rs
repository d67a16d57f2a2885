//! What a provider answered.

use std::fmt;

use http::HeaderMap;
use serde::de::DeserializeOwned;

/// What a provider answered.
#[derive(Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// The bytes, without a transfer or content coding.
    pub body: Vec<u8>,
}

/// A successful answer that is not what the provider documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider's answer is not what it documents ({0})")]
pub struct Unreadable(pub &'static str);

/// Bodies can hold tokens: RFC 6749 §5.1.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

impl Reply {
    /// Whether the status says that it worked. The body may still say otherwise: see [`Api::meaning`](super::Api::meaning).
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON of this shape. The parser's own words could quote the body, so they are left out.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Unreadable> {
        serde_json::from_slice(&self.body).map_err(|_| Unreadable("its JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Request;

    #[test]
    fn neither_requests_nor_replies_show_what_they_carry() {
        let request =
            Request::post("x", "https://a/b").query([("token", "T-1")]).form([("code", "T-2")]).header("h", "T-3");
        let reply = Reply { status: 200, headers: HeaderMap::new(), body: b"T-4".to_vec() };
        let shown = format!("{request:?} {reply:?}");
        assert!(!shown.contains("T-"), "{shown}");
    }
}
