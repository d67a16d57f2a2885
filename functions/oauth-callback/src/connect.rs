//! The start of an OAuth grant: who asks, from which browser, and where they go afterwards.

use std::time::Duration;

use domain::{
    Problem,
    error::Kind,
    grant::{is_own_path, verifier},
};
use platform::{
    clock,
    http::{Call, Front, found, internal, set_cookie},
    random::is_handle,
    states::Transaction,
};
use providers::Provider;

use crate::{Answer, OauthCallback, SETTINGS, random_handle};

/// How long the cookie lives: as long as the transaction.
const LIFE: Duration = Duration::from_mins(10);
/// The longest list of further scopes, in bytes.
const MAX_SCOPES: usize = 2000;

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
        let app = self.app(spec).await?;
        let mut scopes: Vec<_> = oauth.scopes.iter().map(|scope| (*scope).to_owned()).collect();
        for scope in further_scopes(call)? {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        let state = random_handle()?;
        // Several transactions of one browser, in several tabs, share its cookie.
        let browser = match call.cookie(cookie(call)).filter(|cookie| is_handle(cookie)) {
            Some(cookie) => cookie.to_owned(),
            None => random_handle()?,
        };
        let transaction = Transaction {
            user_id: caller.user_id,
            provider: spec.id.to_owned(),
            return_to: return_to(call, &self.front),
            redirect_uri: format!("{}/auth/{}/callback", self.front.own_origin(call), spec.id),
            scopes: scopes.join(" "),
        };
        let begun = self.states.begin(&state, &browser, &transaction, clock::now()).await;
        begun.map_err(|error| internal(&error))?;
        let verifier = verifier(&state, &app.client_secret);
        let url = oauth.authorize_url(&app.client_id, &transaction.redirect_uri, &scopes, &state, &verifier);
        let mut response = found(&self.access.dispatch().outbound.rewritten(url));
        set_cookie(&mut response, call, cookie(call), &browser, LIFE);
        Ok(response)
    }
}

/// The name of the cookie that binds a transaction to a browser. The prefix makes browsers refuse it from any other host.
pub(crate) fn cookie(call: &Call<'_>) -> &'static str {
    if call.is_loopback() { "intertie_oauth" } else { "__Host-intertie_oauth" }
}

/// A path of ours, or a page of a configured origin. Anything else would make us a trap door.
fn return_to(call: &Call<'_>, front: &Front) -> String {
    let Some(to) = call.query("return_to") else { return SETTINGS.to_owned() };
    let origin = to.match_indices('/').nth(2).map_or(to, |(end, _)| &to[..end]);
    let path = to.get(origin.len()..).filter(|path| !path.is_empty()).unwrap_or("/");
    let allowed = is_own_path(to) || (front.trusts(origin) && is_own_path(path));
    if allowed { to.to_owned() } else { SETTINGS.to_owned() }
}

fn further_scopes(call: &Call<'_>) -> Result<Vec<String>, Problem> {
    let text = call.query("scopes").unwrap_or_default();
    let legal = |b: u8| b.is_ascii_graphic() || b == b' ';
    if text.len() > MAX_SCOPES || !text.bytes().all(legal) {
        return Err(Problem::field("scopes", "These are no scopes: names with spaces or commas between them."));
    }
    Ok(text.split([' ', ',']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect())
}
