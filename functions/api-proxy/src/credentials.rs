//! Credentials in a request where none may stand.
//!
//! *Invariant:* the session token of the caller reaches no provider, and the credential that the proxy adds is the only one.

use domain::{Problem, call::Api, error::Field};
use lambda_http::http::header;
use memchr::memmem::Finder;
use platform::runtime::{
    http::{Call, clipped},
    session::{Accept, token},
};

/// The parameter of a query or a form that carries an access token at every provider: RFC 6750 §2.2 and §2.3.
const ACCESS_TOKEN: &str = "access_token";

/// Refuses a request whose query or form has a parameter for a credential, or that repeats its session token outside of
/// `Authorization`.
///
/// A form may name the session token as its credential, as Slack's SDKs do besides the header when they are given a token for one
/// call. There it is spent as in the header: the answer is the form without it.
pub(crate) fn check(call: &Call<'_>, api: &Api) -> Result<Option<Vec<u8>>, Problem> {
    let request = call.request;
    let session = token(request.headers(), Accept::Bearer).map(|(token, _)| token).unwrap_or_default();
    let (query, body) = (request.uri().query().unwrap_or_default().as_bytes(), request.body().as_ref());
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    let is_form = media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let rest = is_form.then(|| without(body, session, api)).flatten();
    let body = rest.as_deref().unwrap_or(body);

    let form = if is_form { body } else { &[] };
    let mut names = form_urlencoded::parse(query).chain(form_urlencoded::parse(form)).map(|(name, _)| name);
    if let Some(name) = names.find(|name| carries(name, api)) {
        let field = clipped(&name);
        let message = format!(
            "The parameter \"{field}\" carries a credential or names another call; the proxy adds the user's own credential."
        );
        return Err(Problem::fields(vec![Field { field: field.into(), message: message.into() }]));
    }
    if session.is_empty() {
        return Ok(rest);
    }
    let finder = Finder::new(session);
    let holds = |bytes: &[u8]| finder.find(bytes).is_some();
    let elsewhere = |name: &header::HeaderName| *name != header::AUTHORIZATION && *name != header::COOKIE;
    let place = if holds(call.parameter("proxy").as_bytes()) {
        "path"
    } else if form_urlencoded::parse(query).any(|(name, value)| holds(name.as_bytes()) || holds(value.as_bytes())) {
        "query"
    } else if request.headers().iter().any(|(name, value)| elsewhere(name) && holds(value.as_bytes())) {
        "headers"
    } else if holds(body) {
        "body"
    } else {
        return Ok(rest);
    };
    Err(Problem::field(place, format!("The session token stands in the {place}; it belongs into Authorization alone.")))
}

/// Whether a parameter of this name carries a credential.
fn carries(name: &str, api: &Api) -> bool {
    name == ACCESS_TOKEN || api.credential_parameters.contains(&name)
}

/// A form without the parameters that name the session token as the credential; none if it has no such parameter.
fn without(form: &[u8], session: &str, api: &Api) -> Option<Vec<u8>> {
    let spent = |pair: &[u8]| form_urlencoded::parse(pair).any(|(name, value)| value == session && carries(&name, api));
    let pairs = || form.split(|byte| *byte == b'&');
    let kept = || pairs().filter(|pair| !spent(pair));
    pairs().any(spent).then(|| kept().collect::<Vec<_>>().join(&b'&'))
}
