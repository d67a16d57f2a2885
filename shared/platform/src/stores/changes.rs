//! The feed of changes: the records of a user's integrations in the order in which they changed, and what was erased.
//!
//! *Invariant:* a follower that goes on from each [`ChangesPage::next`] ends with what the table holds, if the clocks of functions are
//! within 2 seconds of each other and a write takes effect within [`MARGIN`] less that after it was stamped.
//!
//! One position in time serves all integrations of the user. A *walk* takes them one after the other through the changes up to one time,
//! which is [`MARGIN`] behind the clock when the walk begins; then the position moves there. What changes meanwhile is of the next walk.

mod cursor;

use std::sync::Arc;

use domain::{Integration, IntegrationId, Record};
use jiff::{SignedDuration, Timestamp};

use self::cursor::Walk;
pub use self::cursor::{Cursor, Feed};
use crate::{
    aws::AwsError,
    base::clock,
    stores::{
        integrations::Integrations,
        records::{Changed, MAX_BYTES, Position, Records},
    },
};

/// How far a walk stays behind the clock of its function. A write is repeated for 5 seconds at most and may be held up for 3, and the
/// clock of the writer may be 2 seconds behind.
pub const MARGIN: SignedDuration = SignedDuration::from_secs(10);
/// Queries of records of one page.
const MAX_QUERIES: usize = 100;
/// Entries of the index that one page reads. All but those of other streams are in the page.
const MAX_READ: usize = 1000;
/// Entries of the index that a query for one stream reads at least: each may be of another stream.
const MIN_ROOM: usize = 50;

/// The feeds of all users.
#[derive(Debug)]
pub struct Changes {
    integrations: Integrations,
    records: Records,
    margin: SignedDuration,
}

/// A part of a feed.
#[derive(Debug)]
pub struct ChangesPage {
    /// In the order in which a follower applies them.
    pub entries: Vec<Entry>,
    /// Where the feed goes on.
    pub next: Cursor,
}

/// What a follower applies.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A record changed, and is now so.
    Changed(Arc<Integration>, Record),
    /// All records of an integration that came before are gone. What is left, or came since, follows.
    Erased(IntegrationId),
}

impl Changes {
    /// The feeds over these tables, which stay `margin` behind the clock: [`MARGIN`], or less in a test of it.
    pub const fn new(integrations: Integrations, records: Records, margin: SignedDuration) -> Self {
        Self { integrations, records, margin }
    }

    /// At most `limit` entries after a cursor, or from the beginning. While there is more, a page may be shorter than that, and is empty
    /// only if the time is over.
    pub async fn follow(
        &self,
        feed: &Feed<'_>,
        after: Option<Cursor>,
        limit: usize,
        until: Timestamp,
    ) -> Result<ChangesPage, AwsError> {
        let mut after = after.unwrap_or(Cursor::BEGINNING);
        loop {
            // What changed since an earlier call began the walk is of the next one.
            let begun = after.walk.is_some();
            let page = self.page(feed, Some(after), limit, clock::now(), until).await?;
            let goes_on = page.entries.is_empty() && (begun || page.next.walk.is_some());
            if !goes_on || clock::now() >= until {
                return Ok(page);
            }
            after = page.next;
        }
    }

    /// What one part of a walk has, which ends by `until`; it may have nothing.
    pub async fn page(
        &self,
        feed: &Feed<'_>,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<ChangesPage, AwsError> {
        let Cursor { from, walk } = after.unwrap_or(Cursor::BEGINNING);
        let to = walk.as_ref().map_or(now - self.margin, |walk| walk.to);
        let mut page = Page { entries: Vec::new(), limit, until, bytes: 0, read: 0, queries: 0 };
        if to <= from {
            return Ok(page.end(Cursor { from, walk: None }));
        }
        let mut all = self.integrations.of_user(feed.user_id, feed.provider).await?;
        all.sort_by_cached_key(|it| it.key.id());
        let is_done = |id: &IntegrationId| walk.as_ref().is_some_and(|walk| *id < walk.integration);
        for integration in all {
            let id = integration.key.id();
            if is_done(&id) {
                continue;
            }
            let begun = walk.as_ref().filter(|walk| walk.integration == id).and_then(|walk| walk.position.clone());
            let at = |position| Cursor { from, walk: Some(Walk { to, integration: id.clone(), position }) };
            if page.is_full() {
                return Ok(page.end(at(None)));
            }
            let mut position = begun.unwrap_or_else(|| page.begin(&integration, from, to));
            let integration = Arc::new(integration);
            while position.changed_at <= to {
                if page.is_full() {
                    return Ok(page.end(at(Some(position))));
                }
                let room = page.room(feed.stream.is_some());
                let part = self.records.changed(&id, &position, to, feed.stream, room).await?;
                page.queries += 1;
                page.read += part.read;
                for Changed { record, bytes, position: reached } in part.changes {
                    if !page.has_room(bytes) {
                        return Ok(page.end(at(Some(position))));
                    }
                    page.bytes += bytes;
                    page.entries.push(Entry::Changed(Arc::clone(&integration), record));
                    position = reached;
                }
                let Some(next) = part.next else { break };
                position = next;
            }
        }
        Ok(page.end(Cursor { from: to, walk: None }))
    }
}

/// A page in the making.
struct Page {
    entries: Vec<Entry>,
    limit: usize,
    until: Timestamp,
    bytes: usize,
    read: usize,
    queries: usize,
}

impl Page {
    /// Where the changes of an integration begin that is not begun yet. If its records were erased, the follower hears of it, and
    /// gets what is left from the beginning: a part of an erasure leaves records that did not change since.
    fn begin(&mut self, integration: &Integration, from: Timestamp, to: Timestamp) -> Position {
        let erased = integration.erased_at.is_some_and(|at| from < at && at <= to);
        // A follower that begins has nothing that could be gone.
        if erased && from != Timestamp::UNIX_EPOCH {
            self.entries.push(Entry::Erased(integration.key.id()));
            return Position::after(Timestamp::UNIX_EPOCH);
        }
        Position::after(from)
    }

    /// Whether nothing more is to be read for it. The first query is always made, so that each page goes on.
    fn is_full(&self) -> bool {
        self.entries.len() >= self.limit
            || self.read >= MAX_READ
            || self.queries >= MAX_QUERIES
            || self.queries > 0 && clock::now() >= self.until
    }

    /// Whether an entry of this size may be added. The first one always may.
    const fn has_room(&self, bytes: usize) -> bool {
        self.entries.is_empty() || self.entries.len() < self.limit && self.bytes + bytes <= MAX_BYTES
    }

    /// How many entries of the index a query may read. Of those of one stream an unknown part counts.
    fn room(&self, some: bool) -> usize {
        let left = self.limit - self.entries.len();
        if some { left.max(MIN_ROOM).min(MAX_READ - self.read) } else { left }
    }

    fn end(self, next: Cursor) -> ChangesPage {
        ChangesPage { entries: self.entries, next }
    }
}
