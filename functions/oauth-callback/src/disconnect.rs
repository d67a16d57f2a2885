//! The end of a grant: first nothing new starts, then the provider is told, then what we hold goes.
//!
//! Every step can be repeated, so a disconnect that broke off is finished by the next one.

use domain::{
    Integration, IntegrationKey, Request,
    grant::{OAuth, RevokedBy},
    integration::State,
    message::SyncType,
};
use jiff::Timestamp;
use lambda_http::http::StatusCode;
use platform::{
    AwsError, clock,
    credentials::Credential,
    http::{Call, Input, internal, json, see_other},
    integrations::select,
    outbound::Authorization,
    secrets::Freshness,
    tokens::{Refresh, Wanted},
};
use providers::{Provider, Spec, Watch};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{Answer, OauthCallback, SETTINGS, deadline, with_query};

/// How long the provider may take per call.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// What became of the grant at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Revoked {
    /// It is over.
    Yes,
    /// The provider could not be told; its user can end it there.
    Failed,
    /// Another integration of the account still needs it.
    StillNeeded,
    /// There was nothing to give back.
    Nothing,
}

impl OauthCallback {
    /// Ends an integration.
    pub(crate) async fn disconnect(&self, call: &Call<'_>, provider: &dyn Provider) -> Answer {
        #[derive(Serialize)]
        struct Ended {
            disconnected: bool,
            integration_id: String,
            revoked: Revoked,
        }
        let spec = provider.spec();
        let caller = self.front.caller(call).await?;
        let input = Input::of(call)?;
        let keep_records = input.flag("keep_records") || call.query("keep_records") == Some("true");
        let account = call.query("account").or_else(|| input.text("account"));
        let found = self.access.integrations.of_user(&caller.user_id, Some(spec.id)).await;
        let integration = select(found.map_err(|error| internal(&error))?, spec.name, account)?;
        let revoked = self.end(provider, &integration, keep_records).await.map_err(|error| internal(&error))?;
        if input.form {
            return Ok(see_other(&with_query(SETTINGS, "disconnected", spec.id)));
        }
        let answer = Ended { disconnected: true, integration_id: integration.key.id(), revoked };
        Ok(json(StatusCode::OK, &answer))
    }

    async fn end(
        &self,
        provider: &dyn Provider,
        integration: &Integration,
        keep_records: bool,
    ) -> Result<Revoked, AwsError> {
        let (spec, key, id) = (provider.spec(), &integration.key, integration.key.id());
        let now = clock::now();
        let ended = self.access.integrations.end(key, State::Disconnected, None, now).await?;
        self.syncs.break_lease(&id).await?;
        self.stop_watches(provider, key, now).await?;
        let revoked = self.revoke(spec, key, now).await?;
        self.access.calls.tokens.credentials.delete(&id, now).await?;
        self.syncs.erase(&id).await?;
        if !keep_records {
            self.send_sync(key, SyncType::Erase).await?;
        }
        if ended {
            let kind = "integration.disconnected";
            let event = format!("{id}:{kind}:{}", now.as_millisecond());
            self.access.bus.announce(kind, &event, key, now, &serde_json::json!({ "revoked": revoked })).await?;
        }
        tracing::info!(service = spec.id, integration.id = id, ?revoked, keep_records, "disconnected");
        Ok(revoked)
    }

    /// Best effort: a watch that goes on reports to an integration that is not there, and ends by itself.
    async fn stop_watches(
        &self,
        provider: &dyn Provider,
        key: &IntegrationKey,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        let watches = self.syncs.overview(&key.id(), now).await?.watches;
        for watch in watches.values().filter_map(|text| serde_json::from_str::<Watch>(text).ok()) {
            let Some(request) = provider.unwatch(&watch) else { continue };
            let callee = provider.spec().callee();
            if let Err(error) = self.access.calls.call(&callee, key, &request, "disconnect", deadline()).await {
                tracing::warn!(service = callee.id, %error, "a watch could not be stopped");
            }
        }
        Ok(())
    }

    async fn revoke(&self, spec: &'static Spec, key: &IntegrationKey, now: Timestamp) -> Result<Revoked, AwsError> {
        let Some((oauth, revoke)) = spec.auth.oauth().and_then(|oauth| Some((oauth, oauth.revoke?))) else {
            return Ok(Revoked::Nothing);
        };
        if revoke.whole_account && self.is_needed(spec, &key.account_id).await? {
            return Ok(Revoked::StillNeeded);
        }
        let mut revoked = Revoked::Nothing;
        for credential in self.access.calls.tokens.credentials.all(&key.id(), now).await? {
            let told = self.give_back(spec, oauth, revoke.url, revoke.token, &credential).await;
            revoked = match (told, revoked) {
                (true, Revoked::Nothing | Revoked::Yes) => Revoked::Yes,
                (true | false, _) => Revoked::Failed,
            };
        }
        Ok(revoked)
    }

    /// Whether the account has another integration in use, of any user, that the same grant carries.
    async fn is_needed(&self, spec: &'static Spec, account_id: &str) -> Result<bool, AwsError> {
        for provider in std::iter::once(spec).chain(self.registry.sharing(spec)) {
            if !self.access.integrations.of_account(provider.id, account_id).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the provider took it back.
    async fn give_back(
        &self,
        spec: &'static Spec,
        oauth: &'static OAuth,
        url: &'static str,
        how: RevokedBy,
        credential: &Credential,
    ) -> bool {
        let tokens = &self.access.calls.tokens;
        let request = Request::post("oauth revoke", url);
        let sent = match how {
            RevokedBy::Bearer => {
                let wanted = Wanted {
                    owner: &credential.owner,
                    credential: &credential.name,
                    oauth: Some(oauth),
                    app: spec.secret,
                };
                let fresh = tokens.valid(wanted, Refresh::Soon, "disconnect", deadline()).await;
                let Ok(fresh) = fresh else { return false };
                tokens.outbound.send(&request, &[], Authorization::Bearer(&fresh.access), TIMEOUT).await
            }
            RevokedBy::Form => {
                let Ok(app) = tokens.apps.get(spec.secret, Freshness::Cached, clock::now()).await else { return false };
                let token = credential.refresh.as_ref().unwrap_or(&credential.access);
                tokens.app_call(oauth, &app, request, &[("token", token.expose_secret())]).await
            }
        };
        sent.is_ok_and(|reply| {
            let meant = oauth.failed.is_none() || spec.api.meaning(&reply, clock::now()).is_ok();
            reply.is_success() && meant
        })
    }
}
