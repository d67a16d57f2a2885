//! A bootstrap that an application deploys in place of `webhook-process`: the same function, with the application's handlers.

mod handlers;

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
    telemetry::init_with(&[module_path!()]);
    let function = async {
        let config = config::load(Config::read)?;
        let aws = Aws::from_env(Patience::QUEUE)?;
        let function = Process::new(&aws, &config, providers::REGISTRY, handlers::table())?;
        bootstrap::serve(|event| function.handle(event)).await
    };
    bootstrap::run(function).await
}
