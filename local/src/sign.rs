//! Signing a body as a provider would: the "generate test webhook" tool.

use domain::Proof;
use http::HeaderMap;
use jiff::Timestamp;
use secrecy::SecretString;

/// A body can't be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// No such provider.
    #[error("there is no provider {id:?}; there are: {known}")]
    Unknown {
        /// As asked for.
        id: String,
        /// The known ones.
        known: String,
    },
    /// It does not sign.
    #[error("{0} does not sign its webhooks with a secret")]
    NoScheme(&'static str),
    /// The secret is no key.
    #[error("the webhook secret of {0} can't be used as a key")]
    Secret(&'static str),
}

/// The headers that make `body` a validly signed delivery of a provider, `Content-Type` included.
pub fn sign(
    provider: &str,
    body: &[u8],
    secret: &SecretString,
    now: Timestamp,
) -> Result<Vec<(&'static str, String)>, SignError> {
    let known = || providers::REGISTRY.ids().join(", ");
    let found =
        providers::REGISTRY.find(provider).ok_or_else(|| SignError::Unknown { id: provider.into(), known: known() })?;
    let spec = found.spec();
    let Some(Proof::Signature(scheme)) = &spec.webhook else { return Err(SignError::NoScheme(spec.name)) };
    let mut headers = vec![("content-type", "application/json".to_owned())];
    headers.extend(scheme.sign(&HeaderMap::new(), body, secret, now).ok_or(SignError::Secret(spec.name))?);
    Ok(headers)
}
