//! What may be accepted as JSON from strangers, and how it travels through a queue.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// The deepest nesting that is accepted. Far beyond any provider's events, and safe for every reader behind the queue.
const MAX_DEPTH: u32 = 128;

/// Why bytes are not acceptable JSON.
#[derive(Debug, thiserror::Error)]
pub enum NotJson {
    /// The bytes are not UTF-8, which RFC 8259 §8.1 requires.
    #[error("the body is not UTF-8")]
    NotUtf8(#[from] std::str::Utf8Error),
    /// A syntax error, or nesting over 128 levels.
    #[error("the body is not JSON this reads (syntax, or nested over {MAX_DEPTH} levels)")]
    Syntax(#[from] serde_json::Error),
}

/// Returns `body` as text if it is one complete JSON value, nested at most 128 levels deep.
///
/// Every level is visited, so that the limit holds: skipping a value would leave it to the reader behind the queue.
pub fn check(body: &[u8]) -> Result<&str, NotJson> {
    let text = std::str::from_utf8(body)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // serde_json's own limit refuses 128 already; `Visit` counts instead.
    deserializer.disable_recursion_limit();
    Visit { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
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

/// How many bytes `text` takes inside a text of JSON, as `serde_json` writes it.
pub fn escaped_len(text: &str) -> usize {
    let more = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
        0x00..0x20 => 5,
        _ => 0,
    });
    text.len() + more.sum::<usize>()
}

/// Walks through a JSON value and keeps nothing.
#[derive(Clone, Copy)]
struct Visit {
    depth: u32,
}

impl Visit {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom("nested too deep"));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Visit {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Visit {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while map.next_key_seed(inner)?.is_some() {
            map.next_value_seed(inner)?;
        }
        Ok(())
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
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check(nested(128).as_bytes()).is_ok());
        let deep_closed = nested(129);
        for body in ["", "{", "{} x", "{\"a\":1e400}", "\u{feff}{}", "\"\\ud802\"", "nul", &deep, &deep_closed] {
            assert!(check(body.as_bytes()).is_err(), "accepted {body:.20}");
        }
        assert!(matches!(check(b"\"\xff\""), Err(NotJson::NotUtf8(_))));
    }

    #[test]
    fn the_length_inside_a_text_is_what_is_written() {
        let all: String = (0..0x180).filter_map(char::from_u32).collect();
        for text in ["", "plain", "\"\\\n", "😀\u{feff}", &all] {
            assert_eq!(escaped_len(text) + 2, serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
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
