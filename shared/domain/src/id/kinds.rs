//! What identifies a user, a provider, an account there, and an integration of the three.

use std::borrow::Cow;

use super::{SEGMENT, id, is_segment};

/// The longest user id, in bytes: DynamoDB's limit on a partition key
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>, read 2026-11).
const MAX_USER_ID: usize = 2048;

id! {
    /// The application's own id of a user, the subject of its tokens: any text that is not empty.
    UserId, "a user id", "1 to 2048 bytes", |text| (1..=MAX_USER_ID).contains(&text.len())
}

id! {
    /// The id of a provider, such as `stripe`. A stored one can be of a provider that this version does not have.
    ProviderId, "a provider id", SEGMENT, is_segment
}

id! {
    /// The name of a credential among those of an integration, such as `bot`.
    CredentialName, "a credential's name", SEGMENT, is_segment
}

id! {
    /// The provider's id of an account, which never changes and is never given to another account.
    AccountId, "an account id", SEGMENT, is_segment
}

id! {
    /// The address by which a provider's events name an account, in lower case. It can pass to another account.
    AccountAddress, "an account's address", SEGMENT, |text| is_segment(text) && !text.bytes().any(|b| b.is_ascii_uppercase())
}

id! {
    /// The public id of an integration: `int_` and 32 hexadecimal digits.
    IntegrationId, "an integration id", "int_ and 32 hexadecimal digits", is_integration_id
}

impl ProviderId {
    /// The id in a provider's own data.
    ///
    /// # Panics
    ///
    /// If it is no segment: in a constant, that is an error of the compiler.
    pub const fn of_data(id: &'static str) -> Self {
        assert!(is_segment(id), "a provider id is a segment");
        Self(Cow::Borrowed(id))
    }
}

impl CredentialName {
    /// The name in a provider's own data.
    ///
    /// # Panics
    ///
    /// If it is no segment: in a constant, that is an error of the compiler.
    pub const fn of_data(name: &'static str) -> Self {
        assert!(is_segment(name), "a credential's name is a segment");
        Self(Cow::Borrowed(name))
    }
}

impl IntegrationId {
    /// The id that begins a hash: its first 16 bytes.
    pub(crate) fn of_hash(hash: &[u8]) -> Self {
        Self(format!("int_{}", hex::encode(&hash[..hash.len().min(16)])).into())
    }
}

fn is_integration_id(text: &str) -> bool {
    text.strip_prefix("int_").is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_any_text_that_a_table_takes_as_a_key() {
        for text in ["ada", "auth0|123", "a#b", "a b", "zoë", "\n", &"x".repeat(2048)] {
            assert!(UserId::parse(text).is_ok(), "{text}");
        }
        assert!(UserId::parse("").is_err() && UserId::parse("x".repeat(2049)).is_err());
    }

    #[test]
    fn an_integration_id_is_a_prefix_and_a_hash() {
        assert!(IntegrationId::parse(format!("int_{}", "0a".repeat(16))).is_ok());
        for other in ["", "int_", "int_0", "slack#T1", &format!("int_{}", "g".repeat(32))] {
            assert!(IntegrationId::parse(other).is_err(), "{other}");
        }
    }
}
