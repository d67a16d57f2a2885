//! The process's environment variables. Nothing else reads them.

use std::sync::OnceLock;

/// The release, as the template has it: every function has it. It labels logs, and a function without it works all the same.
pub(super) const RELEASE: &str = "VERSION";

/// The release that this process runs, for what it writes before and beside its configuration; empty if it is not told.
pub(crate) fn release() -> &'static str {
    static READ: OnceLock<String> = OnceLock::new();
    READ.get_or_init(|| ambient(RELEASE).unwrap_or_default())
}

/// A variable that the Lambda runtime or the SDK defines, not the template.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(crate) fn ambient(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
