//! What can be measured: each bootstrap, with its event and the answer that shows that the work was done.

use std::collections::BTreeMap;

use axum::body::Bytes;
use local_base::terminal::Failed;
use local_runtime::{bootstraps::Bootstraps, lambda::FunctionSpec, stack, template::Template};
use serde_json::Value;

/// The baseline.
pub(super) const SENDER: &str = "bench-sender";
/// Compared with the baseline.
pub(super) const INGEST: &str = "webhook-ingest";

/// A bootstrap with an event.
#[derive(Debug)]
pub(super) struct Subject {
    /// Names it in the table.
    pub(super) name: &'static str,
    /// Its package and binary.
    pub(super) package: &'static str,
    pub(super) event: Event,
    expected: Expected,
}

/// An event, made from a sample of `events/`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// A signed Stripe webhook of about 2 kB.
    Webhook,
    /// This many webhook messages, each of an event and an object that were never seen before.
    Messages(u32),
    /// The sample, from a signed-in user.
    Request(&'static str),
    /// The sample.
    Plain(&'static str),
}

#[derive(Debug)]
enum Expected {
    Accepted,
    /// Any HTTP status below 500.
    Answered,
    /// No message comes back.
    AllDone,
    Anything,
}

const INGESTING: Subject =
    Subject { name: INGEST, package: INGEST, event: Event::Webhook, expected: Expected::Accepted };

/// The baseline first.
const ALL: &[Subject] = &[
    Subject { name: SENDER, package: SENDER, event: Event::Webhook, expected: Expected::Accepted },
    INGESTING,
    subject("webhook-process", Event::Messages(1), Expected::AllDone),
    Subject { name: "webhook-process ×10", ..subject("webhook-process", Event::Messages(10), Expected::AllDone) },
    subject("oauth-callback", Event::Request("http-connect"), Expected::Answered),
    subject("integrations-api", Event::Request("http-integrations"), Expected::Answered),
    subject("operator-api", Event::Request("http-deliveries"), Expected::Answered),
    subject("api-proxy", Event::Request("http-action"), Expected::Answered),
    subject("sync-scheduler", Event::Plain("schedule-syncs"), Expected::Anything),
    subject("sync-worker", Event::Plain("sqs-syncs"), Expected::AllDone),
    subject("token-refresh", Event::Plain("schedule-refresh"), Expected::Anything),
];

const fn subject(package: &'static str, event: Event, expected: Expected) -> Subject {
    Subject { name: package, package, event, expected }
}

impl Subject {
    /// Those of `functions`, or all if it names none. The baseline is always among them.
    pub(super) fn select(functions: &[String]) -> Result<Vec<&'static Self>, Failed> {
        if let Some(unknown) = functions.iter().find(|name| ALL.iter().all(|subject| subject.package != **name)) {
            let known: Vec<_> = ALL.iter().filter(|it| it.name == it.package).map(|it| it.package).collect();
            return Err(Failed(format!(
                "there is no function {unknown:?} to measure; there are: {}",
                known.join(", ")
            )));
        }
        let named = |subject: &&Subject| {
            functions.is_empty() || subject.package == SENDER || functions.iter().any(|name| name == subject.package)
        };
        Ok(ALL.iter().filter(named).collect())
    }

    pub(super) fn ingest() -> &'static Self {
        &INGESTING
    }

    /// How its bootstrap is started. `endpoints` lead it to AWS.
    pub(super) fn spec(
        &self,
        template: &Template,
        bootstraps: &Bootstraps,
        endpoints: &BTreeMap<String, String>,
    ) -> Result<FunctionSpec, Failed> {
        let package = if self.package == SENDER { INGEST } else { self.package };
        let declared = template.functions.iter().find(|function| function.binary == package);
        let declared =
            declared.ok_or_else(|| Failed(format!("template.yaml has no function with the binary {package}")))?;
        let mut spec = stack::spec(declared, bootstraps, endpoints.clone());
        if self.package == SENDER {
            // What ingest gets, under a name of its own: the gateway knows no role of it, and so lets it send.
            SENDER.clone_into(&mut spec.name);
            spec.binary = bootstraps.path(SENDER);
        }
        Ok(spec)
    }

    /// How many events one invocation handles.
    pub(super) fn batch(&self) -> u32 {
        match self.event {
            Event::Messages(count) => count,
            Event::Webhook | Event::Request(_) | Event::Plain(_) => 1,
        }
    }

    /// Fails unless `answer` is the expected one.
    pub(super) fn check(&self, answer: &Bytes) -> Result<(), Failed> {
        let json: Value = serde_json::from_slice(answer).unwrap_or_default();
        let status = json["statusCode"].as_u64();
        let right = match self.expected {
            Expected::Accepted => status == Some(200),
            Expected::Answered => status.is_some_and(|status| status < 500),
            Expected::AllDone => json["batchItemFailures"].as_array().is_some_and(Vec::is_empty),
            Expected::Anything => true,
        };
        if right {
            return Ok(());
        }
        let (name, answer) = (self.name, String::from_utf8_lossy(answer));
        Err(Failed(format!("{name} answered {answer}, which is not what is measured; see target/local/bench/logs")))
    }
}
