//! What the functions behind the HTTP API share: sessions, and which pages they trust.

use ::http::{Method, header};
use domain::{Problem, UserId, error::Kind};
use jiff::Timestamp;
use lambda_http::{Body, Response};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use super::{call::Call, input::Input, internal, notice, route::CSRF};
use crate::{
    aws::Aws,
    base::{clock, config::Env, rewrites::Rewrites},
    runtime::session::{self, Accept, BrowserSession, Caller, Sessions},
    stores::session_ends::SessionEnds,
};

/// What functions behind the HTTP API share: sessions, and the origins that they trust.
#[derive(Debug)]
pub struct Front {
    /// Verifies the caller's token.
    pub sessions: Sessions,
    /// Which browser sessions are ended; none where no browser calls.
    ends: Option<SessionEnds>,
    public_url: Option<String>,
    allowed_origins: Vec<String>,
}

/// What a [`Front`] is configured by.
#[derive(Debug)]
pub struct FrontConfig {
    sessions: session::Config,
    rewrites: Rewrites,
    ends_table: Option<String>,
    public_url: Option<String>,
    allowed_origins: Vec<String>,
}

impl FrontConfig {
    /// Of a function that programs alone call.
    pub fn read(env: &mut Env) -> Self {
        let sessions = session::Config::read(env);
        let origins = env.optional("ALLOWED_ORIGINS").unwrap_or_default();
        let allowed_origins = origins.split([' ', ',']).filter(|it| !it.is_empty()).map(str::to_owned).collect();
        let public_url = env.optional("PUBLIC_URL");
        Self { sessions, rewrites: env.rewrites(), ends_table: None, public_url, allowed_origins }
    }

    /// Of a function that browsers call, too.
    pub fn read_with_browsers(env: &mut Env) -> Self {
        Self { ends_table: Some(env.text("IDEMPOTENCY_TABLE")), ..Self::read(env) }
    }
}

impl Front {
    pub fn new(aws: &Aws, config: &FrontConfig) -> Self {
        Self {
            sessions: Sessions::new(aws, &config.sessions, &config.rewrites),
            ends: config.ends_table.as_ref().map(|table| SessionEnds::new(aws, table)),
            public_url: config.public_url.clone(),
            allowed_origins: config.allowed_origins.clone(),
        }
    }

    /// Our own address: as configured, else as API Gateway knows it. Never what a caller says.
    pub fn own_origin(&self, call: &Call<'_>) -> String {
        let scheme = if call.is_loopback() { "http" } else { "https" };
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", call.domain))
    }

    /// Whether a page of this request's `Origin` may sign its user in or lead them back to itself.
    pub fn trusts(&self, origin: &str) -> bool {
        self.allowed_origins.iter().any(|allowed| allowed == origin)
    }

    /// A person or a program that is signed in, with a request that has only what its route declares. A browser sends its cookie by itself, also for others, so what changes
    /// something needs our own page as `Origin` and the token of its form.
    pub async fn caller(&self, call: &Call<'_>) -> Result<Caller, Problem> {
        let accept = if call.is_loopback() { Accept::BearerOrLoopbackCookie } else { Accept::BearerOrCookie };
        let caller = self.accept(call, accept).await?;
        let reads = call.request.method() == Method::GET || call.request.method() == Method::HEAD;
        if let (Some(BrowserSession { csrf: expected, .. }), false) = (&caller.session, reads) {
            let origin = call.request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
            let input = Input::of(call).ok();
            let sent = input.as_ref().and_then(|input| input.text(CSRF).ok().flatten()).unwrap_or_default();
            let right = bool::from(sent.as_bytes().ct_eq(expected.expose_secret().as_bytes()));
            if origin != Some(self.own_origin(call).as_str()) || !right {
                let message = "This did not come from our own page.";
                return Err(Problem::new(
                    Kind::Forbidden,
                    message,
                    "Open the settings page again and repeat it there.",
                ));
            }
        }
        call.check()?;
        Ok(caller)
    }

    /// A program that is signed in, with a request that has only what its route declares.
    pub async fn program(&self, call: &Call<'_>) -> Result<Caller, Problem> {
        let caller = self.accept(call, Accept::Bearer).await?;
        call.check()?;
        Ok(caller)
    }

    /// The application's own address, where a page leads back to.
    pub fn application(&self) -> Option<&str> {
        self.allowed_origins.first().map(String::as_str)
    }

    /// The answer to a problem: JSON for a program; for a browser a page, or the settings page again if one of its forms was
    /// refused.
    pub fn refuse(&self, call: &Call<'_>, problem: &Problem) -> Response<Body> {
        let form = notice::refused(call, problem, &self.own_origin(call));
        form.unwrap_or_else(|| call.refusal(problem, self.application()))
    }

    async fn accept(&self, call: &Call<'_>, accept: Accept) -> Result<Caller, Problem> {
        let token = session::token(call.request.headers(), accept);
        let (token, by_cookie) = token.ok_or_else(Problem::unauthenticated)?;
        let caller = self.sessions.caller(token, by_cookie).await?;
        let Some(session) = &caller.session else { return Ok(caller) };
        self.refuse_ended(&caller.user_id, caller.actor.as_deref(), session.began_at).await?;
        Ok(caller)
    }

    /// Refuses what began a session, or is to begin one, before the sessions of its user were ended.
    pub async fn refuse_ended(
        &self,
        user_id: &UserId,
        actor: Option<&str>,
        began_at: Timestamp,
    ) -> Result<(), Problem> {
        // A function that reads no ends takes no cookie.
        let ends = self.ends.as_ref().ok_or_else(Problem::unauthenticated)?;
        let mut pseudonyms = self.pseudonyms(user_id, None).await?;
        if actor.is_some() {
            pseudonyms.extend(self.pseudonyms(user_id, actor).await?);
        }
        let ended_at = ends.ended_at(&pseudonyms).await.map_err(|error| internal(&error))?;
        if ended_at.is_some_and(|ended_at| began_at <= ended_at) { Err(Problem::unauthenticated()) } else { Ok(()) }
    }

    /// Ends all browser sessions of a user that began until now; those of one party alone that acts for the user, if it is named.
    pub async fn end_sessions(&self, user_id: &UserId, actor: Option<&str>) -> Result<(), Problem> {
        let ends = self.ends.as_ref().ok_or_else(Problem::internal)?;
        let pseudonyms = self.pseudonyms(user_id, actor).await?;
        ends.end(&pseudonyms, clock::now()).await.map_err(|error| internal(&error))
    }

    async fn pseudonyms(&self, user_id: &UserId, actor: Option<&str>) -> Result<Vec<String>, Problem> {
        let name = actor.map_or_else(|| user_id.to_string(), |actor| format!("{user_id}\n{actor}"));
        self.sessions.pseudonyms("session-end", &name).await
    }
}
