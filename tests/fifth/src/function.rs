//! Any of the functions that call providers, as its name tells, with another set of providers.

use platform::{
    Aws,
    aws::Patience,
    base::config,
    runtime::{
        bootstrap::{StartError, serve},
        http,
    },
};
use providers::Registry;

pub(crate) async fn function(registry: Registry) -> Result<(), StartError> {
    let name = config::load(|env| env.text("AWS_LAMBDA_FUNCTION_NAME"))?;
    let (request, queue) = (|| Aws::from_env(Patience::REQUEST), || Aws::from_env(Patience::QUEUE));
    match name {
        name if name.ends_with("-api-proxy") => {
            let config = config::load(api_proxy::Config::read)?;
            let function = api_proxy::ApiProxy::new(&request()?, &config, registry)?;
            http::run(|event| function.handle(event)).await
        }
        name if name.ends_with("-integrations-api") => {
            let config = config::load(integrations_api::Config::read)?;
            let function = integrations_api::IntegrationsApi::new(&request()?, &config, registry)?;
            http::run(|event| function.handle(event)).await
        }
        name if name.ends_with("-oauth-callback") => {
            let config = config::load(oauth_callback::Config::read)?;
            let function = oauth_callback::OauthCallback::new(&request()?, &config, registry)?;
            http::run(|event| function.handle(event)).await
        }
        name if name.ends_with("-sync-worker") => {
            let config = config::load(sync_worker::Config::read)?;
            let function = sync_worker::SyncWorker::new(&queue()?, &config, registry)?;
            serve(|event| function.handle(event)).await
        }
        name if name.ends_with("-token-refresh") => {
            let config = config::load(token_refresh::Config::read)?;
            let function = token_refresh::TokenRefresh::new(&queue()?, &config, registry)?;
            serve(|event| function.handle(event)).await
        }
        name => Err(StartError::new("UnknownFunction", format!("{name} calls no provider"))),
    }
}
