//! The end of an OAuth grant: what the browser brings back must match what was begun, once.
//!
//! *Invariant:* nothing is stored before state, browser and provider matched; no code, state or query reaches a log.

use std::time::Duration;

use domain::{
    ConnectError, Diagnosis, Failure, Problem, Reason,
    error::Kind,
    oauth::{
        connect::Subject,
        grant::{OAuth, TokenResponse, verifier},
    },
};
use lambda_http::{Body, Response};
use platform::{
    AwsError,
    base::{clock, metrics},
    client::{
        CallContext, CallError, Principal,
        revocation::{Family, Revoked},
        token_request,
    },
    runtime::http::{Call, Notice, found, internal},
    stores::pending_authorizations::{AuthorizationRequest, Presented, Stand},
};
use providers::{Provider, Spec};
use serde_json::Value;

use crate::{
    Answer, AppError, OauthCallback, SETTINGS,
    connect::{LIFE, cookie, is_allowed},
    connected,
    store::{Grant, NotStored, StoreError},
    with_query,
};

/// How long the exchange may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a callback waits for another one of the same browser and state: an exchange with all that follows.
const PATIENCE: Duration = Duration::from_secs(20);
/// The pause between two looks at what the other one has come to.
const LOOK: Duration = Duration::from_millis(200);
/// The longest code that is taken, in bytes.
const MAX_CODE: usize = 4096;

impl OauthCallback {
    /// Takes the user back from the provider.
    pub(crate) async fn callback(&self, call: &Call<'_>, provider: &dyn Provider) -> Answer {
        let spec = provider.spec();
        let (state, browser) =
            (single(call, "state").ok_or_else(invalid)?, call.cookie(cookie(call)).ok_or_else(invalid)?);
        let oauth = spec.auth.oauth().ok_or_else(invalid)?;
        let presented = Presented { state, browser, provider: &spec.id };
        let authorization = match self.taken(call, presented).await.map_err(|error| internal(&error))? {
            Stand::Taken(authorization) => authorization,
            Stand::Succeeded(return_to) => {
                return Ok(self.back(call, &return_to, ("success", spec.id.as_str()), &connected(spec.name)));
            }
            Stand::Exchanging | Stand::Unknown => return Err(invalid()),
        };
        let outcome = self.finish(call, provider, oauth, state, &authorization).await;
        let ended = match outcome {
            Ok(()) => self.states.succeed(state, clock::now()).await,
            Err(_) => self.states.fail(state).await,
        };
        if let Err(error) = ended {
            // The state can't be taken again all the same: only a second opening of the link is not led on.
            let (reason, detail) = error.diagnosis().into_parts();
            tracing::warn!(service = %spec.id, reason = reason.name(), detail, "the transaction's end is not recorded");
        }
        let to = &authorization.return_to;
        let failed = match outcome {
            Ok(()) => {
                let mut response = self.back(call, to, ("success", spec.id.as_str()), &connected(spec.name));
                // A second opening of the link needs it as long as the state can be presented again.
                call.set_cookie(&mut response, cookie(call), browser, LIFE);
                return Ok(response);
            }
            Err(failed) => failed,
        };
        let (reason, detail) = failed.diagnosis(spec.name).into_parts();
        let (error, revoked) = (failed.connect_error(), failed.revoked());
        match failed {
            Unfinished::Refused => {}
            // What a browser brings back proves nothing about the app, so it rings no alarm.
            Unfinished::Exchange(..) => {
                tracing::warn!(service = %spec.id, reason = reason.name(), detail, "not connected");
            }
            Unfinished::Invalid(..) | Unfinished::App(_) | Unfinished::Store(..) => {
                tracing::warn!(service = %spec.id, reason = reason.name(), detail, ?revoked, "not connected");
                metrics::operator_failure(reason);
            }
        }
        Ok(self.back(call, to, ("error", error.code()), &notice(error, revoked, spec)))
    }

    /// Takes the authorization request. While another callback of the same browser has it, waits for what that one comes to.
    async fn taken(&self, call: &Call<'_>, presented: Presented<'_>) -> Result<Stand, AwsError> {
        let until = call.deadline().min(clock::now() + PATIENCE);
        let mut stand = self.states.take(presented, clock::now()).await?;
        while stand == Stand::Exchanging && clock::now() + LOOK < until {
            tokio::time::sleep(LOOK).await;
            stand = self.states.stand(presented, clock::now()).await?;
        }
        Ok(stand)
    }

    /// Leads the user back. The query tells the application what became of it, the notice our own page. The allowed origins
    /// can have changed since the grant was begun.
    fn back(&self, call: &Call<'_>, return_to: &str, outcome: (&str, &str), notice: &Notice) -> Response<Body> {
        let to = Some(return_to).filter(|to| is_allowed(to, &self.front)).unwrap_or(SETTINGS);
        let mut response = found(&with_query(to, outcome.0, outcome.1));
        notice.leave(&mut response, call);
        response
    }

