//! What a provider has to say in code, besides its data.

use std::borrow::Cow;

use domain::{Event, NotAnEvent, Problem, Reply, Request, UserId, call::Unreadable};
use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use crate::{About, Spec, Step, StreamPage, TagsPage, Watch, WatchPlan};

/// A provider: its data, and what data can't say.
///
/// The methods for streams, watches and actions are called only with names that the [`Spec`] declares; their defaults are
/// for providers that declare none.
pub trait Provider: Sync {
    /// The provider's data; the same at each call.
    fn spec(&self) -> &'static Spec;

    /// The account that a verified body names, if it names one.
    fn account<'a>(&self, _body: &'a str) -> Option<Cow<'a, str>> {
        None
    }

    /// The text that answers a verified delivery which the provider documents as no event, such as a question whether the
    /// address is ours. Nothing of it is queued.
    fn handshake(&self, _body: &str) -> Option<String> {
        None
    }

    /// Reads a verified body. The default is for providers without webhooks.
    fn event<'a>(&self, _body: &'a RawValue, _received_at: Timestamp) -> Result<Event<'a>, NotAnEvent> {
        Err(NotAnEvent::Unread(self.spec().name))
    }

    /// Where a run over a stream begins: after `cursor`, or from nothing. `None` if the cursor is of no use any more, so
    /// that a full run must follow. Never `None` without a cursor.
    fn begin(&self, _stream: &str, _cursor: Option<&Value>, _now: Timestamp) -> Option<Value> {
        Some(Value::Null)
    }

    /// The call for the page at `position`.
    fn page_request(&self, stream: &str, _position: &Value) -> Result<Request, Unreadable> {
        Err(Unreadable(if stream.is_empty() { "no stream" } else { "a stream without pages" }))
    }

    /// Reads that page. `asked_at` is when the call was made.
    fn page(
        &self,
        _stream: &str,
        _position: &Value,
        _reply: &Reply,
        _asked_at: Timestamp,
    ) -> Result<StreamPage, Unreadable> {
        Err(Unreadable("a stream without pages"))
    }

    /// Reads the answer to one of a page's [`StreamPage::details`].
    fn detail(&self, _stream: &str, _reply: &Reply, _asked_at: Timestamp) -> Result<domain::Change, Unreadable> {
        Err(Unreadable("a stream without details"))
    }

    /// Where a full run over a stream begins. `before` is the last cursor: parts that can't be read keep theirs.
    fn restart(&self, stream: &str, _before: Option<&Value>, now: Timestamp) -> Value {
        self.begin(stream, None, now).unwrap_or_default()
    }

    /// The cursor of the changes since before a full run at `position` listed anything, so that incremental runs can begin beside the
    /// first full run; `None` if it is not known there.
    fn meanwhile(&self, _stream: &str, _position: &Value) -> Option<Value> {
        None
    }

    /// The cursor without the parts of the stream that a full run found gone, whose records it deleted: those that `found`, the cursor
    /// at its end, has not.
    fn without_gone(&self, _stream: &str, cursor: &Value, _found: &Value) -> Value {
        cursor.clone()
    }

    /// Where a run after `cursor` over one part of a stream begins, which leaves the cursor of the others as it is. `part` is what a
    /// watch reports about: see [`Self::watched`]. `None` if parts are not read alone, or the cursor has none of this one.
    fn begin_part(&self, _stream: &str, _cursor: &Value, _part: &str) -> Option<Value> {
        None
    }

    /// What the call at `position` is about, in case it is refused.
    fn about(&self, _stream: &str, _position: &Value) -> About {
        About::NOTHING
    }

    /// The call for one object of a stream that an event named, or that an earlier run could not read, with what it becomes if the
    /// provider has it no more; as in [`StreamPage::details`]. `None` if only pages bring it.
    fn again(&self, _stream: &str, _id: &str, _asked_at: Timestamp) -> Option<(Request, domain::Change)> {
        None
    }

    /// The call for the page at `position` of the lists that say which objects of a stream carry which tag; null is the beginning. Only
    /// for streams with [`StreamSpec::skips_known`](crate::StreamSpec::skips_known): when a cursor was lost, a full run asks for those
    /// known objects only whose tags are others than in their records. So nothing but its tags may change in an object.
    fn tags_request(&self, _stream: &str, _position: &Value) -> Result<Request, Unreadable> {
        Err(Unreadable("a stream without tags"))
    }

    /// Reads that page.
    fn tags_page(&self, _stream: &str, _position: &Value, _reply: &Reply) -> Result<TagsPage, Unreadable> {
        Err(Unreadable("a stream without tags"))
    }

    /// The tags in the data of a record.
    fn tags<'d>(&self, _stream: &str, _data: &'d Value) -> Vec<&'d str> {
        Vec::new()
    }

    /// What to watch, given the cursor of the watched stream.
    fn watched(&self, _cursor: &Value) -> Vec<String> {
        Vec::new()
    }

    /// The call that starts a watch.
    fn watch(&self, _plan: &WatchPlan<'_>) -> Option<Request> {
        None
    }

    /// Reads what starting a watch was answered with.
    fn watch_started(&self, _plan: &WatchPlan<'_>, _reply: &Reply) -> Result<Watch, Unreadable> {
        Err(Unreadable("a provider without watches"))
    }

    /// The call that a refusal to start a watch names as its remedy.
    fn watch_remedy(&self, _refusal: &Reply) -> Option<Request> {
        None
    }

    /// The call that stops a watch.
    fn unwatch(&self, _watch: &Watch) -> Option<Request> {
        None
    }

    /// The first call of an action, from its input. The problem names every field that is wrong.
    fn action(&self, _name: &str, _input: &Value, _user_id: &UserId) -> Result<Request, Problem> {
        Err(Problem::internal())
    }

    /// Goes on with an action after an answer. `input` is the same as for the first call; `gathered` is the action's own
    /// memory, null at first.
    fn action_step(
        &self,
        _name: &str,
        _input: &Value,
        _gathered: &mut Value,
        _reply: &Reply,
    ) -> Result<Step, Unreadable> {
        Err(Unreadable("a provider without actions"))
    }
}
