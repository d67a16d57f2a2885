//! A rate, kept by many processes together: each call has its slot on one time line, and a process leases a few slots ahead.
//!
//! The time line of a bucket is one number in a table: the next free slot. Leasing moves it on by what is leased; an idle
//! bucket's is behind the clock, which is its burst. A process sends in its slots or up to a grace later, and
//! then lets them lapse.
//!
//! *Invariant:* together they send no more than the provider's own bucket of the same rate and burst lets through, as long as
//! delays on the way differ by less than the grace. A burst of less than a quarter of a second's worth leaves no room for that:
//! there a machine that is late may meet a refusal.

use std::time::Duration;

/// Slots are this much wider than the rate asks for, in percent: a provider's bucket that was emptied fills again.
const HEADROOM: i64 = 3;
/// The longest time that one lease spans. Longer ones cost fewer writes, and make others wait longer.
const SPAN: i64 = 350_000;
/// The shortest grace: what a slot must allow to a busy machine.
const MIN_GRACE: i64 = 50_000;
/// How much longer the next lease is when one was used up.
const GROWTH: u32 = 4;
/// With slots further ahead than this, leases are not made longer, and with twice this, shorter.
const BACKLOG: i64 = 2_000_000;

/// How much is let through. Times here are microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    units: u32,
    per_seconds: u32,
    burst: u32,
}

/// What a process holds of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// The next slot that is leased, and how many units are.
    slot: i64,
    left: u32,
    leased_at: i64,
    /// Calls made from this lease, and whether some of it lapsed.
    used: u32,
    lapsed: bool,
    /// Calls to lease for next time.
    want: u32,
    /// Whether the last lease began behind another one, or within the burst.
    busy: bool,
    /// How far ahead the last lease began.
    backlog: i64,
    /// No free slot before this one is within reach, as the table last said.
    full_until: i64,
    /// The table can't be asked before then.
    blind_until: i64,
}

/// A wish for slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// How many units.
    pub units: u32,
    /// By how much that moves the time line.
    pub advance: i64,
    /// Where the time line of an idle bucket stands.
    pub floor: i64,
    /// The latest slot that is of use.
    pub latest: i64,
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
    pub fn interval(&self) -> i64 {
        let exact = i64::from(self.per_seconds) * 1_000_000 / i64::from(self.units.max(1));
        (exact + exact * HEADROOM / 100).max(1)
    }

    /// Units that go out at once after a pause: half the burst, the other half is for calls that are late.
    fn at_once(&self) -> i64 {
        i64::from((self.burst / 2).max(1))
    }

    /// How late a slot may be used. As much again may be lost on the way.
    fn grace(&self) -> i64 {
        ((i64::from(self.burst) - self.at_once()) * self.interval() / 2).max(MIN_GRACE)
    }
}

impl Ask {
    /// The first slot that is had from a time line that stands at `next`, or where it stands, if that is too late to be of use.
    /// The table decides by the same rule.
    pub fn of(&self, next: Option<i64>) -> Result<i64, i64> {
        match next {
            Some(next) if next > self.latest => Err(next),
            Some(next) => Ok(next.max(self.floor)),
            None => Ok(self.floor),
        }
    }
}

impl Share {
    /// Takes a call's units. When it may be sent; `None` if there must be a lease first.
    pub fn take(&mut self, rate: Rate, cost: u32, now: i64) -> Option<i64> {
        let interval = rate.interval();
        while self.left > 0 && self.slot.max(self.leased_at) + rate.grace() < now {
            self.slot += interval;
            self.left -= 1;
            self.lapsed = true;
        }
        if self.left < cost.max(1) {
            return None;
        }
        let at = self.slot.max(now);
        self.slot += interval * i64::from(cost);
        self.left -= cost;
        self.used += 1;
        Some(at)
    }

    /// How long to wait at least, if a lease was just refused and asking again is of no use yet.
    pub fn full(&self, now: i64, patience: Duration) -> Option<Duration> {
        (self.full_until > now + micros(patience)).then(|| between(now, self.full_until))
    }

    /// What to ask for: more than last time if that was used up, less if it lapsed.
    pub fn ask(&mut self, rate: Rate, cost: u32, now: i64, patience: Duration) -> Ask {
        let interval = rate.interval();
        let each = interval * i64::from(cost.max(1));
        let most = u32::try_from(SPAN / each).unwrap_or(u32::MAX).max(1);
        self.want = match self.used {
            used if self.lapsed => used,
            0 => self.want,
            _ if self.backlog > 2 * BACKLOG => self.want / 2,
            _ if self.backlog > BACKLOG => self.want,
            _ => self.want * GROWTH,
        };
        self.want = self.want.clamp(1, most);
        let units = self.want * cost.max(1);
        Ask {
            units,
            advance: interval * i64::from(units),
            floor: now - (rate.at_once() - 1) * interval,
            latest: now + micros(patience),
        }
    }

    /// Whether the time line is to be looked for where a lease of another one left it, as at the last lease. Otherwise the clock is
    /// ahead of it, most likely: the bucket was idle then, or has not been asked yet.
    pub const fn is_busy(&self) -> bool {
        self.busy
    }

    /// The lease that was had of what was asked for, from this slot on.
    pub fn leased(&mut self, first: i64, ask: Ask, now: i64) {
        let (backlog, busy) = ((first - now).max(0), first > ask.floor);
        *self =
            Self { slot: first, left: ask.units, leased_at: now, want: self.want, busy, backlog, ..Self::default() };
    }

    /// Whether the table could not be asked a moment ago.
    pub fn is_blind(&self, now: i64) -> bool {
        self.blind_until > now
    }

    /// The table can't be asked: not before this moment again.
    pub fn blind(&mut self, until: i64) {
        self.blind_until = until;
    }

    /// There is no free slot before this one, or the provider said to wait until then: what is leased is not used any more.
    pub fn closed(&mut self, until: i64) {
        self.left = 0;
        self.full_until = self.full_until.max(until);
    }
}

/// Whole microseconds.
pub fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}

/// The time from one to a later moment.
pub fn between(from: i64, to: i64) -> Duration {
    Duration::from_micros(u64::try_from(to - from).unwrap_or_default())
}

#[cfg(test)]
mod tests;
