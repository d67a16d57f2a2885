//! Stripe's lists and its events, page by page: <https://docs.stripe.com/api/pagination> and
//! <https://docs.stripe.com/api/events/list>, read 2026-11.
//!
//! A full run reads the objects themselves; an incremental one reads what happened, because lists can't be asked for changes.

use std::collections::BTreeMap;

use domain::{Change, RecordKey, Reply, Request, Version, call::Unreadable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use super::{SPEC, event, normalise};
use crate::{
    About, Next, StreamPage,
    stream::{following, place},
};

/// The most that a page can hold.
const LIMIT: (&str, &str) = ("limit", "100");
/// Stripe keeps events for 30 days. A cursor this old, in seconds, may miss some before the run ends.
const MAX_AGE: i64 = 29 * 24 * 3600;
/// Every run looks back over the start of the last one by this much, in seconds: clocks differ.
const OVERLAP: i64 = 60;

/// A stream, its list, and the events that change it, of which a call may name 20.
struct List {
    stream: &'static str,
    path: &'static str,
    query: &'static [(&'static str, &'static str)],
    events: &'static [&'static str],
}

const LISTS: &[List] = &[
    List {
        stream: "customers",
        path: "/v1/customers",
        query: &[],
        events: &["customer.created", "customer.deleted", "customer.updated"],
    },
    List {
        stream: "subscriptions",
        path: "/v1/subscriptions",
        // Without it canceled ones are left out, and would be taken for gone.
        query: &[("status", "all")],
        events: &[
            "customer.subscription.created",
            "customer.subscription.deleted",
            "customer.subscription.paused",
            "customer.subscription.pending_update_applied",
            "customer.subscription.pending_update_expired",
            "customer.subscription.resumed",
            "customer.subscription.trial_will_end",
            "customer.subscription.updated",
        ],
    },
    List {
        stream: "payment_intents",
        path: "/v1/payment_intents",
        query: &[],
        events: &[
            "payment_intent.amount_capturable_updated",
            "payment_intent.canceled",
            "payment_intent.created",
            "payment_intent.partially_funded",
            "payment_intent.payment_failed",
            "payment_intent.processing",
            "payment_intent.requires_action",
            "payment_intent.succeeded",
        ],
    },
];

#[derive(Deserialize)]
struct Cursor {
    since: i64,
}

#[derive(Serialize, Deserialize)]
struct Position {
    /// When the run began, in seconds. The next one begins there: what changes during this one may be on pages already read.
    started: i64,
    /// Events since then are read; without it, objects.
    since: Option<i64>,
    /// The last object of the page before.
    after: Option<String>,
    /// Of events: the last second of the page before, and the versions that were read of it.
    #[serde(default)]
    edge: Edge,
}

/// Events of one object in one second are in order within a page; the next page must not go back behind it.
#[derive(Default, Clone, Serialize, Deserialize)]
struct Edge {
    second: i64,
    objects: BTreeMap<String, Version>,
}

impl Edge {
    fn passed(&self, change: &Change) -> bool {
        let newest = self.objects.get(change.key().id()).filter(|_| change.updated_at().as_second() == self.second);
        !change.is_deleted() && newest.is_some_and(|newest| change.version() <= *newest)
    }

