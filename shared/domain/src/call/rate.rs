//! A rate that many processes keep together, by the generic cell rate algorithm (GCRA): one number per bucket, the theoretical
//! arrival time (TAT) of the next cell.
//!
//! A process reserves several cells with one write, which moves the TAT on by as many intervals. The TAT of an idle bucket is
//! behind the clock, by its burst at most. A process uses a cell at its time or up to a grace later; an older cell lapses.
//!
//! *Invariant:* together they send no more than the provider's own bucket of the same rate and burst lets through, as long as
//! delays on the way differ by less than the grace. A burst of less than a quarter of a second's worth leaves no room for that:
//! there a machine that is late may meet a refusal.

use std::time::Duration;

use super::micros::Micros;

/// Cells are this much further apart than the rate asks for, in percent: a provider's bucket that was emptied fills again.
const HEADROOM: i64 = 3;
/// The longest time that one reservation spans. Longer ones cost fewer writes and make other processes wait longer.
const SPAN: Micros = Micros::new(350_000);
/// The shortest grace: what a cell must allow to a busy machine.
const MIN_GRACE: Micros = Micros::new(50_000);
/// How much longer the next reservation is after one that was used up.
const GROWTH: u32 = 4;
/// With cells further ahead than this, reservations are not made longer, and with twice this, shorter.
const BACKLOG: Micros = Micros::new(2_000_000);

/// How much is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    units: u32,
    per_seconds: u32,
    burst: u32,
}

/// The cells of a bucket that a process has reserved, and what it knows of the bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalReservation {
    /// The time of the next reserved cell, and how many units are left.
    next_cell: Micros,
    left: u32,
    reserved_at: Micros,
    /// Calls made from this reservation, and whether some of its cells lapsed.
    used: u32,
    lapsed: bool,
    /// Calls to reserve for next time.
    want: u32,
    /// Whether the last reservation began behind another one, or within the burst.
    busy: bool,
    /// How far ahead the last reservation began.
    backlog: Micros,
    /// The bucket has no free cell before this time, as the table or the provider last said.
    exhausted_until: Micros,
    /// The table failed, and is not asked again before this time.
    store_down_until: Micros,
}

/// A request to reserve cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// Units of the limit that are reserved.
    pub units: u32,
    /// By how much that moves the TAT.
    pub advance: Micros,
    /// The TAT of an idle bucket: the clock less the burst.
    pub floor: Micros,
    /// The latest cell that is of use.
    pub latest: Micros,
}

impl Rate {
    /// So many units per second, and at most so many at once.
    pub const fn per_second(units: u32, burst: u32) -> Self {
        Self { units, per_seconds: 1, burst }
    }

    /// So many units per minute, and at most so many at once.
    pub const fn per_minute(units: u32, burst: u32) -> Self {
        Self { units, per_seconds: 60, burst }
    }

    /// `20/s`, `20/min`, or with the most at once `20/s:5`. Without, the burst is 0 until it [follows](Self::following) another
    /// rate's.
    pub fn parse(text: &str) -> Option<Self> {
        let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let (units, per) = rate.split_once('/')?;
        let units: u32 = units.parse().ok().filter(|units| (1..=1_000_000).contains(units))?;
        let per_seconds: u32 = match per {
            "s" => 1,
            "min" => 60,
            _ => return None,
        };
        let burst = match burst {
            Some(burst) => burst.parse().ok().filter(|burst| *burst > 0)?,
            None => 0,
        };
        Some(Self { units, per_seconds, burst })
    }

    /// With the burst in proportion to that of `documented` if it has none of its own, and with room for calls that cost `most`.
    #[must_use]
    pub fn following(self, documented: Self, most: u32) -> Self {
        let proportion = || {
            let (new, old) = (self.units.saturating_mul(documented.per_seconds), documented.units * self.per_seconds);
            u64::from(documented.burst) * u64::from(new) / u64::from(old.max(1))
        };
        let burst = if self.burst == 0 { u32::try_from(proportion()).unwrap_or(u32::MAX) } else { self.burst };
        // Half of it goes out at once.
        let least = if most > 1 { 2 * most } else { 1 };
        Self { burst: burst.max(least), ..self }
    }

