//! Test and live accounts.

use serde::{Deserialize, Serialize};

/// The mode of an account at a provider that keeps tests apart from what is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Real money, real mail.
    Live,
    /// Nothing in it is real: test payments, for example.
    Test,
}

impl Mode {
    /// Its name in keys and for callers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Live, Self::Test].into_iter().find(|mode| mode.name() == name)
    }
}
