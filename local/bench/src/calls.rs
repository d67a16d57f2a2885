//! A call beside a bare call of the HTTP client: `tests/bench/caller`, in a process of its own.

use std::{collections::BTreeMap, path::Path};

use local_aws::{REGION, clients::DEVELOPER_KEY};
use local_base::terminal::Failed;
use local_runtime::{bootstraps::Bootstraps, template::Template};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, process::Command};

use super::files::unwritable;

/// Its package and binary.
pub(super) const CALLER: &str = "bench-caller";
/// What a call may cost, as a multiple of the bare one.
const BAR: f64 = 1.3;

/// CPU of this many calls in a row each, in microseconds per call.
#[derive(Deserialize)]
struct Measured {
    bare_us: Vec<f64>,
    ours_us: Vec<f64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Calls {
    bare_us: f64,
    ours_us: f64,
    ratio: f64,
    limit: f64,
}

/// Runs it with a function's environment.
pub(super) async fn measure(
    template: &Template,
    bootstraps: &Bootstraps,
    endpoints: &BTreeMap<String, String>,
    folder: &Path,
) -> Result<Calls, Failed> {
    let function = template.functions.iter().find(|function| function.binary == "api-proxy");
    let function = function.ok_or_else(|| Failed("template.yaml has no api-proxy".into()))?;
    let port =
        TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).map_err(Failed::from)?;
    let (figures, log) = (folder.join("calls.json"), folder.join("calls.log"));
    let mut command = Command::new(bootstraps.path(CALLER));
    command.arg(&figures).env_clear().envs(&function.environment).envs(endpoints).kill_on_drop(true);
    command.envs([("AWS_REGION", REGION), ("AWS_ACCESS_KEY_ID", DEVELOPER_KEY), ("AWS_SECRET_ACCESS_KEY", "local")]);
    command.env("INTERTIE_URL_REWRITES", format!("https://provider.example=http://{port}"));
    let logged = std::fs::File::create(&log).map_err(|error| unwritable(&log, &error))?;
    command.stdout(std::process::Stdio::null()).stderr(logged);
    let status = command.status().await.map_err(Failed::from)?;
    if !status.success() {
        return Err(Failed(format!("{CALLER} ended with {status}; see {}", log.display())));
    }
    let text = std::fs::read(&figures).map_err(Failed::from)?;
    let Measured { bare_us, ours_us } = serde_json::from_slice(&text).map_err(Failed::from)?;
    let (bare_us, ours_us) = (median(bare_us), median(ours_us));
    Ok(Calls { bare_us, ours_us, ratio: ours_us / bare_us, limit: BAR })
}

impl Calls {
    /// As printed.
    pub(super) fn line(&self) -> String {
        let Self { bare_us, ours_us, ratio, limit } = self;
        let verdict = if self.holds() { "holds" } else { "MISSED" };
        format!(
            "A call (credential cached, cells of the limits reserved) against the bare HTTP client, same process, in turns:\n  \
             {ours_us:.1} µs against {bare_us:.1} µs of CPU: {ratio:.2} × (bar {limit:.2}): {verdict}"
        )
    }

    /// Whether the bar holds.
    pub(super) fn holds(&self) -> bool {
        self.ratio <= self.limit
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
