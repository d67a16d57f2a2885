//! A bootstrap with GitHub as an added provider: any of the functions that call providers.

#[path = "../../fifth/src/function.rs"]
mod function;
mod github;

use std::process::ExitCode;

use platform::{base::telemetry, runtime::bootstrap};
use providers::{REGISTRY, Registry};

use self::github::GitHub;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let registry = Registry(REGISTRY.iter().chain([&GitHub as _]).collect::<Vec<_>>().leak());
    bootstrap::run(function::function(registry)).await
}
