//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Runs the whole bundle on this machine, wired by template.yaml. No AWS account, no Docker.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo local", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of running the stack.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run the stack.
    #[command(flatten)]
    pub run: Run,
}

/// How to run the stack.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// Play the story, then exit: 0 if every step held, 1 otherwise
    #[arg(long)]
    pub once: bool,
    /// Write the steps and their outcome to FILE
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Only serve
    #[arg(long, conflicts_with = "once")]
    pub no_story: bool,
    /// Port of the HTTP API; 0 = any
    #[arg(long, default_value_t = 3000)]
    pub port: u16,
    /// Parameters of template.yaml
    #[arg(long, value_name = "K=V", num_args = 1.., value_parser = pair)]
    pub parameter_overrides: Vec<(String, String)>,
    /// Where logs, events and the environment file go.
    #[command(flatten)]
    pub folder: Place,
    /// Also print the variables of the environment file
    #[arg(long, conflicts_with = "once")]
    pub print_env: bool,
    /// An AWS-compatible endpoint that is already running, instead of the embedded AWS
    #[arg(long, value_name = "URL", value_parser = plain_http)]
    pub aws_endpoint: Option<String>,
    /// Post each event of the bus to an application under development, signed as Standard Webhooks says
    #[arg(long, value_name = "URL", value_parser = plain_http, conflicts_with_all = ["once", "aws_endpoint"])]
    pub events_to: Option<String>,
    /// Run the bootstraps of FOLDER and build nothing: target/lambda after `cargo lambda build --release`, or
    /// target/release
    #[arg(long, value_name = "FOLDER")]
    pub bootstraps: Option<PathBuf>,
    /// Run FILE as one function, such as webhook-process=target/debug/webhook-handlers
    #[arg(long, value_name = "FUNCTION=FILE", value_parser = bootstrap)]
    pub bootstrap: Vec<(String, PathBuf)>,
}

/// The folder of a stack.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The stack's folder, with its logs, its events and the environment file; target/local unless given
    #[arg(long, value_name = "FOLDER")]
    pub directory: Option<PathBuf>,
}

/// What else there is.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the headers that make FILE a validly signed webhook now
    Sign(Sign),
    /// Print a session token
    Token(Token),
    /// Fire a schedule of the running stack now
    Fire(Fire),
    /// Print what became of the webhooks of the last 7 days, newest first
    Deliveries(Deliveries),
    /// Have a delivery processed again, whose body is kept
    Replay(Replay),
    /// Check a template's parameters as deploying and starting would; print ok, or all that is wrong and exit with 1
    Check(Check),
    /// Compare the rights that the roles grant with those that the functions used in tests; exit with 1 on a difference
    /// without a reason in tests/static/exceptions.yaml
    Rights(Rights),
    /// Measure bootstraps in release builds: init, first event, warm, memory, calls
    Bench(local_bench::Options),
    /// Run the sandbox providers without a stack, for one that is deployed elsewhere
    Sandbox(Providers),
}

/// See [`Command::Check`].
#[derive(Debug, Args)]
pub struct Check {
    /// Parameters of the template
    #[arg(long, value_name = "K=V", num_args = 1.., value_parser = pair)]
    pub parameter_overrides: Vec<(String, String)>,
    /// Another template than the repository's
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
}

/// Where the sandbox providers send what happens at them.
#[derive(Debug, Args)]
pub struct Providers {
    /// Where the stack is reached by plain HTTP: webhooks are sent to URL/webhooks/PROVIDER
    #[arg(long, value_name = "URL")]
    pub webhooks_to: String,
}

/// Either a ledger to compare with the roles, or the roles' policies alone.
#[derive(Debug, Args)]
pub struct Rights {
    /// What tests with `TEST_RIGHTS=LEDGER` wrote
    #[arg(required_unless_present = "policies")]
    pub ledger: Option<PathBuf>,
    /// Print the roles' policies instead, as JSON by function
    #[arg(long, conflicts_with = "ledger")]
    pub policies: bool,
}

/// See [`Command::Sign`].
#[derive(Debug, Args)]
pub struct Sign {
    #[command(flatten)]
    pub folder: Place,
    /// Whose webhook
    #[arg(long)]
    pub provider: String,
    /// The body
    pub file: PathBuf,
    /// Print a runnable command that sends it to URL
    #[arg(long, value_name = "URL", conflicts_with = "send")]
    pub curl: Option<String>,
    /// Send it to URL
    #[arg(long, value_name = "URL")]
    pub send: Option<String>,
}

/// See [`Command::Fire`].
#[derive(Debug, Args)]
pub struct Fire {
    #[command(flatten)]
    pub folder: Place,
    /// The schedule's name, with or without prefix; a wrong one lists them
    pub schedule: String,
}

/// See [`Command::Deliveries`].
#[derive(Debug, Args)]
pub struct Deliveries {
    #[command(flatten)]
    pub folder: Place,
    /// Only those in this state: claimed, retry, done, dead, unmatched
    #[arg(long)]
    pub state: Option<String>,
    /// Only those of this provider
    #[arg(long)]
    pub provider: Option<String>,
}

/// See [`Command::Replay`].
#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    pub folder: Place,
    /// The delivery's id
    pub id: String,
}

/// See [`Command::Token`].
#[derive(Debug, Args)]
pub struct Token {
    #[command(flatten)]
    pub folder: Place,
    /// The application's user id
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub user: String,
    /// A role; there is one
    #[arg(long, value_parser = ["admin"])]
    pub role: Option<String>,
    /// Life in seconds, at most a year
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub ttl: u64,
}

/// A function's name and its bootstrap.
fn bootstrap(text: &str) -> Result<(String, PathBuf), String> {
    pair(text).map(|(function, file)| (function, file.into()))
}

/// An address that [`Web`](local_base::web::Web) can call.
fn plain_http(text: &str) -> Result<String, String> {
    let uri = text.parse::<http::Uri>().map_err(|error| error.to_string())?;
    let plain = uri.scheme_str() == Some("http") && uri.host().is_some();
    if plain { Ok(text.to_owned()) } else { Err("it must begin with http://HOST".to_owned()) }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}
