//! The form of identifiers: each kind is a type of its own, and a value of it exists only after its check.
//!
//! *Invariant:* an identifier is parsed where it enters (a path, a token, a message, a stored item, a provider's answer), and
//! deserialising is parsing. On the wire it is a plain string.

mod kinds;

pub use self::kinds::{AccountAddress, AccountId, CredentialName, IntegrationId, ProviderId, UserId};

/// A text that is no identifier of a kind. It never quotes the text, which can be personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {kind}: that is {form}")]
pub struct NotAnId {
    /// The kind with its article, such as "an event id".
    pub kind: &'static str,
    /// The form that texts of this kind have.
    pub form: &'static str,
}

/// The form that [`is_segment`] checks.
pub const SEGMENT: &str = "1 to 255 ASCII letters, digits and . _ : - @ + '";

/// The longest segment, in bytes; providers' own ids are far shorter.
const MAX_SEGMENT: usize = 255;

/// Whether a text can be one segment of a key: it can't imitate a separator (`#`, `|`, `/`, `!`) of any key here.
pub const fn is_segment(text: &str) -> bool {
    let (bytes, mut index) = (text.as_bytes(), 0);
    while index < bytes.len() {
        let byte = bytes[index];
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-' | b'@' | b'+' | b'\'')) {
            return false;
        }
        index += 1;
    }
    index >= 1 && index <= MAX_SEGMENT
}

/// A number that follows from a key, differs between keys, and is the same wherever it is computed.
pub fn spread(key: &str) -> u32 {
    key.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)))
}

/// Defines an identifier: its name, its kind and its form in words, and the check of that form.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $form:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(std::borrow::Cow<'static, str>);

        impl $name {
            /// Checks the text and keeps it as it is.
            pub fn parse(text: impl Into<String>) -> Result<Self, $crate::id::NotAnId> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text.into())) } else { Err($crate::id::NotAnId { kind: $kind, form: $form }) }
            }

            /// The text that was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::id::NotAnId;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::NotAnId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<&$name> for String {
            fn from(id: &$name) -> Self {
                id.as_str().to_owned()
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, text: &str) -> bool {
                self.0 == text
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                self.0 == *text
            }
        }
    };
}
pub(crate) use id;

#[cfg(test)]
mod tests {
    use super::*;

    id! {
        /// An identifier of these tests.
        Sample, "a sample id", SEGMENT, is_segment
    }

    #[test]
    fn a_text_that_could_forge_a_key_is_no_segment() {
        assert!(is_segment("evt_1NG8Du2eZvKYlo2CUI79vXWy") && is_segment("ada.o'hara+x@example.com"));
        for text in ["", "evt#1", "a|b", "a b", "é", "a/b", "a!b", &"x".repeat(256)] {
            assert!(!is_segment(text), "{text}");
        }
    }

    #[test]
    fn deserialising_parses_and_the_wire_form_is_the_text() {
        let id = Sample::parse("a").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), r#""a""#);
        assert_eq!(serde_json::from_str::<Sample>(r#""a""#).unwrap(), id);
        let error = serde_json::from_str::<Sample>(r#""a b""#).unwrap_err().to_string();
        assert!(error.starts_with("not a sample id: that is 1 to 255"), "{error}");
    }
}
