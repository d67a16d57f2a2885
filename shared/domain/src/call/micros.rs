//! Microseconds, of which all arithmetic of rates is made.

use std::{
    num::ParseIntError,
    ops::{Add, Div, Mul, Sub},
    str::FromStr,
    time::Duration,
};

use jiff::Timestamp;

/// Microseconds: the Unix time of a moment, or what lies between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(i64);

impl Micros {
    /// So many microseconds.
    pub const fn new(count: i64) -> Self {
        Self(count)
    }

    /// The time of a moment.
    pub fn at(moment: Timestamp) -> Self {
        Self(moment.as_microsecond())
    }

    /// Whole microseconds; a longer time than the type holds is a very long one.
    pub fn of(time: Duration) -> Self {
        Self(i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4))
    }

    /// The number that is stored.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// This long after a moment, or the last moment that there is.
    #[must_use]
    pub const fn saturating_add(self, time: Self) -> Self {
        Self(self.0.saturating_add(time.0))
    }

    /// The time from this moment to a later one; zero if that one is earlier.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_micros(u64::try_from(later.0 - self.0).unwrap_or_default())
    }
}

impl Add for Micros {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Micros {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<i64> for Micros {
    type Output = Self;

    fn mul(self, times: i64) -> Self {
        Self(self.0 * times)
    }
}

impl Div<i64> for Micros {
    type Output = Self;

    fn div(self, parts: i64) -> Self {
        Self(self.0 / parts)
    }
}

impl FromStr for Micros {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl From<Micros> for i128 {
    fn from(time: Micros) -> Self {
        time.0.into()
    }
}
