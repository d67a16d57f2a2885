//! What a call is made with, besides the request itself.
//!
//! *Invariant:* each kind of principal proves itself in one way, so no caller chooses how a call is authorised.

use std::sync::atomic::AtomicBool;

use domain::{AccountId, CredentialName, IntegrationKey, oauth::grant::OAuth, provider_api::ProviderApi};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::{aws::secrets::App, client::pace::Waiting};

/// The provider that is called, the principal that the call is made for, and the end of the time for it.
#[derive(Debug, Clone, Copy)]
pub struct CallContext<'a> {
    /// Selects the API, its limits and what its answers mean.
    pub provider: &'a ProviderApi,
    /// Selects the credential.
    pub principal: Principal<'a>,
    /// When the last attempt, refreshes included, must be over.
    pub deadline: Timestamp,
    /// How the call waits for its turn.
    pub waiting: Waiting<'a>,
}

/// What a call is made for.
#[derive(Debug, Clone, Copy)]
pub enum Principal<'a> {
    /// An integration, by its stored credential. It is refreshed before it expires, and once if the provider refuses it.
    Integration(StoredCredential<'a>),
    /// The holder of an access token that is not stored, or not any more (RFC 6750).
    Token {
        /// The access token.
        token: &'a SecretString,
        /// The account whose limits count the call. Without one the call is not paced: the account is not known yet.
        account: Option<&'a AccountId>,
    },
    /// The app itself, at the provider's endpoints for tokens. The request is a form.
    App {
        /// The app's id and secret.
        app: &'a App,
        /// How the provider wants them, and what its answers mean.
        oauth: &'static OAuth,
    },
}

/// A stored credential, as one attempt uses it.
#[derive(Debug, Clone, Copy)]
pub struct StoredCredential<'a> {
    /// A call that shows that the grant is over takes it out of use.
    pub integration: &'a IntegrationKey,
    /// The name of the credential: an integration can have several, such as Slack's bot and user tokens.
    pub name: &'a CredentialName,
    /// Names the attempt: it holds the lease of a refresh, and reads the credential once.
    pub holder: &'a str,
}

impl<'a> CallContext<'a> {
    /// A call whose caller waits for its turn.
    pub const fn new(provider: &'a ProviderApi, principal: Principal<'a>, deadline: Timestamp) -> Self {
        Self { provider, principal, deadline, waiting: Waiting::Here }
    }

    /// The same call for a message that waits for its turn in the queue. The flag says whether it comes at its place in the line.
    #[must_use]
    pub const fn in_line(self, has_place: &'a AtomicBool) -> Self {
        Self { waiting: Waiting::InLine(has_place), ..self }
    }

    /// A call of an integration, by the credential that the provider's API takes.
    pub const fn integration(
        provider: &'a ProviderApi,
        integration: &'a IntegrationKey,
        holder: &'a str,
        deadline: Timestamp,
    ) -> Self {
        let stored = StoredCredential { integration, name: provider.credential, holder };
        Self::new(provider, Principal::Integration(stored), deadline)
    }
}
