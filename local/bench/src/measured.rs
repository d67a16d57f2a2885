//! The raw measurements of a subject.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

#[derive(Default)]
pub(super) struct Measured {
    /// From the start of the process until it waits for its first event, by start.
    pub(super) init: Vec<Cost>,
    /// The first invocation, by start.
    pub(super) first: Vec<Cost>,
    /// The warm ones.
    pub(super) warm: Vec<Slice>,
    pub(super) init_calls: BTreeMap<String, u64>,
    /// The most memory it held.
    pub(super) peak_rss_kb: u64,
}

/// The time that something took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// CPU time.
    pub(super) cpu: Duration,
    /// Wall time.
    pub(super) wall: Duration,
}

/// Some warm events in a row.
pub(super) struct Slice {
    /// How many.
    pub(super) events: u32,
    /// What they took together.
    pub(super) cost: Cost,
    /// The AWS calls they took together.
    pub(super) calls: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// CPU of a warm event, in microseconds: the median of the slices, which a disturbance of some does not move.
pub(super) fn warm_cpu_us(measured: &Measured) -> f64 {
    slices(measured).median
}

pub(super) fn slices(measured: &Measured) -> Spread {
    Spread::of(measured.warm.iter().map(|slice| us(slice.cost.cpu) / f64::from(slice.events)))
}

impl Spread {
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let last = values.len().saturating_sub(1);
        Self { median: f64::midpoint(at(last / 2), at(last.div_ceil(2))), min: at(0), max: at(last) }
    }
}

pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(super) fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
