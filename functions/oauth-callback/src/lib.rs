//! `oauth-callback`: the life of a grant, from connecting to disconnecting.
//!
//! No provider can be connected yet: the routes check who is calling and say so.

use std::{convert::Infallible, time::Duration};

use domain::{Problem, error::Kind};
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
pub struct OauthCallback {
    integrations: Integrations,
    keys: Secrets<Keys>,
}

impl OauthCallback {
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
        let (id, name) = (provider.spec().id, provider.spec().name);
        if call.path() == "/auth/{provider}/callback" {
            // No state was ever issued, so none can be right.
            let message = "This link is not valid any more.";
            return Problem::new(Kind::MalformedRequest, message, "Start connecting again from the settings page.");
        }
        let caller = match call.caller(&self.keys).await {
            Ok(caller) => caller,
            Err(denied) => return denied,
        };
        if call.path() != "/integrations/{provider}/disconnect" {
            let message = format!("{name} can't be connected in this version.");
            return Problem::new(
                Kind::InvalidRequest,
                message,
                "Follow the change log; nothing that was sent is kept.",
            );
        }
        match self.integrations.of_user(&caller.user_id, Some(id)).await {
            Ok(found) if found.is_empty() => Problem::not_connected(name),
            Ok(_) => Problem::new(
                Kind::InvalidRequest,
                format!("{name} can't be disconnected in this version."),
                "Remove the application's access in the provider's own settings.",
            ),
            Err(error) => internal(&error),
        }
    }
}
