//! The bootstrap of `api-proxy`.

use std::process::ExitCode;

use api_proxy::{ApiProxy, Config};
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
        let function = ApiProxy::new(&Aws::from_env(Patience::REQUEST)?, &config, providers::REGISTRY)?;
        http::run(|request| function.handle(request)).await
    };
    bootstrap::run(function).await
}
