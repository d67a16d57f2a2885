//! Watches: one per thing that the provider can report about, renewed before it ends, with an overlap.

use domain::{
    Diagnosis,
    proof::{ChannelOwner, ChannelToken},
};
use jiff::{SignedDuration, Timestamp};
use platform::{calls::CallError, clock, random, secrets::Freshness, syncs::Overview};
use providers::{Watch, WatchPlan, Watching};

use crate::{Stop, SyncWorker, Work};

/// After a watch could not be started, it is tried again then.
const RETRY: SignedDuration = SignedDuration::from_hours(1);

impl SyncWorker {
    /// Starts what is not watched and renews what ends soon. A provider that refuses stops no sync: polling goes on.
    pub(crate) async fn watch(&self, work: &Work<'_>, overview: &Overview) -> Result<(), Stop> {
        let Some(watching) = &work.provider.spec().watching else { return Ok(()) };
        let cursor = overview.streams.get(watching.stream).and_then(|state| state.cursor.as_ref());
        let Some(cursor) = cursor else { return Ok(()) };
        let now = clock::now();
        let mut next = now + watching.life;
        for resource in work.provider.watched(cursor) {
            let old = overview.watches.get(&resource).and_then(|text| serde_json::from_str::<Watch>(text).ok());
            let due = old.as_ref().map(|watch| renewal(watch, watching));
            if let Some(due) = due.filter(|due| *due > now) {
                next = next.min(due);
                continue;
            }
            match self.start(work, watching, &resource, now).await? {
                Some(watch) => {
                    next = next.min(renewal(&watch, watching));
                    // Only now, so that there is no gap. If it can't be stopped it ends by itself.
                    if let Some(request) = old.and_then(|old| work.provider.unwatch(&old)).filter(|_| watching.channels)
                        && let Err(error) = self.call(work, &request).await
                    {
                        let Diagnosis { reason, detail } = error.diagnosis(work.provider.spec().name);
                        tracing::warn!(reason = reason.name(), detail, "an old watch could not be stopped");
                    }
                }
                // One that does not answer for one does not for the others; the data must not wait for it.
                None => {
                    next = next.min(now + RETRY);
                    break;
                }
            }
        }
        self.access.integrations.watch_due(work.key, next).await?;
        Ok(())
    }

    async fn start(
        &self,
        work: &Work<'_>,
        watching: &Watching,
        resource: &str,
        now: Timestamp,
    ) -> Result<Option<Watch>, Stop> {
        let spec = work.provider.spec();
        let app = self.access.calls.tokens.apps.get(spec.secret, Freshness::Cached, now).await?;
        let owner = ChannelOwner { integration_id: work.id.clone(), account: work.key.account_id.clone() };
        let Some(channel_id) = random::handle() else { return Ok(None) };
        let Some(token) = ChannelToken::mint(&app.webhook_secrets, &channel_id, &owner) else {
            tracing::warn!(service = spec.id, "not watched: the app has no webhook secret");
            return Ok(None);
        };
        let plan = WatchPlan {
            resource,
            channel_id: &channel_id,
            address: &format!("{}/webhooks/{}", self.api_url, spec.id),
            token: &token,
            topic: app.pubsub_topic.as_deref().filter(|topic| !topic.is_empty()),
            expires_at: now + watching.life,
        };
        let Some(request) = work.provider.watch(&plan) else { return Ok(None) };
        let started = match self.call(work, &request).await {
            Ok(reply) => work.provider.watch_started(&plan, &reply).ok(),
            // Not the provider's word: nothing else of this sync would work either.
            Err(error @ (CallError::Aws(_) | CallError::Corrupt(_) | CallError::NotConnected)) => {
                return Err(error.into());
            }
            Err(error @ CallError::Failed(..)) => {
                let Diagnosis { reason, detail } = error.diagnosis(spec.name);
                tracing::warn!(reason = reason.name(), detail, "not watched");
                None
            }
        };
        if let Some(watch) = &started {
            let text = serde_json::to_string(watch).unwrap_or_default();
            self.syncs.save_watch(&work.lease, resource, &text, clock::now()).await?;
        }
        Ok(started)
    }
}

/// When to renew: after 60 % of the life that was asked for, so that a day's outage leaves no gap.
fn renewal(watch: &Watch, watching: &Watching) -> Timestamp {
    watch.expires_at - watching.life * 2 / 5
}
