//! A bootstrap that an application deploys in place of `webhook-process`: the same function, with the application's handlers.

mod handlers;

use platform::{Aws, aws::Patience, config, telemetry};
use webhook_process::{Config, Process};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init_with(&[module_path!()]);
    let config = config::load(Config::read)?;
    let aws = Aws::from_env(Patience::QUEUE)?;
    let function = Process::new(&aws, &config, providers::REGISTRY, handlers::table())?;
    lambda_runtime::run(lambda_runtime::service_fn(|event| function.handle(event))).await
}
