//! The end of a grant: first nothing new starts, then the provider is told, then what we hold goes.
//!
//! Every step can be repeated, so a disconnect that broke off is finished by the next one.

use std::{collections::HashMap, time::Duration};

use domain::{
    Integration, IntegrationId, IntegrationKey, Request,
    integration::{Ending, account::select},
    messages::message::{Cause, SyncMessage},
    sync::SyncJob,
};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use lambda_http::http::StatusCode;
use platform::{
    AwsError,
    base::clock,
    client::{
        CallContext, Principal,
        revocation::{Family, Revoked, TIMEOUT},
    },
    runtime::http::{Call, Input, Notice, internal, json},
    stores::credentials::{Credential, GRACE},
};
use providers::{Provider, Watched};
use serde::Serialize;

use crate::{Answer, OauthCallback, SETTINGS};

/// What was begun before an integration was ended writes no longer than this.
const IN_FLIGHT: Duration = Duration::from_secs(90);
/// Watches that are stopped at a time.
const CONCURRENCY: usize = 8;

impl OauthCallback {
    /// Ends an integration.
    pub(crate) async fn disconnect(&self, call: &Call<'_>, provider: &dyn Provider) -> Answer {
        #[derive(Serialize)]
        struct Ended {
            disconnected: bool,
            integration_id: IntegrationId,
            revoked: Revoked,
        }
        let spec = provider.spec();
        let caller = self.front.caller(call).await?;
        let input = Input::of(call)?;
        let keep_records = (call.query_flag("keep_records")?, input.flag("keep_records")?);
        let keep_records = Call::either("keep_records", keep_records.0, keep_records.1)?.unwrap_or(false);
        let account = Call::either("account", call.query("account"), input.text("account")?)?;
        let found = self.integrations.of_user(&caller.user_id, Some(&spec.id)).await;
        let integration = select(found.map_err(|error| internal(&error))?, spec.name, account)?;
        let ending = if keep_records { Ending::Keep } else { Ending::Erase };
        let revoked = self.end(provider, &integration, ending).await.map_err(|error| internal(&error))?;
        if input.form {
            return Ok(notice(revoked, spec.name).back(call, SETTINGS));
        }
        let answer = Ended { disconnected: true, integration_id: integration.key.id(), revoked };
        Ok(json(StatusCode::OK, &answer))
    }

    pub(crate) async fn end(
        &self,
        provider: &dyn Provider,
        integration: &Integration,
        ending: Ending,
    ) -> Result<Revoked, AwsError> {
        let (spec, key, id) = (provider.spec(), &integration.key, integration.key.id());
        let now = clock::now();
        let ended = self.integrations.disconnect(key, ending, now).await?;
        // If this breaks off and is not repeated, the sweep revokes and deletes them. The mark stays, by which the page offers to
        // finish the rest.
        self.credentials.leave(&id, now, now + GRACE).await?;
        let opened = self.credentials.all(&id, now).await?;
        let watches = self.syncs.overview(&id).await?.watches;
        let busy_until = self.syncs.break_leases(&id, now).await?;
        // A process that dies here, or that AWS fails, leaves the tokens for the next attempt to revoke. A provider that does not
        // answer keeps them no longer than this.
        self.stop_watches(provider, key, &opened.credentials, &watches).await;
        let sharing: Vec<_> = self.registry.sharing(spec).map(|other| &other.id).collect();
        let family = Family { provider: &spec.provider_api(), sharing: &sharing };
        let revoked = self.grants.revoke(family, key, &opened).await?;
        self.clear(key, ending, busy_until, now).await?;
        // Also when an earlier disconnect broke off before it told: under the same id, so that it counts once.
        if ended {
            let kind = "integration.disconnected";
            let event = format!("{id}:{kind}:{}", integration.connected_at.as_millisecond());
            self.bus.announce(kind, &event, key, now, &serde_json::json!({ "revoked": revoked })).await?;
        }
        self.integrations.disconnected(key, ending).await?;
        tracing::info!(service = %spec.id, integration.id = %id, ?revoked, ?ending, "disconnected");
        Ok(revoked)
    }

    /// Deletes what is held of an integration that was ended, and has its records deleted.
    async fn clear(
        &self,
        key: &IntegrationKey,
        ending: Ending,
        busy_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        let id = key.id();
        self.credentials.delete(&id, now).await?;
        self.webhook_secrets.delete(&id).await?;
        self.syncs.erase(&id).await?;
        let kind = match ending {
            Ending::Keep => return Ok(()),
            Ending::Erase => SyncJob::PurgeRecords,
            Ending::Forget => SyncJob::DeleteIntegration,
        };
        self.sync_queue.send(&SyncMessage::new(key, kind, Cause::Asked, now), Duration::ZERO).await?;
        // A sync may be in the middle of a page and a webhook in the middle of its transaction, and write the rest of it. Then
        // they have, too.
        let busy_for = busy_until.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
        let late = busy_for.unwrap_or_default().max(IN_FLIGHT);
        self.sync_queue.send(&SyncMessage::new(key, SyncJob::PurgeRecords, Cause::Asked, now), late).await
    }

    /// Ends an integration of a provider that is not there any more, and has it forgotten.
    pub(crate) async fn forget(&self, integration: &Integration) -> Result<(), AwsError> {
        let now = clock::now();
        self.integrations.disconnect(&integration.key, Ending::Forget, now).await?;
        let busy_until = self.syncs.break_leases(&integration.key.id(), now).await?;
        self.clear(&integration.key, Ending::Forget, busy_until, now).await?;
        self.integrations.disconnected(&integration.key, Ending::Forget).await
    }

    /// Best effort, and briefly: a watch that goes on reports to an integration that is not there, and ends by itself.
    async fn stop_watches(
        &self,
        provider: &dyn Provider,
        key: &IntegrationKey,
        credentials: &[Credential],
        watches: &HashMap<String, String>,
    ) {
        let api = provider.spec().provider_api();
        let Some(credential) = credentials.iter().find(|it| it.name == *api.credential) else { return };
        let principal = Principal::Token { token: &credential.access, account: Some(&key.account_id) };
        let context = CallContext::new(&api, principal, clock::now() + TIMEOUT);
        let stop = async |request: Request| self.client.call(&context, &request).await;
        let watches = watches.values().filter_map(|text| Watched::read(Some(text)).watch);
        let requests: Vec<_> = watches.filter_map(|watch| provider.unwatch(&watch)).map(stop).collect();
        let mut answers = stream::iter(requests).buffer_unordered(CONCURRENCY);
        let all = async {
            while let Some(answer) = answers.next().await {
                if answer.is_err() {
                    tracing::warn!(service = %api.id, "a watch could not be stopped");
                }
            }
        };
        if tokio::time::timeout(TIMEOUT, all).await.is_err() {
            tracing::warn!(service = %api.id, "watches are left");
        }
    }
}

/// What the page tells of a disconnect; `name` is the provider's.
fn notice(revoked: Revoked, name: &str) -> Notice {
    match revoked {
        Revoked::Yes | Revoked::Nothing => Notice::good(format!("{name} is disconnected.")),
        Revoked::StillNeeded => Notice::good(format!(
            "{name} is disconnected here. The access stays allowed at {name}, because another connection of the same account \
             uses it."
        )),
        Revoked::Failed => Notice::bad(format!(
            "{name} is disconnected here, but {name} did not confirm that our access has ended. Remove the app in the settings \
             of your account at {name}."
        )),
    }
}
