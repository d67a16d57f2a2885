//! The bootstrap of `integrations-api`.

use integrations_api::{Config, IntegrationsApi};
use platform::{Aws, aws::Patience, config, http, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let config = config::load(Config::read)?;
    let function = IntegrationsApi::new(&Aws::from_env(Patience::REQUEST)?, &config, providers::REGISTRY);
    http::run(|request| function.handle(request)).await
}
