//! The options of `cargo local bench`.

use std::path::PathBuf;

use clap::Args;

/// What to measure, and against what.
#[derive(Debug, Args)]
pub struct Options {
    /// The functions to measure beside the bare sender; all if none is named
    #[arg(value_name = "FUNCTION")]
    pub functions: Vec<String>,
    /// Warm events to average over
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub events: u32,
    /// Cold starts to take the median of
    #[arg(long, value_name = "N", default_value_t = 11)]
    pub starts: u32,
    /// Write the figures to FILE
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Measure the bootstraps of FOLDER; only what they are compared with is built, unless FOLDER has it too. With --sync, debug builds
    /// are measured otherwise
    #[arg(long, value_name = "FOLDER")]
    pub bootstraps: Option<PathBuf>,
    /// Hold webhook-ingest against that of FOLDER, an earlier build: five interleaved pairs
    #[arg(long, value_name = "FOLDER")]
    pub against: Option<PathBuf>,
    /// Measure syncs instead: of Slack workspaces of so many objects; 1,200 unless numbers are given
    #[arg(long, value_name = "OBJECTS", num_args = 0.., value_delimiter = ',', default_missing_value = "1200")]
    #[arg(value_parser = clap::value_parser!(u32).range(200..=1_000_000), conflicts_with_all = ["functions", "against"])]
    pub sync: Vec<u32>,
    /// Exit with 0 though a bar is missed; still 1 if nothing could be measured
    #[arg(long)]
    pub report_only: bool,
}
