//! Logs: one JSON line per event, at the level Lambda's logging configuration sets, each with the release that wrote it.
//!
//! *Invariant:* that level is for our own crates. Below INFO the runtime and the SDK print whole requests, secrets included,
//! so they never get there; and at INFO they open spans that cost more than our own work on an event.

use std::{fmt, mem};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{self, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::base::environment;

/// The crates that follow the configured level.
const OURS: [&str; 12] = [
    "api_proxy",
    "domain",
    "integrations_api",
    "oauth_callback",
    "operator_api",
    "platform",
    "providers",
    "sync_scheduler",
    "sync_worker",
    "token_refresh",
    "webhook_ingest",
    "webhook_process",
];

/// Starts logging to standard output. Call once, first.
pub fn init() {
    init_with(&[]);
}

/// The same, and the lines of `crates` follow the configured level too: the application's own, such as `module_path!()`.
pub fn init_with(crates: &[&'static str]) {
    let level = environment::ambient("AWS_LAMBDA_LOG_LEVEL").and_then(|level| level.parse().ok());
    let level: LevelFilter = level.unwrap_or(LevelFilter::INFO);
    let ours = OURS.iter().chain(crates).map(|name| (*name, level));
    let targets = Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(ours);
    let json = format::json().flatten_event(true).with_current_span(true).with_span_list(false).with_target(false);
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(format::JsonFields::new())
        .event_format(Released { start: start(environment::release()), json });
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
}

/// JSON lines that begin with the release: the text is made once, and each line costs a copy of it.
struct Released<F> {
    start: String,
    json: F,
}

impl<S, N, F> FormatEvent<S, N> for Released<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        line.write_str(&self.start)?;
        self.json.format_event(context, Writer::new(&mut WithoutBrace { line, at_start: true }), event)
    }
}

/// How a line begins, in place of the brace of its object.
fn start(release: &str) -> String {
    format!("{{\"version\":{},", serde_json::Value::from(release))
}

/// Passes on all but the brace that begins an object.
struct WithoutBrace<'a> {
    line: Writer<'a>,
    at_start: bool,
}

impl fmt::Write for WithoutBrace<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let at_start = mem::replace(&mut self.at_start, false);
        self.line.write_str(text.strip_prefix('{').filter(|_| at_start).unwrap_or(text))
    }
}
