//! A call before it is made.
//!
//! *Invariant:* a URL is built here, segment by segment; nothing here is sent.

use std::{borrow::Cow, fmt};

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// What stands in a path segment as it is: RFC 3986 §2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A call that is not made yet. The sender adds the credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Names the call in logs and counters: a template, never with ids or queries in it.
    pub endpoint: Cow<'static, str>,
    pub method: Method,
    /// The method that one of the headers names in place of `method`, where the provider honours that.
    pub method_override: Option<Method>,
    /// The absolute URL, with its query.
    pub url: String,
    /// Headers besides the credential and the content type.
    pub headers: Vec<(String, String)>,
    /// The body and its content type.
    pub body: Option<(String, Vec<u8>)>,
    /// Whether it may be sent again.
    pub idempotent: Idempotent,
}

/// Whether a call may be sent again when it is unknown whether it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotent {
    /// It changes nothing, or the same when repeated.
    Yes,
    /// Only when it was surely not carried out.
    No,
}

/// Queries, headers and bodies can hold personal data and secrets, so `Debug` shows none of them.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Request {
    /// A call that reads.
    pub fn get(endpoint: impl Into<Cow<'static, str>>, url: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            method: Method::GET,
            method_override: None,
            url: url.into(),
            headers: Vec::new(),
            body: None,
            idempotent: Idempotent::Yes,
        }
    }

    /// A call that changes something.
    pub fn post(endpoint: impl Into<Cow<'static, str>>, url: impl Into<String>) -> Self {
        Self { method: Method::POST, idempotent: Idempotent::No, ..Self::get(endpoint, url) }
    }

    /// The method by which the provider carries it out: the one that limits count.
    pub fn effective_method(&self) -> &Method {
        self.method_override.as_ref().unwrap_or(&self.method)
    }

    /// With these query parameters.
    #[must_use]
    pub fn query<'q>(mut self, pairs: impl IntoIterator<Item = (&'q str, &'q str)>) -> Self {
        let query = form(pairs);
        if !query.is_empty() {
            self.url.push(if self.url.contains('?') { '&' } else { '?' });
            self.url.push_str(&query);
        }
        self
    }

    /// With a body of JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        Self { body: Some(("application/json; charset=utf-8".into(), body.to_string().into_bytes())), ..self }
    }

    /// With a form as body.
    #[must_use]
    pub fn form<'q>(self, pairs: impl IntoIterator<Item = (&'q str, &'q str)>) -> Self {
        Self { body: Some(("application/x-www-form-urlencoded".into(), form(pairs).into_bytes())), ..self }
    }

    /// With this header besides; one of the same name stays.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Repeating it changes nothing more.
    #[must_use]
    pub fn idempotent(self) -> Self {
        Self { idempotent: Idempotent::Yes, ..self }
    }
}

/// A form, or a query.
pub fn form<'q>(pairs: impl IntoIterator<Item = (&'q str, &'q str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A path segment, percent-encoded. Dots alone would climb, percent-encoded ones too, so those are encoded twice: nothing is
/// called that. See <https://url.spec.whatwg.org/#double-dot-path-segment>.
pub fn segment(text: &str) -> Cow<'_, str> {
    match text {
        "." => Cow::Borrowed("%252E"),
        ".." => Cow::Borrowed("%252E%252E"),
        _ => utf8_percent_encode(text, SEGMENT).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_path_separator_can_not_become_one() {
        assert_eq!(
            segment("en.usa#holiday@group.v.calendar.google.com"),
            "en.usa%23holiday%40group.v.calendar.google.com"
        );
        assert_eq!(
            [segment(".."), segment("."), segment("a/b"), segment("a b?")],
            ["%252E%252E", "%252E", "a%2Fb", "a%20b%3F"]
        );
    }
}
