//! `GET /providers`: what can be connected.

use domain::ProviderId;
use lambda_http::http::StatusCode;
use platform::runtime::http::{Call, json};
use providers::{Auth, Spec};
use serde::Serialize;

use crate::{Answer, IntegrationsApi};

#[derive(Serialize)]
struct Offer {
    providers: Vec<Offered>,
}

/// A provider as callers see it.
#[derive(Serialize)]
struct Offered {
    id: &'static ProviderId,
    name: &'static str,
    /// How a user connects.
    auth: Way,
    /// What is asked for, unless a caller asks for other scopes.
    scopes: &'static [&'static str],
    /// What is kept in sync.
    streams: Vec<&'static str>,
    actions: &'static [&'static str],
    /// Whether it reports changes by webhooks.
    webhooks: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    Oauth,
    ApiKey,
}

impl IntegrationsApi {
    /// The providers of this deployment, for anybody.
    pub(crate) fn offer(&self, call: &Call<'_>) -> Answer {
        call.check()?;
        let providers = self.registry.iter().map(|provider| provider.spec().into()).collect();
        Ok(json(StatusCode::OK, &Offer { providers }))
    }
}

impl From<&'static Spec> for Offered {
    fn from(spec: &'static Spec) -> Self {
        let (auth, scopes): (_, &[_]) = match &spec.auth {
            Auth::OAuth(oauth) => (Way::Oauth, oauth.scopes),
            Auth::ApiKey(_) => (Way::ApiKey, &[]),
        };
        Self {
            id: &spec.id,
            name: spec.name,
            auth,
            scopes,
            streams: spec.streams.iter().map(|stream| stream.name).collect(),
            actions: spec.actions,
            webhooks: spec.webhook.is_some(),
        }
    }
}
