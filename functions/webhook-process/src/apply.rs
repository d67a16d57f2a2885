//! The work on a claimed event: effects, the application's handler, the bus, and the end of the claim.
//!
//! *Invariant:* each step is safe to repeat. Effects on records are committed in one transaction with the claim, so a crash leaves
//! either nothing or exactly one effect behind.

use std::{pin::pin, task::Poll, time::Duration};

use domain::{
    Candidate, Change, ClaimState, DeliveryId, Effect, Event, IntegrationId, IntegrationKey, Mode, ProviderId, Reached,
    Recipient, integration::SharedAccount, messages::message::SyncMessage, sync::Scope,
};
use futures_util::poll;
use platform::{
    AwsError,
    aws::{
        bus::{Detail, MAX_ENTRIES, Payload, PublishError},
        event_batcher::Member,
    },
    base::clock,
    client::grants,
    stores::claims::{Applied, Claim, Trace},
};
use providers::Spec;
use tokio::sync::SemaphorePermit;

use crate::{Process, failure::AttemptFailure, handlers::HandlerInput, received::Received};

/// How long the integrations in one message are together at most, in bytes: SQS takes 1 MiB. That is some thousand integrations.
const MAX_KEYS: usize = 400_000;
/// What a key takes in a message besides its texts: `{"user_id":"","integration":""},`.
const AROUND_KEY: usize = 32;

/// A claimed event, as its attempt works on it.
pub(crate) struct Work<'a> {
    pub(crate) claim: &'a Claim,
    pub(crate) spec: &'static Spec,
    pub(crate) event: &'a Event<'a>,
    pub(crate) recipient: &'a Recipient,
    pub(crate) received: &'a Received<'a>,
    pub(crate) delivery_id: &'a DeliveryId,
}

/// How the work on an event ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its effect is committed.
    Applied,
    /// No integration has its account.
    Unmatched,
}

impl Process {
    /// Commits the event's effect, runs the handler, publishes the event and completes the claim. An event whose account no
    /// integration has is published, and changes nothing. `permit` is for the tables: it is returned for the time in between.
    pub(crate) async fn apply(
        &self,
        work: &Work<'_>,
        mut member: Member<'_>,
        permit: Option<SemaphorePermit<'_>>,
    ) -> Result<Ended, AttemptFailure> {
        let Work { claim, spec, event, recipient, .. } = work;
        let provider = &spec.id;
        let Reached { integrations: found, other_mode } = self.recipients.reached(provider, recipient).await?;
        let integrations: Vec<_> = found.iter().map(|found| found.key.clone()).collect();
        if integrations.len() >= MAX_ENTRIES {
            // So many take their time, and a call to the bus of their own.
            member.leave();
        }
        let matched = claim.applied || !integrations.is_empty();
        if matched && !claim.applied {
            self.commit(work, &found).await?;
        }
        drop(permit);
        let input = HandlerInput { provider, event, integrations: &integrations };
        let mut handled = pin!(async { if other_mode { Ok(()) } else { self.handlers.call(input).await } });
        match poll!(&mut handled) {
            Poll::Ready(outcome) => outcome?,
            Poll::Pending => {
                member.leave();
                handled.await?;
            }
        }
        let ids: Vec<_> = integrations.iter().map(IntegrationKey::id).collect();
        publish(member, provider, event, &integrations, &ids).await?;
        let trace = Trace::new(event.effect(), ids.iter());
        let _permit = self.table_permit().await;
        let (state, ended) =
            if matched { (ClaimState::Done, Ended::Applied) } else { (ClaimState::Unmatched, Ended::Unmatched) };
        let record = &work.received.key;
        if claim.again {
            // An attempt that failed kept the message.
            self.bodies.drop(record, state).await?;
        }
        let kept_until = self.bodies.keep(record, || work.received.text(), state, clock::now()).await;
        self.claims.processed(claim, state, &trace, kept_until).await?;
        Ok(ended)
    }