    async fn finish(
        &self,
        call: &Call<'_>,
        provider: &dyn Provider,
        oauth: &'static OAuth,
        state: &str,
        authorization: &AuthorizationRequest,
    ) -> Result<(), Unfinished> {
        match call.queries("error")[..] {
            [] => {}
            ["access_denied"] => return Err(Unfinished::Refused),
            // RFC 6749 §4.1.2.1: what would be 500 and 503 if a browser could be led on with them.
            ["server_error" | "temporarily_unavailable"] => {
                return Err(Unfinished::Exchange(Failure::Down(None).into(), Revoked::Nothing));
            }
            _ => return Err(Unfinished::Invalid("the provider answered with an error")),
        }
        // RFC 9207: an answer of another issuer is not for this request. RFC 6749 §3.1: nothing is there twice.
        match (oauth.issuer, &call.queries("iss")[..]) {
            (_, []) | (None, [_]) => {}
            (Some(issuer), [only]) if *only == issuer => {}
            _ => return Err(Unfinished::Invalid("the answer is of another issuer")),
        }
        let code = single(call, "code").filter(|code| is_code(code));
        let code = code.ok_or_else(|| Unfinished::Invalid("the answer has no single, usable code"))?;
        let app = self.app(provider.spec()).await.map_err(Unfinished::App)?;
        let (spec, verifier) = (provider.spec(), verifier(state, &app.client_secret));
        let api = spec.provider_api();
        let principal = Principal::App { app: &app, oauth };
        let context = CallContext::new(&api, principal, clock::now() + TIMEOUT);
        let (issued, answer) = self.exchange(&context, oauth, code, &verifier, authorization).await?;
        let requested = authorization.scopes.split(' ').map(str::to_owned).collect();
        let (user_id, client_id) = (&authorization.user_id, &*app.client_id);
        let grant = Grant { provider, user_id, issued: issued.clone(), answer, client_id, requested };
        let Err(NotStored { why, account_id }) = self.store(grant).await else { return Ok(()) };
        let sharing: Vec<_> = self.registry.sharing(spec).map(|other| &other.id).collect();
        let family = Family { provider: &api, sharing: &sharing };
        let revoked = self.grants.revoke_issued(family, user_id, account_id.as_ref(), &issued).await;
        Err(Unfinished::Store(why, revoked))
    }

    async fn exchange(
        &self,
        context: &CallContext<'_>,
        oauth: &'static OAuth,
        code: &str,
        verifier: &str,
        authorization: &AuthorizationRequest,
    ) -> Result<(Vec<TokenResponse>, Value), Unfinished> {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", authorization.redirect_uri.as_str()),
        ];
        if oauth.pkce {
            pairs.push(("code_verifier", verifier));
        }
        let reply = self.client.call(context, &token_request(oauth, &pairs)).await;
        let read = reply.and_then(|reply| Ok(oauth.read(&reply)?));
        read.map_err(|error| {
            // The code may have become a grant, and its tokens never arrived.
            let unknown = error.failure().is_some_and(Failure::outcome_unknown);
            Unfinished::Exchange(error, if unknown { Revoked::Failed } else { Revoked::Nothing })
        })
    }
}

/// Why a grant came to nothing.
enum Unfinished {
    /// The user said no.
    Refused,
    /// What the browser brings is not what the provider documents.
    Invalid(&'static str),
    /// The app is not set up.
    App(AppError),
    /// The code could not be exchanged for tokens, and this is known of the grant at the provider.
    Exchange(CallError, Revoked),
    /// The grant could not be stored, and this became of it at the provider.
    Store(StoreError, Revoked),
}

impl Unfinished {
    /// What the callback tells the application and the page of it.
    fn connect_error(&self) -> ConnectError {
        match self {
            Self::Refused => ConnectError::AccessDenied,
            Self::Exchange(CallError::Failed(failure, _), _) => failure.into(),
            Self::Invalid(_) | Self::App(_) | Self::Exchange(..) => ConnectError::ConnectFailed,
            Self::Store(why, _) => why.connect_error(),
        }
    }

    /// What became of what was issued.
    const fn revoked(&self) -> Revoked {
        match self {
            Self::Refused | Self::Invalid(_) | Self::App(_) => Revoked::Nothing,
            Self::Exchange(_, revoked) | Self::Store(_, revoked) => *revoked,
        }
    }

    /// Why, for the log; `name` is the provider's.
    fn diagnosis(&self, name: &str) -> Diagnosis {
        match self {
            Self::Refused => Diagnosis::new(Reason::Rejected, "the user refused"),
            Self::Invalid(what) => Diagnosis::new(Reason::Unreadable, *what),
            Self::App(error @ AppError::NotSetUp) => Diagnosis::new(Reason::Misconfigured, error.to_string()),
            Self::App(AppError::Aws(error)) => error.diagnosis(),
            Self::Exchange(error, _) => error.diagnosis(name),
            Self::Store(why, _) => why.diagnosis(name),
        }
    }
}

/// What the page tells of a connect that came to nothing, and of what is left of it at the provider.
fn notice(error: ConnectError, revoked: Revoked, spec: &Spec) -> Notice {
    let name = spec.name;
    let allows = spec.auth.oauth().map(OAuth::useful).unwrap_or_default();
    let words = error.problem(Subject { name, allows: &allows }).with_next_action();
    let left = match revoked {
        Revoked::Yes | Revoked::Nothing => String::new(),
        Revoked::StillNeeded => {
            format!(
                " What you allowed stays allowed at {name}, because another connection uses this access, or may use it."
            )
        }
        Revoked::Failed => format!(
            " Our access may still be allowed at {name}. If you do not connect again, remove the app in the settings of your account \
             at {name}."
        ),
    };
    Notice::bad(format!("{words}{left}"))
}

/// The value of a parameter that is there exactly once.
fn single<'r>(call: &Call<'r>, name: &str) -> Option<&'r str> {
    match call.queries(name)[..] {
        [only] if !only.is_empty() => Some(only),
        _ => None,
    }
}

fn is_code(code: &str) -> bool {
    code.len() <= MAX_CODE && code.bytes().all(|b| b.is_ascii_graphic())
}

fn invalid() -> Problem {
    let message = "This link is not valid any more.";
    Problem::new(Kind::MalformedRequest, message, "Start connecting again from the settings page.")
}
