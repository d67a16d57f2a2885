//! What syncs cost in proportion: the first sync of a workspace, one that finds nothing new, and one after every hundredth object
//! changed.
//!
//! *Invariant:* a bar that does not hold fails the run: a sync writes the records of what changed and no other, and an idle
//! workspace costs little.

mod feed;
mod figures;
mod phase;
mod price;
mod workspace;

use std::path::Path;

use local_base::terminal::{Failed, say};
use local_runtime::bootstraps::{self, Bootstraps, Profile};

pub use self::workspace::Emulator;
use self::{
    figures::{Case, Figures},
    phase::Phase,
    price::Cost,
    workspace::Workspace,
};
use crate::{files::unwritable, options::Options};

/// One object in so many changes.
const CHANGED: u32 = 100;

/// Measures the workspaces that `options` name, each at an emulator of its own, and prints the figures. Fails if a bar is missed.
pub(super) async fn run(options: &Options, slack: impl AsyncFn() -> Result<Emulator, Failed>) -> Result<(), Failed> {
    let root = bootstraps::root();
    let bootstraps = match &options.bootstraps {
        None => Bootstraps::build(&root, Profile::Dev, &[]).await,
        Some(folder) => Bootstraps::ready_made(folder),
    };
    let bootstraps = bootstraps.map_err(Failed::from)?;
    let folder = bootstraps::target_folder().map_err(Failed::from)?.join("local/bench");
    let mut cases = Vec::new();
    for objects in &options.sync {
        say(&format!("Syncing a workspace of {objects} objects …"));
        cases.push(Box::pin(measure(&root, &bootstraps, &folder, *objects, slack().await?)).await?);
    }
    let figures = Figures { cases, as_deployed: options.bootstraps.is_some() };
    figures.lines().iter().for_each(|line| say(line));
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&figures).map_err(Failed::from)?;
        std::fs::write(file, text).map_err(|error| unwritable(file, &error))?;
    }
    match figures.verdict() {
        Err(missed) if options.report_only => {
            say(&format!("Only reported: {missed}"));
            Ok(())
        }
        verdict => verdict,
    }
}

async fn measure(
    root: &Path,
    bootstraps: &Bootstraps,
    folder: &Path,
    objects: u32,
    slack: Emulator,
) -> Result<Case, Failed> {
    let workspace = Workspace::start(root, bootstraps, folder, objects, slack).await?;
    let first = Phase::measure(&workspace, workspace.connect()).await?;
    let records = workspace.records().await?;
    if records != u64::from(objects) {
        return Err(Failed(format!(
            "the first sync left {records} records of {objects} objects; see target/local/bench/logs"
        )));
    }
    workspace.age().await?;
    let idle = Phase::measure(&workspace, Box::pin(workspace.come_due())).await?;
    let changes = objects / CHANGED;
    workspace.change(changes).await?;
    let changed = Phase::measure(&workspace, Box::pin(workspace.come_due())).await?;
    let architecture = workspace.stack.template.parameters.get("Architecture").cloned().unwrap_or_default();
    let month = Cost::of(&idle, &architecture);
    workspace.stack.shutdown().await;
    Ok(Case { objects, changes, first, idle, changed, month })
}
