//! The bootstrap of `webhook-process`.

use std::process::ExitCode;

use platform::{
    Aws,
    aws::Patience,
    base::{config, telemetry},
    runtime::bootstrap,
};
use webhook_process::{Config, Process};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let function = async {
        let config = config::load(Config::read)?;
        let function = Process::new(&Aws::from_env(Patience::QUEUE)?, &config, providers::REGISTRY, [])?;
        bootstrap::serve(|event| function.handle(event)).await
    };
    bootstrap::run(function).await
}