    /// Whether it can be kept at all.
    pub const fn is_usable(&self) -> bool {
        self.units > 0 && self.per_seconds > 0 && self.burst > 0
    }

    /// The time between two units.
    pub fn interval(&self) -> Micros {
        let exact = Micros::of(Duration::from_secs(self.per_seconds.into())) / self.units.max(1).into();
        (exact + exact * HEADROOM / 100).max(Micros::new(1))
    }

    /// Units that go out at once after a pause: half the burst, the other half is for calls that are late.
    fn at_once(&self) -> i64 {
        i64::from((self.burst / 2).max(1))
    }

    /// How late a cell may be used. As much again may be lost on the way.
    fn grace(&self) -> Micros {
        (self.interval() * (i64::from(self.burst) - self.at_once()) / 2).max(MIN_GRACE)
    }
}

impl Reservation {
    /// The first cell that a bucket with this TAT grants; its TAT as the error if that is too late to be of use. The table's
    /// condition expressions decide by the same rule.
    pub fn of(&self, next: Option<Micros>) -> Result<Micros, Micros> {
        match next {
            Some(next) if next > self.latest => Err(next),
            Some(next) => Ok(next.max(self.floor)),
            None => Ok(self.floor),
        }
    }
}

impl LocalReservation {
    /// Takes a call's units: the time at which to send it, or `None` if cells must be reserved first.
    pub fn take(&mut self, rate: Rate, cost: u32, now: Micros) -> Option<Micros> {
        let interval = rate.interval();
        while self.left > 0 && self.next_cell.max(self.reserved_at) + rate.grace() < now {
            self.next_cell = self.next_cell + interval;
            self.left -= 1;
            self.lapsed = true;
        }
        if self.left < cost.max(1) {
            return None;
        }
        let at = self.next_cell.max(now);
        self.next_cell = self.next_cell + interval * cost.into();
        self.left -= cost;
        self.used += 1;
        Some(at)
    }

    /// How long the bucket is still exhausted, if that is longer than `patience`: the table is not asked then.
    pub fn exhausted_for(&self, now: Micros, patience: Duration) -> Option<Duration> {
        (self.exhausted_until > now + Micros::of(patience)).then(|| now.until(self.exhausted_until))
    }

    /// What to reserve: more than last time if that was used up, less if it lapsed.
    pub fn reservation(&mut self, rate: Rate, cost: u32, now: Micros, patience: Duration) -> Reservation {
        let interval = rate.interval();
        let each = interval * cost.max(1).into();
        let most = u32::try_from(SPAN.get() / each.get()).unwrap_or(u32::MAX).max(1);
        self.want = match self.used {
            used if self.lapsed => used,
            0 => self.want,
            _ if self.backlog > BACKLOG * 2 => self.want / 2,
            _ if self.backlog > BACKLOG => self.want,
            _ => self.want * GROWTH,
        };
        self.want = self.want.clamp(1, most);
        let units = self.want * cost.max(1);
        Reservation {
            units,
            advance: interval * units.into(),
            floor: now - interval * (rate.at_once() - 1),
            latest: now + Micros::of(patience),
        }
    }

    /// Whether the TAT is likely ahead of the clock, as at the last reservation. Otherwise the bucket was idle then, or has not
    /// been asked yet.
    pub const fn is_busy(&self) -> bool {
        self.busy
    }

    /// The table granted what was requested, from this cell on.
    pub fn reserved(&mut self, first: Micros, request: Reservation, now: Micros) {
        let (backlog, busy) = ((first - now).max(Micros::default()), first > request.floor);
        *self = Self {
            next_cell: first,
            left: request.units,
            reserved_at: now,
            want: self.want,
            busy,
            backlog,
            ..Self::default()
        };
    }

    /// Whether the table failed a moment ago.
    pub fn is_store_down(&self, now: Micros) -> bool {
        self.store_down_until > now
    }

    /// The table failed: it is not asked again before this time.
    pub fn store_down(&mut self, until: Micros) {
        self.store_down_until = until;
    }

    /// The bucket has no free cell before this time, or the provider said to wait until then: reserved cells are dropped.
    pub fn exhausted(&mut self, until: Micros) {
        self.left = 0;
        self.exhausted_until = self.exhausted_until.max(until);
    }
}

#[cfg(test)]
mod tests;
