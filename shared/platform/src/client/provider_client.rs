//! The one way from a function to a provider: what the client is made of, and the app's own calls.
//!
//! *Invariant:* the parts belong to the client: no function reaches through it to another part.

use std::sync::Arc;

use domain::{
    Reply, Request,
    call::form,
    oauth::grant::{ClientAuth, OAuth},
    provider_api::ProviderApi,
};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use crate::{
    aws::secrets::{App, Secrets},
    base::clock,
    client::{
        attempts::AttemptCredentials,
        error::CallError,
        flights::Flights,
        http::Authorization,
        pace::Waiting,
        transport::{Endpoint, ProviderRequest, Transport},
    },
    stores::credentials::Credentials,
};

/// Calls providers in the name of integrations, of tokens in hand, and of the apps themselves.
#[derive(Debug)]
pub struct ProviderClient {
    pub(super) transport: Transport,
    pub(super) credentials: Arc<Credentials>,
    pub(super) apps: Arc<Secrets<App>>,
    pub(super) flights: Flights,
    pub(super) attempts: AttemptCredentials,
    stack: String,
}

impl ProviderClient {
    /// A client that takes credentials and the apps' secrets from these stores; `stack` names this deployment in its metrics.
    pub(super) fn new(
        transport: Transport,
        credentials: Arc<Credentials>,
        apps: Arc<Secrets<App>>,
        stack: impl Into<String>,
    ) -> Self {
        let (flights, attempts) = (Flights::default(), AttemptCredentials::default());
        Self { transport, credentials, apps, flights, attempts, stack: stack.into() }
    }

    /// The address that a browser is led to for `url`: where a configured rewrite points, or `url` itself.
    pub fn rewritten(&self, url: String) -> String {
        self.transport.rewritten(url)
    }

    /// Writes the counts of calls. Once per invocation, at its end.
    pub async fn flush(&self) {
        self.transport.flush(&self.stack, clock::now()).await;
    }

    /// A call of the app. It is not retried if it may have been carried out, unless the request says that this is safe: a code or
    /// a refresh token may be good for one use only.
    pub(super) async fn as_app(
        &self,
        provider: &ProviderApi,
        app: &App,
        oauth: &'static OAuth,
        request: &Request,
        deadline: Timestamp,
    ) -> Result<Reply, CallError> {
        let (request, authorization) = proven(request, app, oauth.client_auth);
        let (request, endpoint) = (&request, Endpoint::Token(oauth));
        let call = ProviderRequest {
            provider,
            request,
            authorization,
            account: None,
            endpoint,
            deadline,
            waiting: Waiting::Here,
        };
        self.transport.send(call).await
    }
}

/// The app's own call, with its id and secret in the place that the provider documents (RFC 6749 §2.3.1).
fn proven<'a>(request: &Request, app: &'a App, client_auth: ClientAuth) -> (Request, Authorization<'a>) {
    let mut request = request.clone();
    match client_auth {
        ClientAuth::Basic => (request, Authorization::Basic(&app.client_id, &app.client_secret)),
        ClientAuth::Form => {
            let secret = app.client_secret.expose_secret();
            let own = form([("client_id", app.client_id.as_str()), ("client_secret", secret)]);
            if let Some((_, body)) = &mut request.body {
                body.push(b'&');
                body.extend(own.into_bytes());
            }
            (request, Authorization::None)
        }
    }
}
