//! A bootstrap with a fifth provider: any of the functions that call providers, as its name tells.
//!
//! Beside the provider's folder there is one line for it, [`registry`]'s.

mod notebook;

use std::process::ExitCode;

use platform::{
    Aws,
    aws::Patience,
    base::{config, telemetry},
    runtime::{
        bootstrap::{self, StartError, serve},
        http,
    },
};
use providers::{REGISTRY, Registry};

use self::notebook::Notebook;

fn registry() -> Registry {
    Registry(REGISTRY.iter().chain([&Notebook as _]).collect::<Vec<_>>().leak())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    bootstrap::run(function()).await
}

async fn function() -> Result<(), StartError> {
    let name = config::load(|env| env.text("AWS_LAMBDA_FUNCTION_NAME"))?;
    let (request, queue) = (|| Aws::from_env(Patience::REQUEST), || Aws::from_env(Patience::QUEUE));
    match name {
        name if name.ends_with("-api-proxy") => {
            let config = config::load(api_proxy::Config::read)?;
            let function = api_proxy::ApiProxy::new(&request()?, &config, registry())?;
            http::run(|event| function.handle(event)).await
        }
        name if name.ends_with("-integrations-api") => {
            let config = config::load(integrations_api::Config::read)?;
            let function = integrations_api::IntegrationsApi::new(&request()?, &config, registry());
            http::run(|event| function.handle(event)).await
        }
        name if name.ends_with("-oauth-callback") => {
            let config = config::load(oauth_callback::Config::read)?;
            let function = oauth_callback::OauthCallback::new(&request()?, &config, registry())?;
            http::run(|event| function.handle(event)).await
        }
        name if name.ends_with("-sync-worker") => {
            let config = config::load(sync_worker::Config::read)?;
            let function = sync_worker::SyncWorker::new(&queue()?, &config, registry())?;
            serve(|event| function.handle(event)).await
        }
        name if name.ends_with("-token-refresh") => {
            let config = config::load(token_refresh::Config::read)?;
            let function = token_refresh::TokenRefresh::new(&queue()?, &config, registry())?;
            serve(|event| function.handle(event)).await
        }
        name => Err(StartError::new("UnknownFunction", format!("{name} calls no provider"))),
    }
}
