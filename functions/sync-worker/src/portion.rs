//! What is worked on of a page at a time: a page may name more objects than can be asked for in one go under a provider's limit.
//!
//! *Invariant:* each object that a page names is in exactly one portion, or in its rest.

use std::collections::HashSet;

use domain::{
    Change, Failure, Request,
    sync::stream::{Next, PageRest, Whole},
};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use platform::client::CallError;
use providers::{Provider, StreamPage};

use crate::{SyncWorker, work::Work};

/// Objects that are asked for before they are written: at Gmail 11 seconds under the limit of a user, which is as often as a run is
/// stored. A crash repeats a portion or two.
const PORTION: usize = 50;
/// Calls for single objects at a time.
const CONCURRENCY: usize = 4;

/// An object, or its kind, its id and why it can't be had.
pub(crate) type Object = Result<Change, (String, String, Failure)>;

/// A page, or its rest.
pub(crate) struct Portion {
    pub(crate) changes: Vec<Change>,
    /// See [`StreamPage::details`].
    pub(crate) details: Vec<(Request, Change)>,
    pub(crate) next: Next,
    pub(crate) whole: Option<Whole>,
}

impl From<StreamPage> for Portion {
    fn from(StreamPage { changes, details, next, whole }: StreamPage) -> Self {
        Self { changes, details, next, whole }
    }
}

impl Portion {
    /// The rest of a page. Its changes are written, and of what follows it the page itself told. `None` if the provider has no call
    /// for one of its objects.
    pub(crate) fn rest(provider: &dyn Provider, stream: &str, rest: &PageRest, asked_at: Timestamp) -> Option<Self> {
        let details = rest.ids.iter().map(|id| provider.again(stream, id, asked_at)).collect::<Option<_>>()?;
        Some(Self { changes: Vec::new(), details, next: rest.next.clone(), whole: None })
    }

    /// Asks for these objects, too, unless the page names them.
    pub(crate) fn add(&mut self, more: impl Iterator<Item = (Request, Change)>) {
        for (request, gone) in more {
            if !self.details.iter().any(|(_, named)| named.key() == gone.key()) {
                self.details.push((request, gone));
            }
        }
    }

    /// Leaves the objects for later that are too many now: their ids. A part of a stream is whole only with all of them, so that its
    /// last page is not split.
    pub(crate) fn split(&mut self) -> Vec<String> {
        if self.whole.is_some() || self.details.len() <= PORTION {
            return Vec::new();
        }
        self.details.drain(PORTION..).map(|(_, gone)| gone.key().id().to_owned()).collect()
    }
}

/// What the calls for the objects of a portion came to.
pub(crate) struct ObjectsRead {
    pub(crate) found: Vec<Object>,
    /// The ids of those that were not read, because a call failed that is about more than its object.
    pub(crate) left: Vec<String>,
    pub(crate) failed: Option<CallError>,
}

impl SyncWorker {
    /// Asks for objects, until a call fails that is about more than its object.
    pub(crate) async fn objects(
        &self,
        work: &Work<'_>,
        stream: &str,
        details: Vec<(Request, Change)>,
        asked_at: Timestamp,
    ) -> ObjectsRead {
        let ids: Vec<_> = details.iter().map(|(_, gone)| gone.key().id().to_owned()).collect();
        let ask = async |(place, (request, gone)): (usize, (Request, Change))| {
            (place, self.object(work, stream, request, gone, asked_at).await)
        };
        let mut calls = stream::iter(details.into_iter().enumerate().map(ask)).buffer_unordered(CONCURRENCY);
        let (mut found, mut read, mut failed) = (Vec::new(), HashSet::new(), None);
        while let Some((place, object)) = calls.next().await {
            match object {
                Ok(object) => {
                    read.insert(place);
                    found.push(object);
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let left = ids.into_iter().enumerate().filter(|(place, _)| !read.contains(place)).map(|(_, id)| id).collect();
        ObjectsRead { found, left, failed }
    }
}
