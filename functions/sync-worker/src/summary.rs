//! What is shown of an integration's syncs: stored with the integration, for the status page.

use domain::integration::summary::{SyncSummary, Watching as Watches};
use jiff::Timestamp;
use platform::{
    AwsError,
    base::{clock, lock::lock},
};
use providers::{Watched, Watching};

use crate::{SyncWorker, work::Work};

impl SyncWorker {
    /// Stores what is shown. The sync in the lane goes on until `syncing_until`, if it is not over.
    pub(crate) async fn show(
        &self,
        work: &Work<'_>,
        syncing_until: Option<Timestamp>,
        watch_due: Option<Timestamp>,
    ) -> Result<(), AwsError> {
        let summary = work.summary();
        self.integrations.set_sync_summary(work.key, &summary, (work.lane, syncing_until), watch_due).await.map(|_| ())
    }
}

impl Work<'_> {
    fn summary(&self) -> SyncSummary {
        let watching = self.watching();
        let stored = lock(&self.stored);
        SyncSummary::of(self.integration.connected_at, &stored.streams, stored.last.as_ref(), watching)
    }

    /// How much of what the provider could report is watched; none before the first sync, and where it reports nothing that way.
    fn watching(&self) -> Option<Watches> {
        let all = self.watchable(self.provider.spec().watching.as_ref()?)?;
        let now = clock::now();
        let active = all.iter().filter(|resource| self.watched(resource).is_active(now)).count();
        Some(Watches { active, of: all.len() })
    }

    /// What the provider could report changes of; none before the first sync.
    pub(crate) fn watchable(&self, watching: &Watching) -> Option<Vec<String>> {
        let stored = lock(&self.stored);
        Some(self.provider.watched(stored.streams.get(watching.stream)?.main().cursor.as_ref()?))
    }

    /// What is known of watching one thing.
    pub(crate) fn watched(&self, resource: &str) -> Watched {
        Watched::read(lock(&self.stored).watches.get(resource).map(String::as_str))
    }
}
