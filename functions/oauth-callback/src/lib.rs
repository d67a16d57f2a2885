//! `oauth-callback`: the life of a grant, from connecting to disconnecting.
//!
//! No provider can be connected yet: the routes check who is calling and say so.

use std::{convert::Infallible, time::Duration};

use domain::{Problem, error::Kind};
use lambda_http::{
    Body, Request, Response,
    http::{Method, StatusCode},
};
use platform::{
    Aws,
    config::Env,
    http::{Call, caller, parameter, problem, text},
    integrations::Integrations,
    secrets::Secrets,
    session::{Accept, Keys},
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
        let Some(provider) = providers::find(&parameter(&request, "provider")) else {
            return Ok(problem(&Problem::unknown_provider(&providers::ids()), &call.request_id));
        };
        let (id, name) = (provider.spec().id, provider.spec().name);
        let path = request.uri().path();
        if path.ends_with("/callback") {
            // No state was ever issued, so none can be right.
            let words = "This link is not valid any more. Please start connecting again from the settings page.";
            return Ok(text(StatusCode::BAD_REQUEST, words));
        }
        let answer = match caller(request.headers(), &self.keys, Accept::BearerOrCookie).await {
            Err(denied) => denied,
            Ok(caller) if path.ends_with("/disconnect") => {
                match self.integrations.of_user(&caller.user_id, Some(id)).await {
                    Ok(found) if found.is_empty() => Problem::not_connected(name),
                    Ok(_) => Problem::new(
                        Kind::InvalidRequest,
                        format!("{name} can't be disconnected in this version."),
                        "Remove the application's access in the provider's own settings.",
                    ),
                    Err(_) => Problem::internal(),
                }
            }
            Ok(_) => Problem::new(
                Kind::InvalidRequest,
                format!("{name} can't be connected in this version."),
                match *request.method() {
                    Method::POST => "Keep the key; it was not stored.",
                    _ => "Follow the change log for when it can.",
                },
            ),
        };
        Ok(problem(&answer, &call.request_id))
    }
}
