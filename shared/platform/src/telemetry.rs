//! Logs: one JSON line per event, at the level Lambda's logging configuration sets.
//!
//! *Invariant:* that level is for our own crates. Below INFO the runtime and the SDK print whole requests, secrets included,
//! so they never get there; and at INFO they open spans that cost more than our own work on an event.

use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// The crates that follow the configured level.
const OURS: [&str; 11] = [
    "api_proxy",
    "domain",
    "integrations_api",
    "oauth_callback",
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
    let level = crate::config::ambient("AWS_LAMBDA_LOG_LEVEL").and_then(|level| level.parse().ok());
    let level: LevelFilter = level.unwrap_or(LevelFilter::INFO);
    let ours = OURS.iter().chain(crates).map(|name| (*name, level));
    let targets = Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(ours);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false);
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
}
