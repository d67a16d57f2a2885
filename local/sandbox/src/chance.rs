//! What happens to some and not to others: with the same seed, to the same ones.

use serde::Deserialize;

/// How probable something is, and the seed of what happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct Chance {
    of: f64,
    random: fastrand::Rng,
}

/// As the controls take it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// From 0 to 1.
    of: f64,
    #[serde(default)]
    seed: u64,
}

impl TryFrom<Written> for Chance {
    type Error = &'static str;

    fn try_from(Written { of, seed }: Written) -> Result<Self, Self::Error> {
        if (0.0..=1.0).contains(&of) {
            Ok(Self { of, random: fastrand::Rng::with_seed(seed) })
        } else {
            Err("a chance is of 0 to 1")
        }
    }
}

impl Chance {
    /// Whether it happens this time.
    pub(super) fn happens(&mut self) -> bool {
        self.random.f64() < self.of
    }
}
