//! A bootstrap with a fifth provider: any of the functions that call providers, as its name tells.
//!
//! Beside the provider's folder there is one line for it, [`registry`]'s.

mod function;
mod notebook;

use std::process::ExitCode;

use platform::{base::telemetry, runtime::bootstrap};
use providers::{REGISTRY, Registry};

use self::notebook::Notebook;

fn registry() -> Registry {
    Registry(REGISTRY.iter().chain([&Notebook as _]).collect::<Vec<_>>().leak())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    bootstrap::run(function::function(registry())).await
}
