//! The bootstrap of `sync-worker`.

use std::process::ExitCode;

use platform::{
    Aws,
    aws::Patience,
    base::{config, telemetry},
    runtime::bootstrap,
};
use sync_worker::{Config, SyncWorker};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let function = async {
        let config = config::load(Config::read)?;
        let function = SyncWorker::new(&Aws::from_env(Patience::QUEUE)?, &config, providers::REGISTRY)?;
        bootstrap::serve(|event| function.handle(event)).await
    };
    bootstrap::run(function).await
}
