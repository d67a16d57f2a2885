//! The bootstrap of `webhook-ingest`.

use std::process::ExitCode;

use platform::{
    Aws,
    aws::Patience,
    base::{config, telemetry},
    runtime::{bootstrap, http},
};
use webhook_ingest::{Config, Ingest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let function = async {
        let config = config::load(Config::read)?;
        let function = Ingest::new(&Aws::from_env(Patience::REQUEST)?, &config, providers::REGISTRY).await?;
        http::run(|request| function.handle(request)).await
    };
    bootstrap::run(function).await
}
