//! Which known objects of a stream changed while its cursor was lost: the provider lists the objects that carry each tag, and what it
//! lists is compared with the records. At Gmail the tags are labels, and nothing else of a message changes.
//!
//! *Invariant:* the lists are asked for after the run has taken its place in the provider's history, so that a later change is behind
//! the cursor of the run. They are kept in memory alone: a run that goes on in another invocation asks for them again.

use domain::{
    Failure,
    call::Bearing,
    sync::{stream::Machine, tags::Tags},
};
use platform::{client::CallError, stores::records::Selection};
use providers::StreamSpec;
use serde_json::Value;

use crate::{SyncWorker, objects::Objects, stop::Stop, work::Work};

/// Records that are read at a time.
const RECORDS: usize = 1_000;
/// Calls for lists that are made in any case. Beyond, they are given up where they would cost as much as a tenth of the objects: a
/// mailbox can have 10,000 labels, <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels>, read 2026-11.
const MIN_CALLS: u64 = 100;

/// What the comparison came to.
enum Comparison {
    Made(Tags),
    /// The lists can't be had, or not in time. Every object must be asked for.
    GivenUp,
    /// A call failed that may succeed later.
    Failed(Failure),
}

impl SyncWorker {
    /// Compares the tags of the known objects for a run, or has the run ask for all of them. The failure is one that may pass: the run
    /// goes on in another invocation, which compares anew unless too many comparisons failed.
    pub(crate) async fn compare_known(
        &self,
        work: &Work<'_>,
        objects: &mut Objects<'_>,
        machine: &mut Machine<'_>,
    ) -> Result<Result<(), Failure>, Stop> {
        let known = machine.state().manifest.as_ref().map_or(0, |head| head.objects);
        Ok(match self.compare(work, objects.stream(), known).await? {
            Comparison::Made(tags) => {
                objects.set_tags(tags);
                Ok(())
            }
            Comparison::GivenUp => {
                machine.ask_for_known();
                objects.note_unsaved();
                Ok(())
            }
            Comparison::Failed(failure) => {
                machine.comparison_failed();
                objects.note_unsaved();
                Err(failure)
            }
        })
    }

    /// Compares the tags of `objects` known objects.
    async fn compare(&self, work: &Work<'_>, stream: &StreamSpec, objects: u64) -> Result<Comparison, Stop> {
        let (mut tags, mut calls, mut position) = (Tags::default(), 0, Some(Value::Null));
        while let Some(at) = position {
            if work.out_of_time() || calls >= MIN_CALLS.max(objects / 10) {
                return Ok(Comparison::GivenUp);
            }
            calls += 1;
            let Ok(request) = work.provider.tags_request(stream.name, &at) else { return Ok(Comparison::GivenUp) };
            let reply = match self.call(work, &request).await {
                Ok(reply) => reply,
                Err(CallError::Failed(failure, _)) => {
                    return Ok(match failure.bearing() {
                        // A tag can be gone since its list began.
                        Bearing::Lasting | Bearing::Missing => Comparison::GivenUp,
                        Bearing::Passing | Bearing::None => Comparison::Failed(failure),
                    });
                }
                Err(error) => return Err(error.into()),
            };
            let Ok(page) = work.provider.tags_page(stream.name, &at, &reply) else { return Ok(Comparison::GivenUp) };
            tags.list(&page.tag, page.ids.iter().map(String::as_str));
            position = page.next;
        }
        let mut after = None;
        loop {
            // A large mailbox has thousands of pages of records.
            if work.out_of_time() {
                return Ok(Comparison::GivenUp);
            }
            let selection =
                Selection { stream: Some(stream.name), after: after.as_deref(), limit: RECORDS, deleted: false };
            let page = self.records.list(&work.id, selection).await?;
            for record in &page.records {
                tags.store(record.key.id(), &work.provider.tags(stream.name, &record.data));
            }
            if page.next.is_none() {
                return Ok(Comparison::Made(tags));
            }
            after = page.next;
        }
    }
}
