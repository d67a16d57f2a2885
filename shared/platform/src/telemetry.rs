//! Logs: one JSON line per event, at the level Lambda's logging configuration sets.

use tracing_subscriber::filter::LevelFilter;

/// Starts logging to standard output. Call once, first.
pub fn init() {
    let level = crate::config::ambient("AWS_LAMBDA_LOG_LEVEL").and_then(|level| level.parse::<LevelFilter>().ok());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .init();
}
