//! The lease of an account, under which one of its integrations reads for all.
//!
//! *Invariant:* a reading that can't go on releases the lease, so that another integration reads with its own token. One that waits for
//! the provider keeps it, because the provider has others wait as well.

use std::time::Duration;

use domain::{
    integration::SharedAccount,
    sync::{
        sharing,
        stream::{End, StreamState},
    },
};
use platform::{
    AwsError,
    aws::queue::MAX_DELAY,
    base::{clock, lock::lock},
    client::CallError,
    runtime::consumer::Attempt,
    stores::syncs::{Reading, Shared},
};
use providers::StreamSpec;

use crate::{
    SyncWorker,
    sharing::Held,
    stop::Stop,
    work::{Work, wait},
};

/// How long the lease lasts without a sign of life: longer than a call with its repetitions takes.
const TIME: Duration = Duration::from_mins(1);

impl Work<'_> {
    pub(super) fn hold(&self, shared: Shared) {
        *lock(&self.sharing.held) = Some(Held { readings: shared.readings, until: clock::now() + TIME });
    }
}

impl SyncWorker {
    pub(super) async fn lease_reading(&self, work: &Work<'_>, account: &SharedAccount) -> Result<Reading, AwsError> {
        self.syncs.lease_shared(account, &work.id, clock::now(), TIME).await
    }

    /// A run has come further: its lease of the account must not end.
    pub(crate) async fn reading_goes_on(&self, work: &Work<'_>) -> Result<(), AwsError> {
        let is_due = |held: &Held| held.until < clock::now() + TIME / 2;
        if lock(&work.sharing.held).as_ref().is_some_and(is_due) { self.prolong(work, TIME).await } else { Ok(()) }
    }

    /// A stream was read to its end: the others may copy it.
    pub(crate) async fn stream_is_read(
        &self,
        work: &Work<'_>,
        stream: &StreamSpec,
        state: &StreamState,
        end: &End,
    ) -> Result<(), AwsError> {
        let Some(since) = state.full_since.filter(|_| *end == End::Read) else { return Ok(()) };
        match &mut *lock(&work.sharing.held) {
            Some(held) => {
                let reading = sharing::Reading { user_id: work.key.user_id.clone(), since };
                held.readings.insert(stream.name.to_owned(), reading);
            }
            None => return Ok(()),
        }
        self.prolong(work, TIME).await
    }

    /// A sync has ended, or stopped: releases the account, unless the sync goes on soon.
    pub(crate) async fn end_reading<T>(&self, work: &Work<'_>, outcome: &Result<T, Stop>) -> Result<(), AwsError> {
        if lock(&work.sharing.held).is_none() {
            return Ok(());
        }
        match outcome.as_ref().err().and_then(|stop| pause(stop, work.attempt)) {
            Some(pause) => self.prolong(work, pause + TIME).await?,
            None => {
                if let Some(account) = &work.sharing.account {
                    self.syncs.release_shared(account, &work.id).await?;
                }
            }
        }
        *lock(&work.sharing.held) = None;
        Ok(())
    }

    async fn prolong(&self, work: &Work<'_>, time: Duration) -> Result<(), AwsError> {
        let Some(account) = &work.sharing.account else { return Ok(()) };
        let (readings, until) = match &mut *lock(&work.sharing.held) {
            Some(held) => {
                held.until = clock::now() + time;
                (held.readings.clone(), held.until)
            }
            None => return Ok(()),
        };
        self.syncs.prolong_shared(account, &work.id, &readings, until).await
    }
}

/// After how long a sync that stopped so goes on by itself; none if it does not soon.
fn pause(stop: &Stop, attempt: &Attempt) -> Option<Duration> {
    match stop {
        Stop::Time => Some(Duration::ZERO),
        Stop::Call(CallError::Failed(failure, _)) if failure.is_transient() => {
            let wait = wait(failure, attempt);
            // For a pause of its own that is longer the others do not wait: they may reach the provider.
            let is_told = failure.wait().is_some() || wait <= TIME;
            Some(wait).filter(|wait| is_told && *wait <= MAX_DELAY)
        }
        Stop::Lost | Stop::Turn | Stop::Call(_) => None,
    }
}
