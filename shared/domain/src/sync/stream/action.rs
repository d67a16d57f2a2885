//! What a run over a stream asks of its caller, and what the caller answers: no decision is made here.

use jiff::Timestamp;
use serde_json::Value;

use super::{About, Extent, Lane, ManifestHead, Next, Source, Whole};
use crate::{call::Failure, sync::SyncJob};

/// What a provider knows of a stream.
pub trait Course: Sync {
    /// Where a run after a cursor begins; `None` if the cursor is of no use, so that a full run must follow.
    fn begin(&self, cursor: &Value, now: Timestamp) -> Option<Value>;

    /// Where a full run begins. `before` is the last cursor, which members that can't be read now keep.
    fn restart(&self, before: Option<&Value>, now: Timestamp) -> Value;

    /// The cursor of the changes since before a full run at this position listed anything; `None` if it is not known there.
    fn meanwhile(&self, _position: &Value) -> Option<Value> {
        None
    }

    /// The cursor without the parts of the stream that a full run found gone, whose records it deleted: those that `found`, the cursor
    /// at its end, has not.
    fn without_gone(&self, cursor: &Value, _found: &Value) -> Value {
        cursor.clone()
    }

    /// What the call at a position is about.
    fn about(&self, position: &Value) -> About;
}

/// Which run is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Of which sync it is a part.
    pub kind: SyncJob,
    /// In that of full runs it reads everything.
    pub lane: Lane,
    /// When: a stream that was read whole since then is not read again.
    pub at: Timestamp,
    /// Whether a stream that is refused is tried though its pause is not over.
    pub forced: bool,
    /// Whether a full run takes the stored manifest for wrong.
    pub rebuilds: bool,
    /// Whether a full run need not ask for all objects that it finds named and knows: see [`Known`](super::Known).
    pub skips_known: bool,
    /// The only part to read, if [`Course::begin`] gives its position.
    pub part: Option<&'a str>,
    /// Whose records to copy instead of asking the provider, unless a run is under way.
    pub source: Option<&'a Source>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Ask for the page at the run's position, or for [its rest](super::Run::rest), and for some of the objects that it names; at first
    /// also for those of [`Run::again`](super::Run::again).
    Ask,
    /// Write the states of the page that was read.
    Write,
    /// Delete the records that were not seen.
    Sweep(Sweep),
    /// Store the stream's manifest as it is after this run.
    Settle,
    /// Store [`Machine::state`](super::Machine::state), if much was done since it was last stored: a crash repeats that.
    Checkpoint,
    /// Store [`Machine::state`](super::Machine::state): the run ended, or yielded a cursor.
    Save,
    /// Stop: the run ended.
    End(End),
}

/// Which records to delete: those not seen since `since`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// When seeing them began.
    pub since: Timestamp,
    /// Only these; `None` means all of the stream.
    pub of: Option<Extent>,
    /// Not these: the run could not see them.
    pub except: Vec<Extent>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The stream is read.
    Read,
    /// The stream is refused, and its pause is not over.
    Waiting,
    /// Every member of the stream was passed over.
    NothingRead,
    /// What the run copied from can't be copied any more: another run must follow.
    SourceGone,
    /// There is no cursor to begin after: only a full run can read the stream.
    NeedsFull,
    /// A call failed. If that passes by itself, the run goes on where it stands.
    Failed(Failure),
}

/// What an action came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The page was read.
    Read(PageRead),
    /// The page could not be had, at this time.
    Refused(Failure),
    /// The integration whose records the run copies is disconnected, or has another grant.
    SourceGone,
    /// The page was written, without these objects, which are too large: what each is, and its id.
    Written(Vec<(String, String)>),
    /// The records that were not seen are deleted.
    Swept,
    /// The manifest is stored.
    Settled(ManifestHead),
    /// The state is stored, or need not be yet.
    Saved,
}

/// What is known of a page that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct PageRead {
    /// How many states it brings.
    pub changes: u64,
    /// The next position, or the cursor.
    pub next: Next,
    /// The part of the stream that was read whole with it.
    pub whole: Option<Whole>,
    /// The ids of objects that it names and that are to be asked for later. Such a page reads no part of the stream whole.
    pub rest: Vec<String>,
    /// How many of the objects that it only names were read, or are known.
    pub objects: u64,
    /// Those that could not be read: what each is, its id, and why.
    pub refused: Vec<(String, String, Failure)>,
    /// The objects that it brings and that earlier runs passed over.
    pub mended: Vec<String>,
}
