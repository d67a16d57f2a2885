//! What every call to a provider needs to know of it.

use crate::{
    call::Api,
    id::{CredentialName, ProviderId},
    oauth::grant::OAuth,
};

/// A provider as its client knows it: addresses, credentials and the meaning of answers.
#[derive(Debug, Clone, Copy)]
pub struct ProviderApi {
    /// The provider's id in URLs, keys and configuration.
    pub id: &'static ProviderId,
    /// Its name for people.
    pub name: &'static str,
    /// The secret of the app.
    pub app: &'static str,
    /// Its base address, limits and error codes.
    pub api: &'static Api,
    /// Its grant; none for keys.
    pub oauth: Option<&'static OAuth>,
    /// The credential that its API takes.
    pub credential: &'static CredentialName,
}
