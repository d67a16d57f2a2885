//! Watches: one per thing that the provider can report about, renewed before it ends, with an overlap.
//!
//! *Invariant:* a refusal to watch one thing keeps nothing else from being watched, and is not asked for again at every sync.

use domain::{
    Failure,
    call::Bearing,
    sync::backoff::{Backoff, Pace},
    webhook::proof::{ChannelOwner, ChannelToken},
};
use jiff::{SignedDuration, Timestamp};
use platform::{
    aws::secrets::Freshness,
    base::{
        clock,
        lock::lock,
        metrics::{self, Dimension, Metric},
        random,
    },
    client::CallError,
};
use providers::{Watch, WatchPlan, Watched, Watching};

use crate::{SyncWorker, stop::Stop, work::Work};

/// The soonest that the schedule is asked to start a watch that could not be started.
const RETRY: SignedDuration = SignedDuration::from_hours(1);
/// So many faults of the provider in a row end a round: the data must not wait for it.
const MAX_FAULTS: u32 = 3;

/// What starting a watch came to.
enum Started {
    Watch(Watch),
    Refused(Failure),
    /// The app can't watch anything for now; the log says why.
    Impossible,
}

impl SyncWorker {
    /// Starts what is not watched and renews what ends soon. A provider that refuses stops no sync: polling goes on. A full sync
    /// of the stream also tries again what was refused for good. When a watch is to be renewed next; none if there is nothing to watch.
    pub(crate) async fn watch(&self, work: &Work<'_>, full: bool) -> Result<Option<Timestamp>, Stop> {
        let Some(watching) = &work.provider.spec().watching else { return Ok(None) };
        let Some(resources) = work.watchable(watching) else { return Ok(None) };
        let now = clock::now();
        let (mut next, mut faults) = (now + watching.life, 0);
        for resource in resources.into_iter().take(watching.most) {
            let known = work.watched(&resource);
            let due = known.renew_at.filter(|due| *due > now);
            let pause = known.refused.as_ref().filter(|it| !it.is_due(now, full)).map(|it| it.next_try);
            if let Some(later) = due.map(Some).or(pause) {
                next = next.min(later.unwrap_or(next));
                continue;
            }
            let failure = match self.start(work, watching, &resource, now).await? {
                Started::Watch(watch) => {
                    faults = 0;
                    let renew_at = renewal(&watch, now);
                    next = next.min(renew_at);
                    let watched = Watched { watch: Some(watch), renew_at: Some(renew_at), refused: None };
                    let is_saved = self.save(work, &resource, &watched).await?;
                    // That of the other lane, if that has started one meanwhile, stays.
                    self.stop(work, watching, if is_saved { known.watch } else { watched.watch }).await;
                    continue;
                }
                Started::Refused(failure) => failure,
                Started::Impossible => {
                    next = next.min(now + RETRY);
                    break;
                }
            };
            let pace = match failure.bearing() {
                Bearing::Lasting | Bearing::Missing => Some(Pace::FullSyncs),
                Bearing::Passing => Some(Pace::Minutes),
                Bearing::None => (!failure.is_transient()).then_some(Pace::Hours),
            };
            let refused = pace.map(|pace| Backoff::after(known.refused.as_ref(), pace, now));
            let again = refused.as_ref().map_or(Some(now), |it| it.next_try);
            next = next.min(again.map_or(next, |at| at.max(now + RETRY)));
            // What could only not be asked for now ends an earlier refusal: else nothing would ask again before the next full sync.
            if refused.is_some() || known.refused.is_some() {
                // A watch that still runs goes on reporting until it ends.
                self.save(work, &resource, &Watched { refused, ..known }).await?;
            }
            faults += u32::from(pace == Some(Pace::Minutes));
            // What is refused without regard to what is to be watched is refused for the others, too.
            if failure.bearing() == Bearing::None || faults == MAX_FAULTS {
                break;
            }
        }
        Ok(Some(next))
    }

