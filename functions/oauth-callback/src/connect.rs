//! The start of an OAuth grant: the user, the browser, and the page that follows.

use std::time::Duration;

use domain::{
    AccountId, Diagnosis, Problem, Reason, UserId,
    error::Kind,
    integration::account::select,
    oauth::grant::{Authorize, OAuth, is_own_path, verifier},
};
use platform::{
    base::{clock, random::is_handle},
    runtime::http::{Call, Front, clipped, failed, found, internal},
    stores::pending_authorizations::AuthorizationRequest,
};
use providers::{Provider, Spec};

use crate::{Answer, OauthCallback, SETTINGS, random_handle};

/// How long the cookie lives: as long as the state.
pub(crate) const LIFE: Duration = Duration::from_mins(10);

impl OauthCallback {
    /// Sends the user to the provider.
    pub(crate) async fn connect(&self, call: &Call<'_>, provider: &dyn Provider) -> Answer {
        let spec = provider.spec();
        let caller = self.front.caller(call).await?;
        let Some(oauth) = spec.auth.oauth() else {
            let message = format!("{} is connected with a key.", spec.name);
            return Err(Problem::new(
                Kind::InvalidRequest,
                message,
                "Send the key as \"api_key\" in a POST to this address.",
            ));
        };
        let app = self.app(spec).await.map_err(|error| error.problem(spec))?;
        let scopes = scopes(call, spec.name, oauth)?;
        let return_to = return_to(call, &self.front)?;
        let account = self.hint(call, spec, &caller.user_id).await?;
        let state = random_handle()?;
        // Several transactions of one browser, in several tabs, share its cookie.
        let browser = match call.cookie(cookie(call)).filter(|cookie| is_handle(cookie)) {
            Some(cookie) => cookie.to_owned(),
            None => random_handle()?,
        };
        let request = AuthorizationRequest {
            user_id: caller.user_id.clone(),
            provider: spec.id.clone(),
            return_to,
            redirect_uri: format!("{}/auth/{}/callback", self.front.own_origin(call), spec.id),
            scopes: scopes.join(" "),
        };
        let begun = self.states.begin(&state, &browser, &request, clock::now()).await;
        if !begun.map_err(|error| internal(&error))? {
            return Err(failed(&Diagnosis::new(Reason::Bug, "a random state was drawn twice")));
        }
        let verifier = verifier(&state, &app.client_secret);
        let url = oauth.authorize_url(Authorize {
            client_id: &app.client_id,
            redirect_uri: &request.redirect_uri,
            scopes: &scopes,
            state: &state,
            verifier: &verifier,
            account: account.as_ref(),
        });
        let mut response = found(&self.client.rewritten(url));
        call.set_cookie(&mut response, cookie(call), &browser, LIFE);
        Ok(response)
    }
}

impl OauthCallback {
    /// The account to preselect at the provider. The name of one that is connected stands for its id; what is neither is passed
    /// on, for the provider may know it.
    async fn hint(&self, call: &Call<'_>, spec: &Spec, user_id: &UserId) -> Result<Option<AccountId>, Problem> {
        let Some(account) = call.query("account") else { return Ok(None) };
        let found = self.integrations.of_user(user_id, Some(&spec.id)).await.map_err(|error| internal(&error))?;
        let known = select(found, spec.name, Some(account)).map(|it| it.key.account_id);
        let account = known.or_else(|_| AccountId::parse(account)).map(Some);
        let unknown = |_| Problem::field("account", format!("There is no {} account of this id or name.", spec.name));
        account.map_err(unknown)
    }
}

/// The name of the cookie that binds a state to its browser. The prefix makes browsers refuse it from any other host.
pub(crate) fn cookie(call: &Call<'_>) -> &'static str {
    if call.is_loopback() { "intertie_oauth" } else { "__Host-intertie_oauth" }
}

/// Where the user goes afterwards; the settings page unless the caller says otherwise.
fn return_to(call: &Call<'_>, front: &Front) -> Result<String, Problem> {
    let Some(to) = call.query("return_to") else { return Ok(SETTINGS.to_owned()) };
    if is_allowed(to, front) {
        return Ok(to.to_owned());
    }
    let message = "\"return_to\" must be a path of this host, or a page of an origin in the parameter AllowedOrigins.";
    Err(Problem::field("return_to", message))
}

/// Whether `to` is a path of ours, or a page of a configured origin. Anything else would be an open redirect.
pub(crate) fn is_allowed(to: &str, front: &Front) -> bool {
    let origin = to.match_indices('/').nth(2).map_or(to, |(end, _)| &to[..end]);
    let path = to.get(origin.len()..).filter(|path| !path.is_empty()).unwrap_or("/");
    is_own_path(to) || (front.trusts(origin) && is_own_path(path))
}

/// The provider's usual scopes, and further ones that the caller asks for and the provider has.
fn scopes(call: &Call<'_>, name: &str, oauth: &OAuth) -> Result<Vec<String>, Problem> {
    let mut scopes = oauth.scopes.to_vec();
    let asked = call.query("scopes").unwrap_or_default();
    for asked in asked.split([' ', ',']).filter(|scope| !scope.is_empty()) {
        let Some(known) = oauth.scope(asked) else {
            return Err(Problem::field("scopes", format!("{name} has no scope \"{}\".", clipped(asked))));
        };
        if !scopes.contains(&known) {
            scopes.push(known);
        }
    }
    Ok(scopes.into_iter().map(str::to_owned).collect())
}
