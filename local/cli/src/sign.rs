//! Signing a body as a provider would: the "generate test webhook" tool.

use domain::{
    Proof, ProviderId,
    webhook::proof::{ChannelOwner, ChannelToken},
};
use http::HeaderMap;
use jiff::Timestamp;
use local_sandbox::google::push_token;
use platform::aws::secrets::App;
use secrecy::SecretString;
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("there is no provider {id:?}; there are: {known}")]
    Unknown { id: String, known: String },
    /// It does not sign.
    #[error("{0} sends no webhooks that are signed with a secret")]
    NoScheme(&'static str),
    /// Its webhooks are for the channel of an integration, and there is none.
    #[error("{0} reports to channels of an integration, and none is connected; connect one on the status page first")]
    NoIntegration(&'static str),
    /// The secret is no key.
    #[error("the webhook secret of {0} can't be used as a key")]
    Secret(&'static str),
}

type Headers = Vec<(&'static str, String)>;

/// The headers that make `body` a validly signed delivery of a provider, `Content-Type` included.
pub fn sign(provider: &str, body: &[u8], secret: &SecretString, now: Timestamp) -> Result<Headers, SignError> {
    let spec = find(provider)?;
    let Some(Proof::Signature(scheme)) = &spec.webhook else { return Err(SignError::NoScheme(spec.name)) };
    let mut headers = vec![("content-type", content_type(body).to_owned())];
    headers.extend(scheme.sign(&HeaderMap::new(), body, secret, now).ok_or(SignError::Secret(spec.name))?);
    Ok(headers)
}

/// [`sign`] for any kind of proof, by the configuration of the provider's app. `owner` is the integration of the channel, for providers with channels.
pub fn sign_as(
    provider: &str,
    body: &[u8],
    app: &App,
    owner: Option<&ChannelOwner>,
    now: Timestamp,
) -> Result<Headers, SignError> {
    let spec = find(provider)?;
    match &spec.webhook {
        Some(Proof::Signature(_)) => {
            sign(provider, body, app.webhook_secrets.first().ok_or(SignError::Secret(spec.name))?, now)
        }
        Some(Proof::ChannelToken(proof)) => {
            let owner = owner.ok_or(SignError::NoIntegration(spec.name))?;
            let channel = Uuid::new_v4().to_string();
            let token = ChannelToken::mint(&app.webhook_secrets, &channel, owner);
            let mut headers = vec![(proof.channel, channel), (proof.token, token.ok_or(SignError::Secret(spec.name))?)];
            headers.extend(proof.forwarded_headers.iter().map(|(header, name)| {
                let value = match *name {
                    "state" => "exists".to_owned(),
                    "message_number" => now.as_millisecond().to_string(),
                    other => format!("local-{other}"),
                };
                (*header, value)
            }));
            Ok(headers)
        }
        Some(Proof::IdToken(_)) => {
            let (audience, email) = (app.push_audience.as_deref(), app.push_service_account.as_deref());
            let token = push_token(audience.unwrap_or_default(), email.unwrap_or_default());
            let token = token.ok_or(SignError::Secret(spec.name))?;
            Ok(vec![("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {token}"))])
        }
        None => Err(SignError::NoScheme(spec.name)),
    }
}

fn find(provider: &str) -> Result<&'static providers::Spec, SignError> {
    let known = || providers::REGISTRY.ids().into_iter().map(ProviderId::as_str).collect::<Vec<_>>().join(", ");
    let found = providers::REGISTRY.find(provider);
    found.map(providers::Provider::spec).ok_or_else(|| SignError::Unknown { id: provider.into(), known: known() })
}

/// Slack sends commands and clicks as forms; what is no JSON is one.
fn content_type(body: &[u8]) -> &'static str {
    let json = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
    let form = !json && body.contains(&b'=') && body.iter().all(u8::is_ascii_graphic);
    if form { "application/x-www-form-urlencoded" } else { "application/json" }
}
