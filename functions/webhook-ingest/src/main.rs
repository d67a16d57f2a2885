//! The bootstrap of `webhook-ingest`.

use platform::{Aws, aws::Patience, config, http, telemetry};
use webhook_ingest::{Config, Ingest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let config = config::load(Config::read)?;
    let function = Ingest::new(&Aws::from_env(Patience::REQUEST)?, &config, providers::REGISTRY).await;
    http::run(|request| function.handle(request)).await
}
