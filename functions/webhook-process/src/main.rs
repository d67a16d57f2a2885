//! The bootstrap of `webhook-process`.

use platform::{Aws, aws::Patience, config, telemetry};
use webhook_process::{Config, Process};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let config = config::load(Config::read)?;
    let function = Process::new(&Aws::from_env(Patience::QUEUE)?, &config, providers::REGISTRY, [])?;
    lambda_runtime::run(lambda_runtime::service_fn(|event| function.handle(event))).await
}
