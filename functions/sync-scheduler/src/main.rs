//! The bootstrap of `sync-scheduler`.

use std::process::ExitCode;

use platform::{
    Aws,
    aws::Patience,
    base::{config, telemetry},
    runtime::bootstrap,
};
use sync_scheduler::{Config, SyncScheduler};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let function = async {
        let config = config::load(Config::read)?;
        let function = SyncScheduler::new(&Aws::from_env(Patience::QUEUE)?, &config);
        bootstrap::serve(|event| function.handle(event)).await
    };
    bootstrap::run(function).await
}
