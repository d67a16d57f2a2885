//! The bootstrap of `token-refresh`.

use std::process::ExitCode;

use platform::{
    Aws,
    aws::Patience,
    base::{config, telemetry},
    runtime::bootstrap,
};
use token_refresh::{Config, TokenRefresh};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let function = async {
        let config = config::load(Config::read)?;
        let function = TokenRefresh::new(&Aws::from_env(Patience::QUEUE)?, &config, providers::REGISTRY)?;
        bootstrap::serve(|event| function.handle(event)).await
    };
    bootstrap::run(function).await
}
