//! The attributes of a queue: parsed and bounded when set, written back as AWS writes them.
//!
//! *Invariant:* a setting that could not be honoured is refused, except those in [`ECHOED`], which are about
//! access and encryption and mean nothing on this machine.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::Fault;

/// The largest message, and the largest batch, in bytes.
pub(super) const MAX_BYTES: usize = 1_048_576;
/// The longest time that one receive can hold a message.
pub(super) const MAX_VISIBILITY: Duration = Duration::from_hours(12);
pub(super) const MAX_DELAY_SECONDS: u64 = 900;
pub(super) const MAX_WAIT_SECONDS: u64 = 20;

/// Accepted and read back, without effect.
const ECHOED: [&str; 5] =
    ["KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "Policy", "RedriveAllowPolicy", "SqsManagedSseEnabled"];

/// Whether a queue can have this attribute although it is not set.
pub(super) fn known(name: &str) -> bool {
    name == "RedrivePolicy" || ECHOED.contains(&name)
}

/// What is set on a queue.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) delay: Duration,
    pub(super) max_bytes: usize,
    pub(super) retention: Duration,
    pub(super) wait: Duration,
    pub(super) redrive: Option<Redrive>,
    pub(super) visibility: Duration,
    echoed: BTreeMap<&'static str, String>,
}

/// When a message goes to which dead-letter queue.
#[derive(Debug, Clone)]
pub(super) struct Redrive {
    pub(super) target: String,
    /// A message that was received this often is not delivered again.
    pub(super) max_receives: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            max_bytes: MAX_BYTES,
            retention: Duration::from_hours(4 * 24),
            wait: Duration::ZERO,
            redrive: None,
            visibility: Duration::from_secs(30),
            echoed: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// These settings with `attributes` changed; all or none.
    pub(super) fn with(&self, attributes: &BTreeMap<String, String>) -> Result<Self, Fault> {
        let mut settings = self.clone();
        for (name, value) in attributes {
            settings.set(name, value)?;
        }
        Ok(settings)
    }

    /// The attributes that can be set, as AWS writes them.
    pub(super) fn attributes(&self) -> BTreeMap<&'static str, String> {
        let mut all = self.echoed.clone();
        all.insert("DelaySeconds", self.delay.as_secs().to_string());
        all.insert("MaximumMessageSize", self.max_bytes.to_string());
        all.insert("MessageRetentionPeriod", self.retention.as_secs().to_string());
        all.insert("ReceiveMessageWaitTimeSeconds", self.wait.as_secs().to_string());
        all.insert("VisibilityTimeout", self.visibility.as_secs().to_string());
        if let Some(Redrive { target, max_receives }) = &self.redrive {
            let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": max_receives});
            all.insert("RedrivePolicy", policy.to_string());
        }
        all
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        match name {
            "DelaySeconds" => self.delay = Duration::from_secs(number(name, value, 0..=MAX_DELAY_SECONDS)?),
            "MaximumMessageSize" => self.max_bytes = number(name, value, 1024..=MAX_BYTES)?,
            "MessageRetentionPeriod" => self.retention = Duration::from_secs(number(name, value, 60..=1_209_600)?),
            "ReceiveMessageWaitTimeSeconds" => {
                self.wait = Duration::from_secs(number(name, value, 0..=MAX_WAIT_SECONDS)?);
            }
            "RedrivePolicy" => self.redrive = Redrive::parse(value)?,
            "VisibilityTimeout" => {
                self.visibility = Duration::from_secs(number(name, value, 0..=MAX_VISIBILITY.as_secs())?);
            }
            "ContentBasedDeduplication" | "DeduplicationScope" | "FifoQueue" | "FifoThroughputLimit" => {
                return Err(Fault::UnsupportedOperation("FIFO queues"));
            }
            _ => {
                let echoed = ECHOED.into_iter().find(|echoed| *echoed == name);
                let name = echoed.ok_or_else(|| Fault::InvalidAttributeName(name.to_owned()))?;
                if value.is_empty() {
                    self.echoed.remove(name);
                } else {
                    self.echoed.insert(name, value.to_owned());
                }
            }
        }
        Ok(())
    }
}

impl Redrive {
    /// `None` for the empty policy, which takes the dead-letter queue away.
    fn parse(policy: &str) -> Result<Option<Self>, Fault> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Policy {
            dead_letter_target_arn: String,
            max_receive_count: Value,
        }
        if policy.is_empty() {
            return Ok(None);
        }
        let invalid = |reason: String| Fault::parameter("RedrivePolicy", policy, reason);
        let parsed: Policy = serde_json::from_str(policy).map_err(|error| invalid(error.to_string()))?;
        // Infrastructure tools write the count as text or as a number; AWS takes both.
        let count = parsed.max_receive_count.as_str().and_then(|text| text.parse().ok());
        let count = count.or(parsed.max_receive_count.as_u64()).filter(|count| (1..=1000).contains(count));
        let max_receives = count.ok_or_else(|| invalid("maxReceiveCount must be 1 to 1000.".to_owned()))?;
        Ok(Some(Self { target: parsed.dead_letter_target_arn, max_receives }))
    }
}

fn number<N>(name: &str, value: &str, range: RangeInclusive<N>) -> Result<N, Fault>
where
    N: Display + FromStr + PartialOrd,
{
    value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| Fault::InvalidAttributeValue {
        name: name.to_owned(),
        value: value.to_owned(),
        expected: format!("a whole number from {} to {}", range.start(), range.end()),
    })
}
