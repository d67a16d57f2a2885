//! The bootstrap of `oauth-callback`.

use std::process::ExitCode;

use oauth_callback::{Config, OauthCallback};
use platform::{
    Aws,
    aws::Patience,
    base::{config, telemetry},
    runtime::{bootstrap, http},
};
use providers::REGISTRY;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let function = async {
        let config = config::load(Config::read)?;
        let function = OauthCallback::new(&Aws::from_env(Patience::REQUEST)?, &config, REGISTRY)?;
        http::run(|request| function.handle(request)).await
    };
    bootstrap::run(function).await
}