    /// Commits the effect and the mark of it in one transaction. Where a stored record has the same version and another content,
    /// a sync is sent first, once: the provider decides.
    async fn commit(&self, work: &Work<'_>, integrations: &[Candidate]) -> Result<(), AttemptFailure> {
        self.run_side_effects(work, integrations).await?;
        let mut writes = Vec::new();
        for Candidate { key, read_since, .. } in integrations {
            let clock = |change: &Change| work.spec.stream(change.key().stream()).map(|stream| stream.clock);
            let is_news = |change: &&Change| clock(change).is_none_or(|clock| !read_since.outdates(change, clock));
            for change in work.event.changes().iter().filter(is_news) {
                writes.push(self.records.upsert_from_event(&key.id(), change)?);
            }
        }
        let mut asked = false;
        while let Applied::VersionConflict(rest) = self.claims.apply(work.claim, writes).await? {
            if !std::mem::replace(&mut asked, true) {
                self.sync(work, integrations, &Scope::All).await?;
            }
            writes = rest;
        }
        Ok(())
    }

    /// Effects beyond the records; each is safe to repeat, so they come before the mark that the event is applied.
    async fn run_side_effects(&self, work: &Work<'_>, integrations: &[Candidate]) -> Result<(), AwsError> {
        let Work { spec, event, .. } = work;
        match event.effect() {
            Effect::Records(_) => {}
            Effect::Sync(scope) => self.sync(work, integrations, scope).await?,
            Effect::GrantEnded => {
                // A failure stops no other integration's end.
                let mut failed = Ok(());
                for Candidate { key, .. } in integrations {
                    let ended = grants::end(&self.integrations, &self.bus, spec.name, key, event.occurred_at()).await;
                    failed = failed.and(ended);
                }
                failed?;
            }
        }
        Ok(())
    }

    /// Asks for a sync of what changed.
    async fn sync(&self, work: &Work<'_>, integrations: &[Candidate], scope: &Scope) -> Result<(), AwsError> {
        let now = clock::now();
        let message = |mut group: Vec<IntegrationKey>| {
            let key = group.remove(0);
            SyncMessage { others: group, ..SyncMessage::reported(&key, scope.clone(), work.delivery_id, now) }
        };
        let groups = groups(work.spec, integrations, scope).into_iter().map(message);
        let (single, grouped): (Vec<_>, Vec<_>) = groups.partition(|message| message.others.is_empty());
        // Each in a call of its own: what SQS takes in one call is as little as what it takes in one message.
        for message in &grouped {
            self.syncs.send(message, Duration::ZERO).await?;
        }
        self.syncs.send_all(&single).await
    }
}

/// The integrations in groups that one message is enough for: where an object of a shared stream is to be read, those of equal scopes.
fn groups(spec: &Spec, integrations: &[Candidate], scope: &Scope) -> Vec<Vec<IntegrationKey>> {
    let is_shared = match scope {
        Scope::Object(key) => spec.stream(key.stream()).is_some_and(|stream| stream.shared_by.is_some()),
        Scope::All | Scope::Channel(_) => false,
    };
    let mut groups: Vec<(Option<SharedAccount>, usize, Vec<IntegrationKey>)> = Vec::new();
    for Candidate { key, granted, .. } in integrations {
        let account = SharedAccount::of(key, granted).filter(|_| is_shared);
        let length = key.user_id.as_str().len() + key.account().len() + AROUND_KEY;
        let is_its = |(of, keys, _): &&mut (Option<_>, usize, Vec<_>)| {
            account.is_some() && *of == account && *keys + length <= MAX_KEYS
        };
        match groups.iter_mut().find(is_its) {
            Some((_, keys, group)) => {
                *keys += length;
                group.push(key.clone());
            }
            None => groups.push((account, length, vec![key.clone()])),
        }
    }
    groups.into_iter().map(|(_, _, group)| group).collect()
}

/// Publishes the event, once for each of its integrations, or once without one.
async fn publish(
    member: Member<'_>,
    provider: &ProviderId,
    event: &Event<'_>,
    integrations: &[IntegrationKey],
    ids: &[IntegrationId],
) -> Result<(), PublishError> {
    let detail = |user_id, integration_id| Detail {
        id: event.id(),
        user_id,
        integration_id,
        provider,
        r#type: event.event_type(),
        occurred_at: event.occurred_at(),
        livemode: event.mode().map(|mode| mode == Mode::Live),
        data: Payload::Whole(event.data()),
    };
    let details: Vec<_> = match ids {
        [] => vec![detail(None, None)],
        ids => integrations.iter().zip(ids).map(|(it, id)| detail(Some(&it.user_id), Some(id))).collect(),
    };
    let record = event.changes().first().map(Change::key);
    member.publish(&details, record).await
}
