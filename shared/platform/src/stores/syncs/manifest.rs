//! The manifests of an integration's streams, and the logs of runs that go on in another invocation.
//!
//! *Invariant:* only the holder of the lease writes them. The chunks of a manifest are stored before its head, which is part of the
//! stream's state: what a crash leaves between the two is right, and the next run notes again what changed since the head.

use aws_sdk_dynamodb::primitives::Blob;
use domain::{
    IntegrationId,
    sync::{
        manifest::Manifest,
        stream::{ManifestHead, Run, StreamState},
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::{Lease, LeaseError, Syncs, item_key};
use crate::{
    aws::AwsError,
    stores::item::{Item, bytes, malformed, s},
};

const CHUNK: &str = "~chunk#";
const PART: &str = "~part#";
/// The attribute with the entries.
const ENTRIES: &str = "entries";
/// Chunks in one transaction, which takes at most 100 items and 4 MB: 16 kB each on average.
const CHUNKS: usize = 50;
/// Deletions at a time.
const CONCURRENCY: usize = 8;

impl Syncs {
    /// What is known of a stream's objects in its run: the stored manifest, if `head` says where it is, and what the run learned so far.
    pub async fn manifest(
        &self,
        integration_id: &IntegrationId,
        stream: &str,
        head: Option<&ManifestHead>,
        run: &Run,
    ) -> Result<Manifest, AwsError> {
        let mut manifest = head.map_or_else(Manifest::default, |head| Manifest::in_chunks(head.bits));
        if let Some(head) = head {
            let prefix = chunks(stream, head.bits);
            self.each(integration_id, &prefix, "g", |bytes| manifest.add_chunk(bytes).map_err(|_| malformed(ENTRIES)))
                .await?;
        }
        if let Some(last) = run.parts.checked_sub(1) {
            let (prefix, last) = (parts(stream, run), format!("{last:06}"));
            self.each(integration_id, &prefix, &last, |bytes| manifest.add_part(bytes).map_err(|_| malformed(ENTRIES)))
                .await?;
        }
        manifest.settle();
        Ok(manifest)
    }

    /// Stores chunks of a manifest, by their numbers.
    pub async fn save_chunks(
        &self,
        lease: &Lease,
        stream: &str,
        (bits, chunks): (u8, Vec<(u32, Vec<u8>)>),
        now: Timestamp,
    ) -> Result<(), LeaseError> {
        let prefix = self::chunks(stream, bits);
        for chunks in chunks.chunks(CHUNKS) {
            let item = |(number, entries): &(u32, Vec<u8>)| {
                with_entries(lease, &format!("{prefix}{number:06x}"), entries.clone())
            };
            self.put(lease, chunks.iter().map(item).collect(), now).await?;
        }
        Ok(())
    }

    /// Deletes what a run that ended left: the parts of its log, and the chunks that a manifest was in before. What a crash leaves of
    /// them is read by no run.
    pub async fn clean_up(
        &self,
        integration_id: &IntegrationId,
        stream: &str,
        ended: &StreamState,
        now: &StreamState,
    ) -> Result<(), AwsError> {
        let parts_of = |run: &Run| (0..run.parts).map(|number| format!("{}{number:06}", parts(stream, run))).collect();
        let mut left: Vec<_> = ended.run.as_ref().map(parts_of).unwrap_or_default();
        let bits = |state: &StreamState| state.manifest.as_ref().map(|head| head.bits);
        if let Some(former) = bits(ended).filter(|_| bits(ended) != bits(now)) {
            left.extend((0..1_u32 << former).map(|number| format!("{}{number:06x}", chunks(stream, former))));
        }
        let delete = async |item: String| self.table.delete(item_key(integration_id, &item)).await;
        stream::iter(left.into_iter().map(delete)).buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// Reads the entries of the items from `prefix` to `prefix` and `last`, in their order.
    async fn each(
        &self,
        integration_id: &IntegrationId,
        prefix: &str,
        last: &str,
        mut add: impl FnMut(&[u8]) -> Result<(), AwsError>,
    ) -> Result<(), AwsError> {
        let values = [(":id", s(integration_id)), (":from", s(prefix)), (":to", s(format!("{prefix}{last}")))];
        let query = self.table.query("integration_id = :id AND item BETWEEN :from AND :to", values);
        // One page at a time: a manifest can be many megabytes.
        let mut pages = query.call().consistent_read(true).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::new("dynamodb:Query", error))?;
            for item in page.items() {
                let entries = item.get(ENTRIES).and_then(|value| value.as_b().ok());
                add(entries.map(Blob::as_ref).ok_or_else(|| malformed(ENTRIES))?)?;
            }
        }
        Ok(())
    }
}

/// The item of a part of a run's log.
pub(super) fn part(lease: &Lease, (stream, run): (&str, &Run), number: u32, entries: Vec<u8>) -> Item {
    with_entries(lease, &format!("{}{number:06}", parts(stream, run)), entries)
}

fn with_entries(lease: &Lease, item: &str, entries: Vec<u8>) -> Item {
    let mut item = item_key(&lease.integration_id, item);
    item.insert(ENTRIES.to_owned(), bytes(entries));
    item
}

fn chunks(stream: &str, bits: u8) -> String {
    format!("{CHUNK}{stream}#{bits:02}#")
}

/// Those of one run: no other run takes them for its own.
fn parts(stream: &str, run: &Run) -> String {
    format!("{PART}{stream}#{}.{}#", run.started_at.as_microsecond(), run.restarts)
}
