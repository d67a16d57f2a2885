//! One entry of `PutEvents`: what is refused, and the envelope that the accepted ones get.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

const MAX_DETAIL_TYPE: usize = 128;

/// The account and region of every event.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) region: String,
    pub(super) account: String,
}

/// An event as its sender gives it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) event_bus_name: Option<String>,
    detail: Option<String>,
    detail_type: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    source: Option<String>,
    /// In seconds since the Unix epoch.
    time: Option<f64>,
}

#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("Detail is malformed. Send the text of one JSON object.")]
    MalformedDetail,
    #[error("Parameter {0} is not valid. Reason: {0} is a required argument. Add it.")]
    Missing(&'static str),
    #[error("Parameter {0} is not valid. Reason: {1}")]
    Invalid(&'static str, &'static str),
    #[error("Not authorized for the source. Sources that start with aws. belong to AWS: choose another.")]
    NotAuthorizedForSource,
}

/// An event as targets of rules get it, in the usual order.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope<'a> {
    version: &'static str,
    id: &'a str,
    detail_type: String,
    source: String,
    account: &'a str,
    time: String,
    region: &'a str,
    resources: Vec<String>,
    detail: Map<String, Value>,
}

impl Origin {
    pub(super) fn bus_arn(&self, name: &str) -> String {
        format!("{}{name}", self.arn_prefix())
    }

    /// The name in a bus's name or ARN.
    pub(super) fn bus_name<'a>(&self, name_or_arn: &'a str) -> &'a str {
        name_or_arn.strip_prefix(&self.arn_prefix()).unwrap_or(name_or_arn)
    }

    fn arn_prefix(&self) -> String {
        format!("arn:aws:events:{}:{}:event-bus/", self.region, self.account)
    }
}

impl Entry {
    /// The size that counts against the limit, by the rule of the developer guide.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.source, &self.detail_type, &self.detail].into_iter().flatten().chain(&self.resources);
        texts.map(String::len).sum::<usize>() + if self.time.is_some() { 14 } else { 0 }
    }

    /// The event on one line of JSON.
    pub(super) fn envelope(self, id: &str, origin: &Origin, now: Duration) -> Result<String, Refusal> {
        let source = required("Source", self.source)?;
        let detail_type = required("DetailType", self.detail_type)?;
        let detail = required("Detail", self.detail)?;
        if source.starts_with("aws.") {
            return Err(Refusal::NotAuthorizedForSource);
        }
        if detail_type.chars().count() > MAX_DETAIL_TYPE {
            return Err(Refusal::Invalid("DetailType", "it has more than 128 characters. Shorten it."));
        }
        let detail = serde_json::from_str(&detail).map_err(|_| Refusal::MalformedDetail)?;
        let time = self.time.map_or_else(|| SignedDuration::try_from(now), SignedDuration::try_from_secs_f64);
        let time = time.and_then(|time| Timestamp::from_second(time.as_secs()));
        let time = time.map_err(|_| Refusal::Invalid("Time", "it is out of range. Send seconds since 1970."))?;
        let Origin { region, account } = origin;
        let (time, resources) = (time.to_string(), self.resources);
        let envelope = Envelope { version: "0", id, detail_type, source, account, time, region, resources, detail };
        serde_json::to_string(&envelope).map_err(|_| Refusal::MalformedDetail)
    }
}

impl Refusal {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::MalformedDetail => "MalformedDetail",
            Self::Missing(_) | Self::Invalid(..) => "InvalidArgument",
            Self::NotAuthorizedForSource => "NotAuthorizedForSourceException",
        }
    }
}

fn required(name: &'static str, value: Option<String>) -> Result<String, Refusal> {
    value.filter(|value| !value.is_empty()).ok_or(Refusal::Missing(name))
}
