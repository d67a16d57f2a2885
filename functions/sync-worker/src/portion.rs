//! What is worked on of a page at a time: a page may name more objects than can be asked for in one go under a provider's limit.
//!
//! *Invariant:* each object that a page names is in exactly one portion, or in its rest.

use domain::{
    Change, Request,
    sync::stream::{Next, PageRest, Whole},
};
use jiff::Timestamp;
use providers::{Provider, StreamPage};

/// Objects that are asked for before they are written: at Gmail 11 seconds under the limit of a user, which is as often as a run is
/// stored. A crash repeats a portion or two.
const PORTION: usize = 50;

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
