//! Rate limits that all processes keep together: each reserves the cells of several calls with one write.
//! [`domain::call::rate`] has the arithmetic (GCRA). The attribute `next_slot` is a bucket's theoretical arrival time.
//!
//! Messages that wait for a bucket stand in a line: each place is a time from which its message finds a cell, as far apart as cells
//! are. The attribute `line` is the time of the next place. A caller that waits itself passes the line, so that a person does not wait
//! behind a backlog of syncs.
//!
//! *Invariant:* a cell is reserved once, and a place is given once. If the table fails, calls go ahead: the provider's own limit still
//! holds.

mod line;

use std::{
    collections::HashMap,
    sync::{
        self, Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::types::ReturnValue;
use domain::call::{
    Micros,
    limit::{Bucket, BucketKey},
    rate::{LocalReservation, Reservation},
};
use jiff::SignedDuration;
use tokio::sync::Mutex;

use crate::{
    aws::{Aws, AwsError},
    base::{clock, lock::lock},
    stores::{
        item::{key, n, number, s, seconds},
        table::{Outcome, Table, Update},
    },
};

/// TTL deletes an unused bucket after this: longer than any wait that is believed.
const RETENTION: SignedDuration = SignedDuration::from_hours(48);
/// Buckets that are remembered in memory; cells reserved of others lapse.
const MAX_RESERVATIONS: usize = 1_000;
/// What asking the table may take beyond a caller's patience.
const SLOW: Duration = Duration::from_secs(1);
/// How long the table is not asked again after it failed.
const STORE_DOWN: Duration = Duration::from_secs(1);
/// How often a reservation is tried: the bucket may go idle or fill up in between, or the caller may pass the line.
const TRIES: u32 = 4;

/// The table, and the cells that this process has reserved.
#[derive(Debug)]
pub struct Pace {
    table: Table,
    reservations: sync::Mutex<HashMap<BucketKey, Arc<Mutex<LocalReservation>>>>,
}

/// The limit leaves no turn within the caller's time: the next one, or the caller's place in the line, is after this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted(pub Duration);

/// How a caller waits for its turns.
#[derive(Debug, Clone, Copy, Default)]
pub enum Waiting<'a> {
    /// By itself, as far as its time goes.
    #[default]
    Here,
    /// As a message in a queue, in line with others: the flag says whether it comes at its place, which counts for the first call that
    /// would have to wait.
    InLine(&'a AtomicBool),
}

impl Pace {
    /// The table of this name.
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { table: Table::new(aws, table), reservations: sync::Mutex::default() }
    }

    /// Waits for a call's turn in all its buckets, `patience` at most, and returns how long that took.
    pub async fn turn(
        &self,
        buckets: &[Bucket],
        patience: Duration,
        waiting: Waiting<'_>,
    ) -> Result<Duration, Exhausted> {
        if buckets.is_empty() {
            return Ok(Duration::ZERO);
        }
        let began = now();
        let latest = began.saturating_add(Micros::of(patience));
        let all = async {
            // The widest first: its turn passes while the narrow one is waited for, and it has more room for that.
            for bucket in buckets.iter().rev() {
                let at = self.cell(bucket, now().until(latest), waiting).await?;
                if at > latest {
                    return Err(Exhausted(now().until(at)));
                }
                let wait = now().until(at);
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
            }
            Ok(())
        };
        match tokio::time::timeout(patience + SLOW, all).await {
            Ok(outcome) => outcome.map(|()| began.until(now())),
            Err(_) => {
                tracing::warn!(limit = buckets[0].key.limit(), "not paced: the table is too slow");
                Ok(began.until(now()))
            }
        }
    }

    /// The provider said that a bucket is exhausted for this long: no process takes from it until then.
    pub async fn exhaust(&self, bucket: &Bucket, wait: Duration) {
        let until = now().saturating_add(Micros::of(wait));
        self.reservation(bucket).lock().await.exhausted(until);
        let update = self
            .update(bucket)
            .set("next_slot = :until")
            .when("attribute_not_exists(next_slot) OR next_slot < :until")
            .with([(":until", n(until))]);
        let known = matches!(tokio::time::timeout(SLOW, update.send()).await, Ok(Ok(_)));
        if !known {
            tracing::warn!(
                limit = bucket.key.limit(),
                "other processes don't know of the provider's word on its limit"
            );
        }
    }

    async fn cell(&self, bucket: &Bucket, patience: Duration, waiting: Waiting<'_>) -> Result<Micros, Exhausted> {
        let reservation = self.reservation(bucket);
        // Other calls of this process wait here while one reserves for all.
        let mut reservation = reservation.lock().await;
        let now = now();
        if let Some(at) = reservation.take(bucket.rate, bucket.cost, now) {
            return Ok(at);
        }
        if let Some(wait) = reservation.exhausted_for(now, patience)
            && matches!(waiting, Waiting::Here)
        {
            return Err(Exhausted(wait));
        }
        if reservation.is_store_down(now) {
            return Ok(now);
        }
        let request = reservation.reservation(bucket.rate, bucket.cost, now, patience);
        match self.reserve(bucket, request, reservation.is_busy(), waiting).await {
            Ok(Reserved::Cells(first)) => {
                reservation.reserved(first, request, now);
                Ok(reservation.take(bucket.rate, bucket.cost, now).unwrap_or(first))
            }
            Ok(Reserved::Full(next)) => {
                reservation.exhausted(next);
                Err(Exhausted(now.until(next)))
            }
            Ok(Reserved::Place(at)) => Err(Exhausted(now.until(at))),
            Err(error) => {
                tracing::warn!(
                    reason = error.reason().name(),
                    detail = error.diagnosis().detail(),
                    limit = bucket.key.limit(),
                    "not paced"
                );
                reservation.store_down(now.saturating_add(Micros::of(STORE_DOWN)));
                Ok(now)
            }
        }
    }

    /// Reserves cells, by the same rule as [`Reservation::of`], or a place in the line.
    async fn reserve(
        &self,
        bucket: &Bucket,
        request: Reservation,
        busy: bool,
        mut waiting: Waiting<'_>,
    ) -> Result<Reserved, AwsError> {
        // A busy bucket's TAT moves on from where it is, an idle one's from the clock; the table knows which it is, and a wrong
        // guess costs a write.
        let mut idle = !busy;
        for _ in 0..TRIES {
            let update = self.update(bucket).returning(ReturnValue::UpdatedNew).with([(":floor", n(request.floor))]);
            let update = if idle {
                update
                    .set("next_slot = :next")
                    .when("attribute_not_exists(next_slot) OR next_slot < :floor")
                    .with([(":next", n(request.floor + request.advance))])
            } else {
                update
                    .set("next_slot = next_slot + :advance")
                    .when("next_slot BETWEEN :floor AND :latest")
                    .with([(":advance", n(request.advance)), (":latest", n(request.latest))])
            };
            let update = match waiting {
                Waiting::InLine(_) => update.when(line::IS_SHORT).with([(":soon", n(request.latest))]),
                Waiting::Here => update,
            };
            let stored = match update.send().await? {
                Outcome::Written(item) => {
                    return Ok(Reserved::Cells(number::<Micros>(&item, "next_slot")? - request.advance));
                }
                Outcome::Refused(stored) => stored,
            };
            let known = |name: &str| stored.contains_key(name).then(|| number::<Micros>(&stored, name)).transpose();
            let next = known("next_slot")?;
            let queue = known("line")?;
            match (request.of(next), waiting) {
                (Err(full), Waiting::Here) => return Ok(Reserved::Full(full)),
                (first, Waiting::InLine(has_place))
                    if first.is_err() || queue.is_some_and(|last| last > request.latest) =>
                {
                    if !has_place.swap(false, Ordering::Relaxed) {
                        return self.join(bucket, next.unwrap_or_default(), queue).await;
                    }
                    // Its place has come: it passes those that came later.
                    waiting = Waiting::Here;
                }
                (Ok(_) | Err(_), _) => {}
            }
            idle = next.is_none_or(|next| next < request.floor);
        }
        Err(AwsError::Answer { action: "dynamodb:UpdateItem", lack: "the bucket changes faster than it can be asked" })
    }

    fn update(&self, bucket: &Bucket) -> Update {
        let update = self.table.update(key([("bucket", s(bucket.key.as_str()))]));
        update.set("expires_at = :expires_at").with([(":expires_at", seconds(clock::now() + RETENTION))])
    }

    fn reservation(&self, bucket: &Bucket) -> Arc<Mutex<LocalReservation>> {
        let mut reservations = lock(&self.reservations);
        if reservations.len() >= MAX_RESERVATIONS && !reservations.contains_key(&bucket.key) {
            reservations.retain(|_, reservation| Arc::strong_count(reservation) > 1);
        }
        if let Some(reservation) = reservations.get(&bucket.key) {
            return Arc::clone(reservation);
        }
        Arc::clone(reservations.entry(bucket.key.clone()).or_default())
    }
}

/// What asking for cells led to.
#[derive(Debug)]
enum Reserved {
    /// They are reserved, from this time on.
    Cells(Micros),
    /// None is free before this time.
    Full(Micros),
    /// The caller's place in the line is at this time, or that is the end of a line in which a message could not wait.
    Place(Micros),
}

fn now() -> Micros {
    Micros::at(clock::now())
}
