//! How a browser gets its session, and how it ends: a page of the application posts a token, or a code, once.

use domain::{Problem, error::Kind, oauth::grant::is_own_path};
use jiff::{SignedDuration, Timestamp};
use lambda_http::{
    Body, Response,
    http::{StatusCode, header},
};
use platform::{
    base::clock,
    runtime::{
        http::{Call, Input, SETTINGS, internal, json, see_other},
        session::{COOKIE, Claims, Issued, LOOPBACK_COOKIE, Use},
    },
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{Answer, IntegrationsApi};

/// The longest life of a posted token, and the life of a code: both pass through a page.
const MAX_LIFE: SignedDuration = SignedDuration::from_secs(60);

impl IntegrationsApi {
    /// Takes a token of the application, or a code, from one of its pages, once, and gives a session of ours for it.
    pub(crate) async fn sign_in(&self, call: &Call<'_>) -> Answer {
        let origin = call.request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let origin = origin.filter(|origin| self.front.trusts(origin)).ok_or_else(|| {
            let message = "This page may not sign anybody in.";
            Problem::new(Kind::Forbidden, message, "Add its origin to the parameter AllowedOrigins.")
        })?;
        call.check()?;
        let input = Input::of(call)?;
        let to = input.text("return_to")?.unwrap_or(SETTINGS);
        if !is_own_path(to) {
            return Err(Problem::field("return_to", "\"return_to\" must be a path of this host."));
        }
        let claims = match (input.text("token")?, input.text("code")?) {
            (Some(_), Some(_)) => return Err(Problem::field("code", "Send a code or a token, not both.")),
            (None, Some(code)) => self.by_code(code, origin).await?,
            (token, None) => self.by_token(token.unwrap_or_default()).await?,
        };
        self.begin_session(call, &claims, see_other(to)).await
    }

    /// Gives a code, with which a page of this origin begins a session of the caller's user: for tokens that live too long to pass
    /// through a page.
    pub(crate) async fn sign_in_code(&self, call: &Call<'_>) -> Answer {
        #[derive(Serialize)]
        struct Code {
            code: String,
            expires_at: Timestamp,
        }
        let caller = self.front.program(call).await?;
        let input = Input::of(call)?;
        let origin = input.text("origin")?.unwrap_or_default();
        if !self.front.trusts(origin) {
            return Err(Problem::field("origin", "It must be one of the parameter AllowedOrigins."));
        }
        let now = clock::now();
        let claims = Claims {
            sub: caller.user_id,
            admin: caller.admin,
            actor: caller.actor,
            expires_at: now + MAX_LIFE,
            jti: None,
        };
        let issued = Issued::new(&claims, now, claims.expires_at).ok_or_else(Problem::internal)?;
        let issued = Issued { origin: Some(origin.to_owned()), ..issued };
        let code = self.front.sessions.issue(Use::Code, &issued).await?;
        Ok(json(StatusCode::OK, &Code { code, expires_at: issued.expires_at }))
    }

    /// Ends all browser sessions of the caller's user that began until now; those of the party that acts for the user, if one does.
    pub(crate) async fn sign_out(&self, call: &Call<'_>) -> Answer {
        let caller = self.front.caller(call).await?;
        self.front.end_sessions(&caller.user_id, caller.actor.as_deref()).await?;
        if caller.session.is_none() {
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        let mut response = see_other(self.front.application().unwrap_or(SETTINGS));
        call.remove_cookie(&mut response, cookie(call));
        Ok(response)
    }

    /// Adds a session of the claims' subject to an answer.
    pub(crate) async fn begin_session(&self, call: &Call<'_>, claims: &Claims, mut response: Response<Body>) -> Answer {
        let now = clock::now();
        let issued = Issued::new(claims, now, now + self.session_life).ok_or_else(Problem::internal)?;
        let session = self.front.sessions.issue(Use::Cookie, &issued).await?;
        call.set_cookie(&mut response, cookie(call), &session, self.session_life);
        Ok(response)
    }

    async fn by_token(&self, token: &str) -> Result<Claims, Problem> {
        let claims = self.front.sessions.claims(token).await?;
        let id =
            claims.jti.as_deref().filter(|id| (1..=255).contains(&id.len())).ok_or_else(Problem::unauthenticated)?;
        if claims.expires_at.duration_since(clock::now()) > MAX_LIFE {
            return Err(Problem::new(
                Kind::Unauthenticated,
                "The token lives too long for a form.",
                "Mint it for at most 60 seconds, with a \"jti\", or ask for a code with it.",
            ));
        }
        // A hash, because the record outlives the token: it has no user id.
        let id = hex::encode(Sha256::digest(format!("{}\n{id}", claims.sub)));
        self.used_once(&format!("session#{id}"), claims.expires_at).await?;
        Ok(claims)
    }

    async fn by_code(&self, code: &str, origin: &str) -> Result<Claims, Problem> {
        let (Issued { sub, admin, actor, issued_at, expires_at, jti, origin: bound }, _) =
            self.front.sessions.issued(Use::Code, code).await?;
        if bound.as_deref() != Some(origin) {
            return Err(Problem::new(
                Kind::Forbidden,
                "This code is for a page of another origin.",
                "Ask for a code with the origin of the page that posts it.",
            ));
        }
        self.front.refuse_ended(&sub, actor.as_deref(), issued_at).await?;
        self.used_once(&format!("session-code#{jti}"), expires_at).await?;
        Ok(Claims { sub, admin, actor, expires_at, jti: Some(jti) })
    }

    async fn used_once(&self, key: &str, expires_at: Timestamp) -> Result<(), Problem> {
        let first = self.claims.first_use(key, expires_at).await.map_err(|error| internal(&error))?;
        if first { Ok(()) } else { Err(Problem::unauthenticated()) }
    }
}

fn cookie(call: &Call<'_>) -> &'static str {
    if call.is_loopback() { LOOPBACK_COOKIE } else { COOKIE }
}
