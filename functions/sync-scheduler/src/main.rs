//! The bootstrap of `sync-scheduler`.

use platform::{Aws, aws::Patience, config, telemetry};
use sync_scheduler::{Config, SyncScheduler};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let config = config::load(Config::read)?;
    let function = SyncScheduler::new(&Aws::from_env(Patience::QUEUE)?, &config);
    lambda_runtime::run(lambda_runtime::service_fn(|event| function.handle(event))).await
}
