//! The item of a credential: which attribute holds what, and what each ciphertext is bound to.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use domain::{IntegrationKey, oauth::grant::TokenResponse};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::{
    aws::{
        AwsError,
        envelope::{DataKey, Owner},
    },
    stores::{
        due::shard,
        old::{Item, malformed, n, number, s, text},
    },
};

/// The attributes of a credential of this version.
pub(super) fn sealed(
    owner: &IntegrationKey,
    issued: &TokenResponse,
    old_refresh: Option<&SecretString>,
    version: i64,
    key: &DataKey,
) -> Result<Item, AwsError> {
    let id = owner.id();
    let seal = |field, secret| {
        let sealed = key.seal(&aad(&id, issued.name, field, version), secret)?;
        Ok::<_, AwsError>(AttributeValue::B(Blob::new(sealed)))
    };
    let mut item: HashMap<_, _> = [
        ("integration_id", s(&id)),
        ("credential", s(issued.name)),
        ("version", n(version)),
        ("access", seal("access", &issued.access)?),
        ("data_key", AttributeValue::B(Blob::new(key.wrapped.clone()))),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if let Some(refresh) = issued.refresh.as_ref().or(old_refresh) {
        item.insert("refresh".to_owned(), seal("refresh", refresh)?);
    }
    Ok(item)
}

/// The attributes of a token's end, and of the index by which a sweep finds it.
pub(super) fn times(
    id: &str,
    expires_at: Option<Timestamp>,
    due_at: Option<Timestamp>,
) -> Vec<(String, AttributeValue)> {
    let mut item = Vec::new();
    let mut set = |name: &str, value| item.push((name.to_owned(), value));
    if let Some(at) = expires_at {
        set("expires_at", n(at.as_millisecond()));
    }
    if let Some(at) = due_at {
        set("due_shard", n(shard(id)));
        set("due_at", n(at.as_second()));
    }
    item
}

pub(super) fn context<'a>(owner: &'a IntegrationKey, id: &'a str) -> Owner<'a> {
    Owner { purpose: "credential", user_id: &owner.user_id, integration_id: id }
}

pub(super) fn aad(integration_id: &str, name: &str, field: &str, version: i64) -> String {
    format!("credentials|{integration_id}|{name}|{field}|{version}")
}

pub(super) fn integration(item: &Item) -> Result<IntegrationKey, AwsError> {
    IntegrationKey::parse(text(item, "user_id")?, text(item, "integration")?).map_err(|_| malformed("integration"))
}

pub(super) fn bytes<'i>(item: &'i Item, name: &str) -> Result<&'i [u8], AwsError> {
    item.get(name).and_then(|value| value.as_b().ok()).map(AsRef::as_ref).ok_or_else(|| malformed(name))
}

pub(super) fn millis(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(number(item, name).ok()?).ok()
}