    /// After a page of these changes, the oldest first.
    fn after(mut self, changes: &[Change]) -> Self {
        let Some(second) = changes.first().map(|change| change.updated_at().as_second()) else { return self };
        if second != self.second {
            self = Self { second, objects: BTreeMap::new() };
        }
        let last = changes.iter().take_while(|change| change.updated_at().as_second() == second);
        for change in last {
            let newest = self.objects.entry(change.key().id().to_owned()).or_insert(change.version());
            *newest = change.version().max(*newest);
        }
        self
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Box<RawValue>>,
    has_more: bool,
}

pub(super) fn begin(cursor: Option<&Value>, now: Timestamp) -> Option<Value> {
    let started = now.as_second();
    let since = match cursor {
        None => None,
        Some(cursor) => Some(place::<Cursor>(cursor)?.since).filter(|since| started - MAX_AGE < *since).map(Some)?,
    };
    Some(json!(Position { started, since, after: None, edge: Edge::default() }))
}

pub(super) fn request(stream: &str, position: &Value) -> Result<Request, Unreadable> {
    let (list, position) = (list(stream)?, read(position)?);
    let request = match position.since {
        None => SPEC.get(list.path, "").query(list.query.iter().copied()),
        Some(since) => SPEC
            .get("/v1/events", "")
            .query([("created[gte]", since.to_string().as_str())])
            .query(list.events.iter().map(|event| ("types[]", *event))),
    };
    Ok(request.query([LIMIT]).query(position.after.as_deref().map(|after| ("starting_after", after))))
}

pub(super) fn page(
    stream: &str,
    position: &Value,
    reply: &Reply,
    asked_at: Timestamp,
) -> Result<StreamPage, Unreadable> {
    #[derive(Deserialize)]
    struct Head {
        id: String,
    }
    let (list, position) = (list(stream)?, read(position)?);
    let answer: Answer = reply.json()?;
    let mut changes = Vec::new();
    // Pages begin with the newest: of two states with one version the later read counts.
    for item in answer.data.iter().rev() {
        match position.since {
            Some(_) => changes.extend(of_event(item)?),
            None => changes.push(of_object(item, asked_at)?),
        }
    }
    changes.retain(|change| change.key().stream() == list.stream);
    let edge = if position.since.is_some() { position.edge.clone().after(&changes) } else { Edge::default() };
    changes.retain(|change| !position.edge.passed(change));
    let last = match answer.data.last().filter(|_| answer.has_more) {
        Some(item) => {
            Some(serde_json::from_str::<Head>(item.get()).map_err(|_| Unreadable("an object without an id"))?.id)
        }
        None if answer.has_more => return Err(Unreadable("an empty page with more to come")),
        None => None,
    };
    let next = match following(last, position.after.as_deref())? {
        Some(after) => Next::Page(json!(Position { after: Some(after), edge, ..position })),
        None => Next::Done(cursor(position.started)),
    };
    Ok(StreamPage::new(changes, next))
}

fn cursor(started: i64) -> Value {
    json!({ "since": started.saturating_sub(OVERLAP) })
}

/// Events tell of what changes while a full run goes on.
pub(super) fn meanwhile(position: &Value) -> Option<Value> {
    let position = read(position).ok()?;
    position.since.is_none().then(|| cursor(position.started))
}

/// An object that marked a page can be gone by the time of the next one, and events are not kept for ever.
pub(super) fn about(position: &Value) -> About {
    About::list(read(position).is_ok_and(|position| position.after.is_some() || position.since.is_some()))
}

fn list(stream: &str) -> Result<&'static List, Unreadable> {
    LISTS.iter().find(|list| list.stream == stream).ok_or(Unreadable("no such stream"))
}

fn read(position: &Value) -> Result<Position, Unreadable> {
    place(position).ok_or(Unreadable("no position of a run"))
}

fn of_event(item: &RawValue) -> Result<Vec<Change>, Unreadable> {
    let event = event::read(item).map_err(|_| Unreadable("an event"))?;
    Ok(event.changes().to_vec())
}

/// An object as it was when it was asked for.
fn of_object(item: &RawValue, asked_at: Timestamp) -> Result<Change, Unreadable> {
    let object = normalise::object(item).ok().flatten().ok_or(Unreadable("an object of another kind"))?;
    let key = RecordKey::new(object.stream, &object.id).map_err(|_| Unreadable("an object without a usable id"))?;
    Ok(Change::new(key, normalise::CLOCK.listed(asked_at), asked_at, object.data))
}

#[cfg(test)]
mod tests;
