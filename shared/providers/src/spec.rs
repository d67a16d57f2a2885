//! What data says of a provider.

use std::time::Duration;

use domain::{
    AccountAddress, CredentialName, Probe, ProviderId, call::Api, oauth::grant::OAuth, provider_api::ProviderApi,
    sync::record::Clock, webhook::proof::Proof,
};

/// What data says of a provider.
#[derive(Debug)]
pub struct Spec {
    /// Its id in URLs, keys and configuration.
    pub id: ProviderId,
    /// Its name for people.
    pub name: &'static str,
    /// The secret in Secrets Manager that holds its app's credentials, after the prefix. Providers may share one.
    pub secret: &'static str,
    /// How it gives access.
    pub auth: Auth,
    /// How the account of a new grant is found.
    pub identity: Identity,
    /// Its base address, limits and error codes.
    pub api: Api,
    /// How it proves that it sent a delivery. `None`: no delivery of it is accepted.
    pub webhook: Option<Proof>,
    /// Whether it sends forms too, as Slack does for slash commands. A form of any other provider is refused.
    pub forms: bool,
    /// The form, signed or not, by which it checks that an address answers.
    pub probe: Option<Probe>,
    /// A header with which it says that it delivers again what we did not acknowledge in time.
    pub retry_header: Option<&'static str>,
    /// What is kept in sync.
    pub streams: &'static [StreamSpec],
    /// How it reports changes, if it must be asked to.
    pub watching: Option<Watching>,
    /// The names of its typed actions.
    pub actions: &'static [&'static str],
}

/// How a provider gives access.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a constant of each provider, never moved")]
pub enum Auth {
    /// The authorization code grant of RFC 6749 §4.1.
    OAuth(OAuth),
    /// By a key that the user pastes.
    ApiKey(ApiKey),
}

/// A key that the user pastes.
#[derive(Debug)]
pub struct ApiKey {
    /// The name of the credential that it becomes.
    pub name: CredentialName,
    /// The sentence for a person that pastes something else.
    pub hint: &'static str,
    /// What a key begins with; empty if anything will do.
    pub prefixes: &'static [&'static str],
}

/// How the account of a new grant is found: pointers into answers.
#[derive(Debug)]
pub struct Identity {
    /// The answer that names the account, which no permission of a service may be needed for.
    pub place: AccountSource,
    /// The account's id: what the provider never changes, and never gives to another account.
    pub id: &'static str,
    /// The account's name; where several are given, the first that is there.
    pub name: &'static [&'static str],
    /// The call that asks the service itself about the account, if the account can exist without the service.
    pub service: Option<Service>,
    /// How a grant shows that it is of a whole organisation, which has many accounts, and not of one: it is refused.
    pub organisation: Option<Organisation>,
    /// Whether the name is an address by which the provider's events name the account.
    pub addressed: bool,
}

/// A grant of a whole organisation: pointers into the answer that brought the tokens.
#[derive(Debug)]
pub struct Organisation {
    /// What is `true` then.
    pub flag: &'static str,
    /// The pointer to the organisation's id.
    pub id: &'static str,
}

/// Which answer names the account.
#[derive(Debug)]
pub enum AccountSource {
    /// The one that brought the tokens.
    Grant,
    /// The ID token in the one that brought the tokens ([`domain::oauth::id_token`]).
    IdToken,
    /// That of a `GET` of this path, relative to the API's base.
    Get(&'static str),
}

/// A cheap call that says whether an account has the service, and what the account is called there now.
///
/// Only the refusal that says that there is no such service ends a connect. Any other leaves the name to the identity's answer:
/// the user may not have granted what the call needs.
#[derive(Debug)]
pub struct Service {
    /// The path of the `GET`, relative to the API's base.
    pub path: &'static str,
    /// The account's name in its answer.
    pub name: &'static str,
    /// The provider's codes that say that the account does not have the service.
    pub absent: &'static [&'static str],
}

/// One kind of objects that is kept in sync.
#[derive(Debug)]
pub struct StreamSpec {
    /// Its name in records, URLs and the status.
    pub name: &'static str,
    /// Whether a run can continue from the last one's cursor. If not, every run is a full one.
    pub incremental: bool,
    /// What makes the versions of its records.
    pub clock: Clock,
    /// The types of the events that end an object. Any other event of the stream carries a state of one that is there, whatever
    /// the provider calls it.
    pub ends: &'static [&'static str],
    /// Whether a full run that is due by itself asks for those of the objects on its pages that are new only. Right only where
    /// incremental runs bring every change of an object, its end included, so that a known object is current once they have ended.
    /// A full run that a caller asks for reads all objects all the same.
    pub skips_known: bool,
    /// What the answers depend on besides the granted scopes, if it is not the user that granted access. `None`: each integration reads for
    /// itself, as it must with a pasted key or a user's own token.
    pub shared_by: Option<Shared>,
}

/// What integrations of one account and of equal scopes have in common, so that one of them reads a stream for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// The app's installation in the account, whichever user made it. Only for streams of which every run is a full one.
    Installation,
}

/// Watches: channels that a provider reports changes to.
#[derive(Debug)]
pub struct Watching {
    /// The stream whose cursor says what to watch, and that is synced when a watch reports.
    pub stream: &'static str,
    /// The life to ask for.
    pub life: Duration,
    /// The most things of one account that are watched. The others are synced by schedule alone.
    pub most: usize,
    /// Whether each watch is a channel of its own, so that an old one must be stopped when a new one runs.
    pub channels: bool,
}

impl Spec {
    /// The stream of this name.
    pub fn stream(&self, name: &str) -> Option<&'static StreamSpec> {
        self.streams.iter().find(|stream| stream.name == name)
    }

    /// What calling its API takes.
    pub fn provider_api(&'static self) -> ProviderApi {
        let credential = match &self.auth {
            Auth::OAuth(oauth) => &oauth.access.name,
            Auth::ApiKey(key) => &key.name,
        };
        ProviderApi {
            id: &self.id,
            name: self.name,
            app: self.secret,
            api: &self.api,
            oauth: self.auth.oauth(),
            credential,
        }
    }
}

impl Identity {
    /// The address by which the provider's events name an account of this name, if they do.
    pub fn address(&self, name: &str) -> Option<AccountAddress> {
        AccountAddress::parse(name.to_lowercase()).ok().filter(|_| self.addressed)
    }
}

impl Auth {
    /// The OAuth grant, unless access is by key.
    pub const fn oauth(&self) -> Option<&OAuth> {
        match self {
            Self::OAuth(oauth) => Some(oauth),
            Self::ApiKey(_) => None,
        }
    }
}
