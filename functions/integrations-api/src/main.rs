//! The bootstrap of `integrations-api`.

use std::process::ExitCode;

use integrations_api::{Config, IntegrationsApi};
use platform::{
    Aws,
    aws::Patience,
    base::{config, telemetry},
    runtime::{bootstrap, http},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let function = async {
        let config = config::load(Config::read)?;
        let function = IntegrationsApi::new(&Aws::from_env(Patience::REQUEST)?, &config, providers::REGISTRY)?;
        http::run(|request| function.handle(request)).await
    };
    bootstrap::run(function).await
}
