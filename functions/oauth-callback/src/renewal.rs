//! What renews a grant: a refresh token that an answer does not replace is kept, and a grant that nothing renews says so at once.

use domain::{Integration, Problem, Reason, Sentence, integration::IntegrationState, oauth::grant::TokenResponse};
use jiff::Timestamp;
use platform::AwsError;
use providers::Spec;

use crate::OauthCallback;

impl OauthCallback {
    /// The tokens of a new grant, with the stored refresh token where an access token that ends came without one: Google sends
    /// it with the first consent and may leave it out afterwards
    /// (<https://developers.google.com/identity/protocols/oauth2/web-server#offline>, read 2026-11).
    ///
    /// A grant that is over keeps no token. Nor is a token kept that the answer does not have at all, such as the user token of
    /// Slack: it belongs to the account that installed the app before, and another account may have installed it now.
    pub(crate) async fn renewable(
        &self,
        mut issued: Vec<TokenResponse>,
        earlier: Option<&Integration>,
        now: Timestamp,
    ) -> Result<Vec<TokenResponse>, AwsError> {
        let Some(earlier) = earlier.filter(|it| it.state == IntegrationState::Connected) else { return Ok(issued) };
        for token in issued.iter_mut().filter(|it| ends(it)) {
            match self.credentials.get(&earlier.key.id(), &token.name, now).await {
                Ok(stored) => token.refresh = stored.and_then(|stored| stored.refresh),
                // It can never be opened.
                Err(error) if error.reason() == Reason::Corrupt => {}
                Err(error) => return Err(error),
            }
        }
        Ok(issued)
    }
}

/// What the status says of a grant before its first token ends for good. It is kept all the same: until then it works, and a
/// refusal could be repeated for ever by a provider that goes on sending no refresh token.
pub(crate) fn problem(spec: &Spec, issued: &[TokenResponse], now: Timestamp) -> Option<Sentence> {
    let token = issued.first().filter(|it| ends(it))?;
    Some(Problem::access_ends(spec.name, now + token.life?, now).with_next_action())
}

/// Whether a token has an end, and nothing to renew it with.
const fn ends(token: &TokenResponse) -> bool {
    token.life.is_some() && token.refresh.is_none()
}
