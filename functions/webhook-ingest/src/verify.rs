//! The proof of a delivery, against the app's secrets or an integration's own.
//!
//! *Invariant:* a secret is read again once if none that is cached fits, so that it can be replaced without a deployment.

use std::sync::Arc;

use domain::{
    AccountId, IntegrationId, Proof, Rejection, UnverifiedDelivery, VerifiedDelivery, oauth::jwt::Jwks,
    webhook::proof::VerificationContext,
};
use jiff::Timestamp;
use lambda_http::http::header;
use platform::{
    aws::secrets::{App, Freshness},
    stores::webhook_secrets::{Own, WebhookSecrets},
};
use providers::Provider;

use crate::{Ingest, outcome::Refusal};

/// The secret that a delivery was verified with.
pub(crate) enum Source {
    /// The secret of the app's endpoint: it speaks for every account of the app.
    App(Arc<App>),
    /// The secret of an integration's own endpoint: it speaks for that integration alone.
    Integration(Arc<Own>),
}

impl Source {
    /// The account that events belong to which name none.
    pub(crate) fn account(&self) -> Option<&AccountId> {
        match self {
            Self::App(app) => app.account_id.as_ref(),
            Self::Integration(own) => Some(&own.key.account_id),
        }
    }

    /// The account by which a delivery is put into a message group; `named` is the one that its body names. A delivery to an
    /// integration's own endpoint uses that integration's, whatever the body names: its sender fills no other tenant's group.
    pub(crate) fn tenant<'s>(&'s self, named: Option<&'s str>) -> Option<&'s str> {
        match self {
            Self::App(_) => named.or(self.account().map(AccountId::as_str)),
            Self::Integration(own) => Some(own.key.account_id.as_str()),
        }
    }
}

impl Ingest {
    /// Verifies against the cached secrets, and once more against fresh ones if none matches, so that a secret can be
    /// replaced without a deployment.
    pub(crate) async fn verify<'a>(
        &self,
        unverified: UnverifiedDelivery<'a>,
        proof: &Proof,
        provider: &dyn Provider,
        now: Timestamp,
    ) -> Result<(VerifiedDelivery<'a>, Source), Refusal> {
        let app = self.app(provider, Freshness::Cached, now).await?;
        let jwks = self.jwks(proof, unverified, now).await?;
        let rejection = match unverified.verify(proof, &material(&app, jwks.as_deref()), now) {
            Ok(delivery) => return Ok((delivery, Source::App(app))),
            Err(rejection) => rejection,
        };
        if !matches!(rejection, Rejection::Mismatch | Rejection::NoSecret) {
            return Err(Refusal::Rejected(rejection));
        }
        let fresh = self.app(provider, Freshness::Reread, now).await?;
        if Arc::ptr_eq(&app, &fresh) {
            return Err(Refusal::Rejected(rejection));
        }
        match unverified.verify(proof, &material(&fresh, jwks.as_deref()), now) {
            Ok(delivery) => Ok((delivery, Source::App(fresh))),
            Err(rejection) => Err(Refusal::Rejected(rejection)),
        }
    }

    /// The same against the secrets of one integration, at its own address.
    pub(crate) async fn verify_own<'a>(
        &self,
        unverified: UnverifiedDelivery<'a>,
        proof: &Proof,
        provider: &dyn Provider,
        id: &IntegrationId,
        now: Timestamp,
    ) -> Result<(VerifiedDelivery<'a>, Source), Refusal> {
        if !matches!(proof, Proof::Signature(_)) {
            return Err(Refusal::Rejected(Rejection::NoSecret));
        }
        let table = self.own.get_or_init(|| WebhookSecrets::new(&self.aws, &self.own_config));
        let mut rejection = Rejection::NoSecret;
        for freshness in [Freshness::Cached, Freshness::Reread] {
            let own = table.get(id, freshness, now).await;
            let own = own.map_err(|error| Refusal::Unavailable(error.diagnosis()))?;
            // Another provider's integration has no secret here.
            let Some(own) = own.filter(|own| own.key.provider == provider.spec().id) else { continue };
            let material = VerificationContext { secrets: &own.secrets, jwks: None, audience: None, email: None };
            match unverified.verify(proof, &material, now) {
                Ok(delivery) => return Ok((delivery, Source::Integration(own))),
                Err(refused) => rejection = refused,
            }
            if rejection != Rejection::Mismatch {
                break;
            }
        }
        Err(Refusal::Rejected(rejection))
    }

    /// The issuer's keys, if the proof is a token of its own.
    async fn jwks(
        &self,
        proof: &Proof,
        unverified: UnverifiedDelivery<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Jwks>>, Refusal> {
        let Proof::IdToken(token) = proof else { return Ok(None) };
        let sent = unverified.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let sent = sent.and_then(|value| value.split_once(' ')).map_or("", |(_, token)| token);
        let keys = self.jwks.for_token(token.jwks, sent, now).await;
        keys.map(Some).map_err(|error| Refusal::Unavailable(error.diagnosis()))
    }

    pub(crate) async fn app(
        &self,
        provider: &dyn Provider,
        freshness: Freshness,
        now: Timestamp,
    ) -> Result<Arc<App>, Refusal> {
        let app = self.apps.get(provider.spec().secret, freshness, now).await;
        app.map_err(|error| Refusal::Unavailable(error.diagnosis()))
    }
}

fn material<'a>(app: &'a App, jwks: Option<&'a Jwks>) -> VerificationContext<'a> {
    VerificationContext {
        secrets: &app.webhook_secrets,
        jwks,
        audience: app.push_audience.as_deref(),
        email: app.push_service_account.as_deref(),
    }
}
