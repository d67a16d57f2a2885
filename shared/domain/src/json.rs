//! What may be accepted as JSON from strangers, and how it travels through a queue.

use std::{borrow::Cow, fmt, fmt::Write as _};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Why bytes are not acceptable JSON.
#[derive(Debug, thiserror::Error)]
pub enum NotJson {
    /// The bytes are not UTF-8, which RFC 8259 §8.1 requires.
    #[error("the body is not UTF-8")]
    NotUtf8(#[from] std::str::Utf8Error),
    /// A syntax error, or nesting over `serde_json`'s limit of 128 levels.
    #[error("the body is not JSON this reads (syntax, or nested over 128 levels): {0}")]
    Syntax(#[from] serde_json::Error),
}

/// Returns `body` as text if it is one complete JSON value, nested at most 128 levels deep.
///
/// Every level is visited, so that the depth limit holds: serde's `IgnoredAny` would skip it and the
/// reader behind the queue would be the one to fail.
pub fn check(body: &[u8]) -> Result<&str, NotJson> {
    let text = std::str::from_utf8(body)?;
    serde_json::from_str::<Visited>(text)?;
    Ok(text)
}

/// Escapes everything outside printable ASCII as `\uXXXX`.
///
/// `text` must be valid JSON: such characters then stand only inside strings, so the value stays the same.
/// SQS refuses some characters (U+FFFE, U+FFFF) for ever, which would turn one hostile body into endless retries.
pub fn ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.contains('\u{7f}') {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + text.len() / 4);
    for c in text.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String can't fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(escaped)
}

/// A JSON value that was walked through and not kept.
struct Visited;

impl<'de> Deserialize<'de> for Visited {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visited)
    }
}

impl<'de> Visitor<'de> for Visited {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_ordinary_values_and_returns_them_untouched() {
        for text in ["{}", "[1,2.5,-3,true,null]", " {\"a\":{\"b\":\"\\u00e9\"}}\n", "null", "\"x\""] {
            assert_eq!(check(text.as_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn refuses_what_a_later_reader_could_not_read() {
        let deep = "[".repeat(100_000);
        let deep_closed = format!("{}{}", "[".repeat(129), "]".repeat(129));
        for body in ["", "{", "{} x", "{\"a\":1e400}", "\u{feff}{}", "\"\\ud802\"", "nul", &deep, &deep_closed] {
            assert!(check(body.as_bytes()).is_err(), "accepted {body:.20}");
        }
        assert!(matches!(check(b"\"\xff\""), Err(NotJson::NotUtf8(_))));
    }

    #[test]
    fn escaping_keeps_the_value_and_leaves_only_ascii() {
        let text = "{\"naïve\":\"😀\u{ffff}\u{7f}\"}";
        let escaped = ascii(text);
        assert!(escaped.bytes().all(|b| (0x20..0x7f).contains(&b)), "{escaped}");
        let value = |t: &str| serde_json::from_str::<serde_json::Value>(t).unwrap();
        assert_eq!(value(&escaped), value(text));
        assert!(matches!(ascii("{\"plain\":1}"), Cow::Borrowed(_)));
    }
}
