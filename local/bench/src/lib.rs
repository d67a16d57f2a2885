//! `cargo local bench`: what bootstraps cost, as deployed: release builds, driven through the Runtime API, with AWS over
//! TLS, beside a baseline: a bare SQS sender (`tests/bench`).
//!
//! With `--sync` it measures what syncs cost in proportion to what changed: see `sync`.
//!
//! *Invariant:* whatever is compared was measured in turns in the same run, so that the machine's noise hits both; and an
//! answer other than the expected one ends the run, so that no figure is that of a failure.

mod against;
mod calls;
mod events;
mod figures;
mod files;
mod measured;
mod meter;
mod options;
mod run;
mod subject;
mod sync;
mod tls;

use std::path::Path;

use local_base::terminal::{Failed, say};
use local_runtime::{
    bootstraps::{self, Bootstraps, Profile},
    lambda::FunctionSpec,
    stack::{self, Cloud, CloudOptions},
};
use serde_json::Value;

use self::{
    events::Events,
    figures::Table,
    files::unwritable,
    run::Bench,
    subject::{SENDER, Subject},
    tls::Tls,
};
pub use self::{options::Options, sync::Emulator};

/// Measures what `options` name and prints the figures. `secrets` are those of the apps, by their names without prefix. Fails if a bar
/// is missed. `slack` starts an emulator for the syncs of `--sync`.
pub async fn run(
    options: &Options,
    secrets: &[(&'static str, Value)],
    slack: impl AsyncFn() -> Result<Emulator, Failed>,
) -> Result<(), Failed> {
    if !options.sync.is_empty() {
        return sync::run(options, slack).await;
    }
    if options.events == 0 || options.starts == 0 {
        return Err(Failed("nothing to measure: give --events and --starts at least 1".into()));
    }
    let subjects = Subject::select(&options.functions)?;
    let mut packages: Vec<_> = subjects.iter().map(|subject| subject.package).collect();
    packages.dedup();
    // Measured with what makes calls.
    let with_calls = packages.contains(&"api-proxy");
    packages.extend(with_calls.then_some(calls::CALLER));
    let root = bootstraps::root();
    let bootstraps = match &options.bootstraps {
        None => built(&root, &packages).await?,
        Some(folder) => ready_made(folder, &root, &packages).await?,
    };
    let before = options.against.as_deref().map(Bootstraps::ready_made).transpose().map_err(Failed::from)?;
    if let Some(before) = &before {
        before.check([subject::INGEST].into_iter()).map_err(Failed::from)?;
    }
    let folder = bootstraps::target_folder().map_err(Failed::from)?.join("local/bench");
    std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;

    let cloud = Cloud::start(
        &root.join("template.yaml"),
        CloudOptions {
            overrides: &[],
            own: &[],
            secrets,
            aws_endpoint: None,
            events: &folder.join("events.jsonl"),
            api_url: "http://api",
            ledger: None,
        },
    )
    .await;
    let cloud = cloud.map_err(Failed::from)?;
    let endpoints = Tls::issue(&folder)?.serve(&cloud.gateway).await?;
    let specs = subjects.iter().map(|subject| subject.spec(&cloud.template, &bootstraps, &endpoints));
    let specs: Vec<FunctionSpec> = specs.collect::<Result<_, _>>()?;
    let events = Events::load(&root, &cloud, secrets).await?;
    let host = stack::host(folder.join("logs"), cloud.access_keys.clone());

    let mut bench = Bench::new(&events, &cloud.gateway, &host, subjects.iter().copied().zip(&specs));
    say(&format!("Measuring {} cold starts and {} warm events of each …", options.starts, options.events));
    bench.cold(options.starts).await?;
    bench.warm(options.events).await?;
    let mut table = Table::new(bench.figures()?);
    if let Some(before) = &before {
        say("Measuring five pairs …");
        let spec = |bootstraps| Subject::ingest().spec(&cloud.template, bootstraps, &endpoints);
        let (now, before) = (spec(&bootstraps)?, spec(before)?);
        table.against = Some(against::measure([&now, &before], &events, &cloud.gateway, &host, options.events).await?);
    }
    if with_calls {
        table.calls = Some(calls::measure(&cloud.template, &bootstraps, &endpoints, &folder).await?);
    }
    table.lines().iter().for_each(|line| say(line));
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&table).map_err(Failed::from)?;
        std::fs::write(file, text).map_err(|error| unwritable(file, &error))?;
    }
    match table.verdict() {
        Err(missed) if options.report_only => {
            say(&format!("Only reported: {missed}"));
            Ok(())
        }
        verdict => verdict,
    }
}

async fn built(root: &Path, packages: &[&str]) -> Result<Bootstraps, Failed> {
    say("Building release bootstraps …");
    Bootstraps::build(root, Profile::Release, packages).await.map_err(Failed::from)
}

/// The bootstraps of `folder`. What they are compared with is built if it is not there.
async fn ready_made(folder: &Path, root: &Path, packages: &[&str]) -> Result<Bootstraps, Failed> {
    let all = Bootstraps::ready_made(folder).map_err(Failed::from)?;
    let compared = |package: &&str| [SENDER, calls::CALLER].contains(package);
    all.check(packages.iter().copied().filter(|package| !compared(package))).map_err(Failed::from)?;
    let absent: Vec<_> = packages.iter().copied().filter(|package| !all.path(package).is_file()).collect();
    if absent.is_empty() {
        return Ok(all);
    }
    let built = built(root, &absent).await?;
    Ok(absent.into_iter().fold(all, |all, package| all.with(package, built.path(package))))
}
