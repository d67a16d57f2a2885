//! How a browser gets its session: the application's page posts a token, once.

use domain::{Problem, error::Kind, oauth::grant::is_own_path};
use jiff::{SignedDuration, Timestamp};
use lambda_http::http::header;
use platform::{
    base::clock,
    runtime::{
        http::{Call, Input, SETTINGS, internal, see_other},
        session::{COOKIE, LOOPBACK_COOKIE},
    },
};

use crate::{Answer, IntegrationsApi};

/// The longest life of a posted token: it passed through a page.
const MAX_LIFE: SignedDuration = SignedDuration::from_secs(60);

impl IntegrationsApi {
    /// Takes a token of the application from one of its pages, once, and gives a session of ours for it.
    pub(crate) async fn sign_in(&self, call: &Call<'_>) -> Answer {
        let origin = call.request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        if !origin.is_some_and(|origin| self.front.trusts(origin)) {
            let message = "This page may not sign anybody in.";
            return Err(Problem::new(Kind::Forbidden, message, "Add its origin to the parameter AllowedOrigins."));
        }
        call.check()?;
        let input = Input::of(call)?;
        let to = input.text("return_to")?.unwrap_or(SETTINGS);
        if !is_own_path(to) {
            return Err(Problem::field("return_to", "\"return_to\" must be a path of this host."));
        }
        let token = input.text("token")?.unwrap_or_default();
        let claims = self.front.sessions.claims(token).await?;
        let now = clock::now();
        let expires_at = Timestamp::from_second(claims.exp).map_err(|_| Problem::unauthenticated())?;
        let id =
            claims.jti.as_deref().filter(|id| (1..=255).contains(&id.len())).ok_or_else(Problem::unauthenticated)?;
        if expires_at.duration_since(now) > MAX_LIFE {
            let message = "The token lives too long for a form.";
            return Err(Problem::new(
                Kind::Unauthenticated,
                message,
                "Mint it for at most 60 seconds, with a \"jti\".",
            ));
        }
        let first = self.claims.first_use(&format!("session#{}#{id}", claims.sub), expires_at).await;
        if !first.map_err(|error| internal(&error))? {
            return Err(Problem::unauthenticated());
        }
        let session = self.front.sessions.mint(&claims, now + self.session_life).await?;
        let mut response = see_other(to);
        let cookie = if call.is_loopback() { LOOPBACK_COOKIE } else { COOKIE };
        call.set_cookie(&mut response, cookie, &session, self.session_life);
        Ok(response)
    }
}