    /// Whether it is stored: it is not if the other lane has stored something since this one read it.
    async fn save(&self, work: &Work<'_>, resource: &str, watched: &Watched) -> Result<bool, Stop> {
        let (text, now) = (serde_json::to_string(watched).unwrap_or_default(), clock::now());
        let before = lock(&work.stored).watches.get(resource).cloned();
        if !self.syncs.save_watch(&work.lease, resource, (before.as_deref(), &text), now).await? {
            return Ok(false);
        }
        if watched.is_ending(now) {
            metrics::count(Metric::WatchesEnding, Dimension::NONE);
        }
        lock(&work.stored).watches.insert(resource.to_owned(), text);
        Ok(true)
    }

    /// Stops a watch that another one has replaced: only then, so that there is no gap. If it can't be stopped it ends by itself.
    async fn stop(&self, work: &Work<'_>, watching: &Watching, old: Option<Watch>) {
        let Some(request) = old.and_then(|old| work.provider.unwatch(&old)).filter(|_| watching.channels) else {
            return;
        };
        if let Err(error) = self.call(work, &request).await {
            let (reason, detail) = error.diagnosis(work.provider.spec().name).into_parts();
            tracing::warn!(reason = reason.name(), detail, "an old watch could not be stopped");
        }
    }

    async fn start(
        &self,
        work: &Work<'_>,
        watching: &Watching,
        resource: &str,
        now: Timestamp,
    ) -> Result<Started, Stop> {
        let spec = work.provider.spec();
        let app = self.apps.get(spec.secret, Freshness::Cached, now).await?;
        let owner = ChannelOwner { integration_id: work.id.clone(), account: work.key.account_id.clone() };
        let Some(channel_id) = random::handle() else { return Ok(Started::Impossible) };
        let Some(token) = ChannelToken::mint(&app.webhook_secrets, &channel_id, &owner) else {
            tracing::warn!(service = %spec.id, "not watched: the app has no webhook secret");
            return Ok(Started::Impossible);
        };
        let plan = WatchPlan {
            resource,
            channel_id: &channel_id,
            address: &format!("{}/webhooks/{}", self.api_url, spec.id),
            token: &token,
            topic: app.pubsub_topic.as_deref().filter(|topic| !topic.is_empty()),
            expires_at: now + watching.life,
        };
        let Some(request) = work.provider.watch(&plan) else { return Ok(Started::Impossible) };
        let mut answer = self.call(work, &request).await;
        if let Err(CallError::Failed(_, Some(refusal))) = &answer
            && let Some(remedy) = work.provider.watch_remedy(refusal)
        {
            // Once: a remedy that does not help is none.
            tracing::info!(service = %spec.id, remedy = %remedy.endpoint, "not watched; trying the remedy that the refusal names");
            answer = match self.call(work, &remedy).await {
                Ok(_) | Err(CallError::Failed(..)) => self.call(work, &request).await,
                Err(error) => Err(error),
            };
        }
        let failure = match answer {
            Ok(reply) => match work.provider.watch_started(&plan, &reply) {
                Ok(watch) => return Ok(Started::Watch(watch)),
                Err(_) => Failure::Unreadable,
            },
            // Not the provider's word: nothing else of this sync would work either.
            Err(error @ (CallError::Aws(_) | CallError::Corrupt(_) | CallError::NotConnected)) => {
                return Err(error.into());
            }
            Err(CallError::Failed(failure, _)) => failure,
        };
        let (reason, detail) = failure.diagnosis(spec.name).into_parts();
        tracing::warn!(reason = reason.name(), detail, "not watched");
        Ok(Started::Refused(failure))
    }
}

/// When to renew: after 60 % of the life that was granted, which may be less than was asked for. So a day's outage leaves no gap in a
/// life of a week.
fn renewal(watch: &Watch, now: Timestamp) -> Timestamp {
    now + watch.expires_at.duration_since(now) * 3 / 5
}
