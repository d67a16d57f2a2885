//! The events of the bench, made from the samples in `events/`.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::body::Bytes;
use domain::{Integration, IntegrationKey, Proof};
use http::HeaderMap;
use local_aws::{REGION, clients::DEVELOPER_KEY};
use local_base::{now, terminal::Failed};
use local_runtime::stack::Cloud;
use platform::{Aws, aws::Patience, stores::integrations::Integrations};
use providers::REGISTRY;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::subject::Event;

/// Bytes of a webhook's body.
const BODY: usize = 2_000;
/// The user of the session and of the integration that the webhooks are for.
const USER: &str = "bench-user";
const WEBHOOK: &str = "http-webhook-stripe";
const MESSAGES: &str = "sqs-webhooks";

pub(super) struct Events {
    samples: BTreeMap<String, Value>,
    /// The webhook's body, of [`BODY`] bytes.
    body: String,
    secret: SecretString,
    session: String,
    /// How many messages were made.
    made: AtomicU64,
}

impl Events {
    /// Reads the samples, and stores the integration that their webhooks are of.
    pub(super) async fn load(root: &Path, cloud: &Cloud, secrets: &[(&str, Value)]) -> Result<Self, Failed> {
        let folder = root.join("events");
        let unreadable = |error: &dyn std::error::Error| Failed(format!("{}: {error}", folder.display()));
        let mut samples = BTreeMap::new();
        for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&error))? {
            let path = entry.map_err(|error| unreadable(&error))?.path();
            if let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")) {
                let text = std::fs::read(&path).map_err(|error| unreadable(&error))?;
                let json = serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
                samples.insert(name.to_owned(), json);
            }
        }
        let session = platform::runtime::session::mint(&cloud.session_key, USER, None, now() + Duration::from_hours(1));
        let stripe = secrets.iter().find(|(name, _)| *name == "stripe").map(|(_, secret)| secret);
        let secret = stripe.and_then(|stripe| stripe["webhook_secrets"][0].as_str()).unwrap_or_default();
        let events = Self {
            body: samples.get(WEBHOOK).map(lengthened).transpose()?.unwrap_or_default(),
            samples,
            secret: secret.into(),
            session: session
                .ok_or_else(|| Failed("no session can be minted with the key of {prefix}/session".into()))?,
            made: AtomicU64::new(0),
        };
        events.connect(cloud).await?;
        Ok(events)
    }

    /// The next event of its kind.
    pub(super) fn make(&self, event: Event) -> Result<Bytes, Failed> {
        let event = match event {
            Event::Webhook => self.webhook()?,
            Event::Messages(count) => self.messages(count)?,
            Event::Request(sample) => {
                let mut event = self.sample(sample)?.clone();
                event["headers"]["authorization"] = format!("Bearer {}", self.session).into();
                event
            }
            Event::Plain(sample) => self.sample(sample)?.clone(),
        };
        Ok(event.to_string().into())
    }

    fn webhook(&self) -> Result<Value, Failed> {
        let mut event = self.sample(WEBHOOK)?.clone();
        let unsigned = || Failed("a Stripe webhook can't be signed".into());
        let Some(Proof::Signature(scheme)) = REGISTRY.find("stripe").and_then(|stripe| stripe.spec().webhook.as_ref())
        else {
            return Err(unsigned());
        };
        let signed = scheme.sign(&HeaderMap::new(), self.body.as_bytes(), &self.secret, now()).ok_or_else(unsigned)?;
        for (name, value) in signed {
            event["headers"][name] = value.into();
        }
        event["headers"]["content-length"] = self.body.len().to_string().into();
        event["body"] = self.body.as_str().into();
        Ok(event)
    }

    fn messages(&self, count: u32) -> Result<Value, Failed> {
        let sample = &self.sample(MESSAGES)?["Records"][0];
        let mut records = Vec::new();
        for _ in 0..count {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let mut message = message(sample)?;
            message["body"]["json"]["id"] = format!("evt_bench_{number}").into();
            message["body"]["json"]["data"]["object"]["id"] = format!("cus_bench_{number}").into();
            let mut record = sample.clone();
            record["messageId"] = format!("bench-{number}").into();
            record["body"] = message.to_string().into();
            records.push(record);
        }
        Ok(json!({ "Records": records }))
    }

    /// Stores the integration of the account that the sample message names, so that applying it changes a record.
    async fn connect(&self, cloud: &Cloud) -> Result<(), Failed> {
        let message = message(&self.sample(MESSAGES)?["Records"][0])?;
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let key = IntegrationKey::parse(USER, &format!("{}#{}", text("provider"), text("account")));
        let key = key.map_err(|error| Failed(error.to_string()))?;
        let stored = Integration::connected(key, "Bench", now());
        let table = cloud.template.resources.tables.iter().find(|table| table.name.ends_with("-integrations"));
        let table = table.ok_or_else(|| Failed("template.yaml declares no table {prefix}-integrations".into()))?;
        let aws = Aws::at(&cloud.url, REGION, DEVELOPER_KEY, Patience::QUEUE);
        Integrations::new(&aws, &table.name).put(&stored, now()).await.map_err(Failed::from)
    }

    fn sample(&self, name: &str) -> Result<&Value, Failed> {
        self.samples.get(name).ok_or_else(|| Failed(format!("there is no events/{name}.json")))
    }
}

/// The message in a record of a batch.
fn message(record: &Value) -> Result<Value, Failed> {
    let text = record["body"].as_str().unwrap_or_default();
    serde_json::from_str(text).map_err(|error| Failed(format!("events/{MESSAGES}.json: a body is not JSON: {error}")))
}

/// The body of the sample webhook with more metadata, up to the size of an average event of Stripe's.
fn lengthened(sample: &Value) -> Result<String, Failed> {
    let text = sample["body"].as_str().unwrap_or_default();
    let malformed = |error| Failed(format!("events/{WEBHOOK}.json: the body is not JSON: {error}"));
    let mut body: Value = serde_json::from_str(text).map_err(malformed)?;
    for number in 1.. {
        let pretty = serde_json::to_string_pretty(&body).map_err(Failed::from)?;
        if pretty.len() >= BODY {
            return Ok(pretty);
        }
        body["data"]["object"]["metadata"][format!("order_{number:02}")] = format!("2026-{number:04}, paid").into();
    }
    Ok(text.to_owned())
}
