//! The caller of an API.

use http::StatusCode;

use super::refusal::Refusal;

/// The account and the scopes of an access token.
pub(super) struct Caller {
    pub(super) account: String,
    pub(super) scopes: Vec<String>,
}

impl Caller {
    /// Refuses unless one of these scopes (what follows `/auth/`, or whole) is granted.
    pub(super) fn needs(&self, any_of: &[&str]) -> Result<(), Refusal> {
        let short = |scope: &str| scope.trim_start_matches("https://www.googleapis.com/auth/").to_owned();
        if self.scopes.iter().any(|scope| any_of.contains(&short(scope).as_str())) {
            return Ok(());
        }
        let message = "Request had insufficient authentication scopes.".to_owned();
        Err(Refusal { status: StatusCode::FORBIDDEN, reason: "insufficientPermissions", message })
    }
}
