//! The bootstrap of `integrations-api`.

use integrations_api::{Config, IntegrationsApi};
use platform::{Aws, aws::Patience, config, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let config = config::load(Config::read)?;
    let function = IntegrationsApi::new(&Aws::from_env(Patience::REQUEST)?, &config);
    lambda_http::run(lambda_http::service_fn(|request| function.handle(request))).await
}
