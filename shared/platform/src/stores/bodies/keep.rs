//! Keeping messages. `webhook-process` does, which opens none.

use std::{
    sync::{Mutex, OnceLock},
    time::Duration,
};

use domain::ClaimState;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::{Bodies, CONTEXT, PART, Stored, aad, owner};
use crate::{
    aws::{
        Aws, AwsError,
        envelope::{DataKey, Vault},
    },
    base::{config::Env, lock::lock, metrics},
    stores::item::write,
};

/// How long one data key serves, as those of credentials stay in memory.
const KEY_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// Whose messages are kept: the parameter `DeliveryBodies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyPolicy {
    /// Of deliveries that end `retry` or `dead`, until they are processed.
    Failed,
    /// Of those that are `done`, too.
    All,
    /// Of none.
    None,
}

impl BodyPolicy {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "failed" => Some(Self::Failed),
            "all" => Some(Self::All),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    /// Whether the message of a delivery is kept that ends in this state. What no integration is there for is never kept.
    pub const fn keeps(self, state: ClaimState) -> bool {
        match (self, state) {
            (Self::None, _) | (_, ClaimState::Unmatched | ClaimState::Claimed) | (Self::Failed, ClaimState::Done) => {
                false
            }
            (Self::Failed | Self::All, ClaimState::Retry | ClaimState::Dead) | (Self::All, ClaimState::Done) => true,
        }
    }
}

/// The configuration of a [`BodyKeeper`].
#[derive(Debug, Clone)]
pub struct KeeperConfig {
    table: String,
    key: String,
    prefix: String,
    policy: BodyPolicy,
    life: Duration,
}

impl KeeperConfig {
    /// From the variables of a function.
    pub fn read(env: &mut Env) -> Self {
        let policy = env.text("DELIVERY_BODIES");
        let policy = BodyPolicy::parse(&policy).unwrap_or_else(|| {
            if !policy.is_empty() {
                env.problem(format!("DELIVERY_BODIES is {policy:?}, not failed, all or none"));
            }
            BodyPolicy::None
        });
        Self {
            table: env.text("DELIVERY_BODIES_TABLE"),
            key: env.text("TOKEN_KEY"),
            prefix: env.text("RESOURCE_PREFIX"),
            policy,
            life: env.days("DELIVERY_BODY_DAYS"),
        }
    }
}

/// Keeps messages by a policy.
#[derive(Debug)]
pub struct BodyKeeper {
    bodies: Bodies,
    config: KeeperConfig,
    aws: Aws,
    /// Made when the first message is kept: the usual delivery needs none.
    vault: OnceLock<Vault>,
    key: Mutex<Option<(DataKey, Timestamp)>>,
}

impl BodyKeeper {
    /// Makes no call.
    pub fn new(aws: &Aws, config: &KeeperConfig) -> Self {
        Self {
            bodies: Bodies::new(aws, &config.table),
            config: config.clone(),
            aws: aws.clone(),
            vault: OnceLock::new(),
            key: Mutex::default(),
        }
    }

    /// Whether the policy keeps messages of deliveries that end in this state.
    pub const fn keeps(&self, state: ClaimState) -> bool {
        self.config.policy.keeps(state)
    }

    /// Tells that a message could not be kept.
    pub fn not_kept(error: &AwsError) {
        let (reason, detail) = error.diagnosis().into_parts();
        tracing::warn!(reason = reason.name(), detail, "the body of a delivery is not kept");
        metrics::operator_failure(reason);
    }

    /// Keeps the message of a delivery that ends in this state, if the policy says so: until when. What can't be kept keeps no
    /// delivery from its end; its message is in the dead-letter queue all the same.
    pub async fn keep(
        &self,
        record: &str,
        message: impl FnOnce() -> Result<String, AwsError>,
        state: ClaimState,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if !self.keeps(state) {
            return None;
        }
        let put = async { self.put(record, &message()?, now).await };
        match put.await {
            Ok(expires_at) => Some(expires_at),
            Err(error) => {
                Self::not_kept(&error);
                None
            }
        }
    }

    /// Deletes what is kept of a delivery that ends in this state, unless the policy keeps it.
    pub async fn drop(&self, record: &str, state: ClaimState) -> Result<(), AwsError> {
        if self.keeps(state) { Ok(()) } else { self.bodies.delete(record).await }
    }

    async fn put(&self, record: &str, message: &str, now: Timestamp) -> Result<Timestamp, AwsError> {
        let key = self.data_key(now).await?;
        let expires_at = now + self.config.life;
        let written = format!("{:016x}", fastrand::u64(..));
        let texts = split(message);
        for (part, text) in texts.iter().enumerate() {
            let sealed = key.seal(&aad(record, part, texts.len(), &written), &SecretString::from(*text))?;
            let item = Stored {
                key: record.to_owned(),
                part,
                parts: texts.len(),
                written: written.clone(),
                owner: owner(record),
                data_key: key.wrapped.clone(),
                sealed,
                expires_at,
            };
            self.bodies.table.put(write(&item)?).await?;
        }
        Ok(expires_at)
    }

    async fn data_key(&self, now: Timestamp) -> Result<DataKey, AwsError> {
        let made = lock(&self.key).clone().filter(|(_, made_at)| now.duration_since(*made_at) < KEY_LIFE);
        if let Some((key, _)) = made {
            return Ok(key);
        }
        let vault = self.vault.get_or_init(|| Vault::new(&self.aws, &self.config.key, &self.config.prefix));
        let key = vault.make(CONTEXT).await?;
        *lock(&self.key) = Some((key.clone(), now));
        Ok(key)
    }
}

/// The text in parts of at most [`PART`] bytes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while rest.len() > PART {
        let (part, after) = rest.split_at(rest.floor_char_boundary(PART));
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_its_parts_and_no_part_is_too_long() {
        for text in [String::new(), "x".repeat(PART), "é".repeat(PART), "x".repeat(2 * PART + 1)] {
            let parts = split(&text);
            assert_eq!(parts.concat(), text);
            assert!(parts.iter().all(|part| part.len() <= PART));
        }
    }

    #[test]
    fn no_policy_keeps_what_is_nobodys() {
        for policy in [BodyPolicy::Failed, BodyPolicy::All, BodyPolicy::None] {
            assert!(!policy.keeps(ClaimState::Unmatched));
            assert_eq!(policy.keeps(ClaimState::Dead), policy != BodyPolicy::None);
            assert_eq!(policy.keeps(ClaimState::Done), policy == BodyPolicy::All);
        }
    }
}
