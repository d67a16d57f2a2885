//! Message attributes: what is allowed, and the MD5 digest by which SDKs check that they arrived whole.
//!
//! *Invariant:* only attributes that passed [`check`] are stored, so every stored one has exactly one value.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use super::fault::Fault;

const MAX_ATTRIBUTES: usize = 10;
/// Of names and of data types, in bytes.
const MAX_NAME: usize = 256;

/// Attributes by name, in the order of the digest.
pub(super) type Attributes = BTreeMap<String, Attribute>;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Attribute {
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    /// In Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

impl Attribute {
    /// The transport type (1 text, 2 binary) and the bytes; `None` if the value doesn't fit the data type.
    fn value(&self) -> Option<(u8, Cow<'_, [u8]>)> {
        match (self.kind(), &self.string_value, &self.binary_value) {
            ("String" | "Number", Some(text), None) => Some((1, text.as_bytes().into())),
            ("Binary", None, Some(base64)) => Some((2, STANDARD.decode(base64).ok()?.into())),
            _ => None,
        }
    }

    /// The data type without its custom label.
    fn kind(&self) -> &str {
        self.data_type.split('.').next().unwrap_or_default()
    }
}

/// Refuses what AWS refuses.
pub(super) fn check(attributes: &Attributes) -> Result<(), Fault> {
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(Fault::InvalidParameterValue(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{MAX_ATTRIBUTES}]. Send fewer.",
            attributes.len()
        )));
    }
    attributes.iter().try_for_each(|(name, attribute)| check_one(name, attribute))
}

/// What the attributes add to the size of a message, in bytes.
pub(super) fn size(attributes: &Attributes) -> usize {
    let size = |(name, attribute): (&String, &Attribute)| {
        name.len() + attribute.data_type.len() + attribute.value().map_or(0, |(_, bytes)| bytes.len())
    };
    attributes.iter().map(size).sum()
}

/// `MD5OfMessageAttributes`, or `None` without attributes.
pub(super) fn digest<'a>(attributes: impl IntoIterator<Item = (&'a String, &'a Attribute)>) -> Option<String> {
    let mut digested = Vec::new();
    for (name, attribute) in attributes {
        let (transport, value) = attribute.value()?;
        append(&mut digested, name.as_bytes());
        append(&mut digested, attribute.data_type.as_bytes());
        digested.push(transport);
        append(&mut digested, &value);
    }
    (!digested.is_empty()).then(|| md5_hex(&digested))
}

/// The MD5 digest in lower-case hexadecimal.
pub(super) fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

fn append(digested: &mut Vec<u8>, bytes: &[u8]) {
    digested.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    digested.extend(bytes);
}

fn check_one(name: &str, attribute: &Attribute) -> Result<(), Fault> {
    let refuse =
        |reason: &str| Err(Fault::InvalidParameterValue(format!("Message (user) attribute '{name}' {reason}")));
    if !well_named(name) {
        return refuse(
            "has an invalid name. Use 1 to 256 of A-Z a-z 0-9 _ - and single inner dots, not AWS.* or Amazon.*.",
        );
    }
    if attribute.data_type.len() > MAX_NAME || !matches!(attribute.kind(), "String" | "Number" | "Binary") {
        return refuse("has an invalid DataType. Use String, Number or Binary, with an optional .label.");
    }
    let Some((_, value)) = attribute.value() else {
        return refuse("has no value that fits its DataType. Send StringValue, or BinaryValue for Binary.");
    };
    if value.is_empty() {
        return refuse("must contain a non-empty value. Leave the attribute out instead.");
    }
    let text = attribute.string_value.as_deref().unwrap_or_default();
    if !text.chars().all(allowed) {
        return Err(Fault::InvalidMessageContents);
    }
    if attribute.kind() == "Number" && !text.parse().is_ok_and(f64::is_finite) {
        return refuse("can't be cast to a number. Send a decimal number, or use the DataType String.");
    }
    Ok(())
}

fn well_named(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        && !name.split('.').any(str::is_empty)
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.")
}

/// Whether SQS carries the character: what XML 1.0 allows.
pub(super) fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}
