//! `api-proxy`: authorised calls to providers on behalf of the application.
//!
//! No provider can be connected yet, so every call ends at the missing credential; who may ask is decided already.

use std::{convert::Infallible, time::Duration};

use domain::Problem;
use lambda_http::{Body, Request, Response};
use platform::{
    Aws,
    config::Env,
    http::{Call, internal},
    integrations::Integrations,
    secrets::Secrets,
    session::Keys,
};

/// What template.yaml sets.
#[derive(Debug)]
pub struct Config {
    integrations_table: String,
    secret_prefix: String,
    secret_cache: Duration,
}

impl Config {
    /// Reads it.
    pub fn read(env: &mut Env) -> Self {
        Self {
            integrations_table: env.text("INTEGRATIONS_TABLE"),
            secret_prefix: env.text("SECRET_PREFIX"),
            secret_cache: env.seconds("SECRET_CACHE_SECONDS"),
        }
    }
}

/// The function.
#[derive(Debug)]
pub struct ApiProxy {
    integrations: Integrations,
    keys: Secrets<Keys>,
}

impl ApiProxy {
    /// Makes the clients.
    pub fn new(aws: &Aws, config: &Config) -> Self {
        Self {
            integrations: Integrations::new(aws, &config.integrations_table),
            keys: Secrets::new(aws, &config.secret_prefix, config.secret_cache),
        }
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request) -> Result<Response<Body>, Infallible> {
        let call = Call::of(&request);
        Ok(call.refuse(&self.answer(&call).await))
    }

    async fn answer(&self, call: &Call<'_>) -> Problem {
        let Some(provider) = providers::find(call.parameter("provider")) else {
            return Problem::unknown_provider(&providers::ids());
        };
        // Programs only: a browser's cookie must not be able to spend a token.
        let caller = match call.program(&self.keys).await {
            Ok(caller) => caller,
            Err(denied) => return denied,
        };
        // An integration without a credential can't be called either.
        match self.integrations.of_user(&caller.user_id, Some(provider.spec().id)).await {
            Ok(_) => Problem::not_connected(provider.spec().name),
            Err(error) => internal(&error),
        }
    }
}
