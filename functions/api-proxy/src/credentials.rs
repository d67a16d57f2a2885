//! Credentials in a request where none may stand.
//!
//! *Invariant:* the session token of the caller reaches no provider, and the credential that the proxy adds is the only one.

use std::borrow::Cow;

use domain::{Problem, call::Api, error::Field};
use lambda_http::http::header;
use memchr::memmem;
use platform::runtime::{
    http::{Call, clipped},
    session::{Accept, token},
};

/// The parameter of a query or a form that carries an access token at every provider: RFC 6750 §2.2 and §2.3.
const ACCESS_TOKEN: &str = "access_token";

/// Refuses a request whose query or form has a parameter for a credential, or that repeats its session token outside of
/// `Authorization`.
pub(crate) fn check(call: &Call<'_>, api: &Api) -> Result<(), Problem> {
    let request = call.request;
    let (query, body) = (request.uri().query().unwrap_or_default(), request.body().as_ref());
    let carries = |(name, _): &(Cow<'_, str>, Cow<'_, str>)| {
        let name: &str = name;
        name == ACCESS_TOKEN || api.credential_parameters.contains(&name)
    };
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    let form = if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") { body } else { &[] };
    let mut parameters = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(form));
    if let Some((name, _)) = parameters.find(carries) {
        let field = clipped(&name);
        let message = format!(
            "The parameter \"{field}\" carries a credential or names another call; the proxy adds the user's own."
        );
        return Err(Problem::fields(vec![Field { field: field.into(), message: message.into() }]));
    }
    let Some((session, _)) = token(request.headers(), Accept::Bearer).filter(|(token, _)| !token.is_empty()) else {
        return Ok(());
    };
    let finder = memmem::Finder::new(session);
    let holds = |bytes: &[u8]| finder.find(bytes).is_some();
    let elsewhere = |name: &header::HeaderName| *name != header::AUTHORIZATION && *name != header::COOKIE;
    let place = if holds(call.parameter("proxy").as_bytes()) {
        "path"
    } else if form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| holds(name.as_bytes()) || holds(value.as_bytes()))
    {
        "query"
    } else if request.headers().iter().any(|(name, value)| elsewhere(name) && holds(value.as_bytes())) {
        "headers"
    } else if holds(body) {
        "body"
    } else {
        return Ok(());
    };
    Err(Problem::field(place, format!("The session token stands in the {place}; it belongs into Authorization alone.")))
}
