//! The bootstrap of `oauth-callback`.

use oauth_callback::{Config, OauthCallback};
use platform::{Aws, aws::Patience, config, http, telemetry};
use providers::REGISTRY;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let config = config::load(Config::read)?;
    let function = OauthCallback::new(&Aws::from_env(Patience::REQUEST)?, &config, REGISTRY)?;
    http::run(|request| function.handle(request)).await
}
