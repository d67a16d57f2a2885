//! Credentials in a request where none may stand.
//!
//! *Invariant:* the session token of the caller reaches no provider, and the credential that the proxy adds is the only one.

use std::borrow::Cow;

use domain::{Problem, call::Api, error::Field};
use lambda_http::http::{HeaderMap, header};
use memchr::memmem::Finder;
use platform::runtime::{
    http::{Call, clipped},
    session::{Accept, token},
};

/// The parameter of a query or a form that carries an access token at every provider: RFC 6750 §2.2 and §2.3.
const ACCESS_TOKEN: &str = "access_token";
/// What the line of a part's head begins with that names the part.
const DISPOSITION: &[u8] = b"content-disposition";

/// Refuses a request whose query or form, of either kind, has a parameter for a credential, or that repeats its session token
/// outside of `Authorization`. Bodies are read as they are: nothing is seen in what is compressed or encoded in base64.
///
/// An urlencoded form may name the session token as its credential, as Slack's SDKs do besides the header when they are given a token
/// for one call. There it is spent as in the header: the answer is the form without it.
pub(crate) fn check(call: &Call<'_>, api: &Api) -> Result<Option<Vec<u8>>, Problem> {
    let request = call.request;
    let session = token(request.headers(), Accept::Bearer).map(|(token, _)| token).unwrap_or_default();
    let (query, body) = (request.uri().query().unwrap_or_default().as_bytes(), request.body().as_ref());
    let content_type = content_type(request.headers())?.unwrap_or_default();
    // Parsers differ in where a media type ends.
    let mut types = content_type.split([';', ',']).map(|part| part.trim().to_ascii_lowercase());
    let is_form = types.clone().any(|part| part == "application/x-www-form-urlencoded");
    let parts = if types.any(|part| part == "multipart/form-data") { body } else { &[] };
    let rest = is_form.then(|| without(body, session, api)).flatten();
    let body = rest.as_deref().unwrap_or(body);

    let form = if is_form { body } else { &[] };
    let pairs = form_urlencoded::parse(query).chain(form_urlencoded::parse(form));
    let names = pairs.map(|(name, _)| name).chain(names_of_parts(parts));
    if let Some(name) = { names }.find(|name| carries(name, api)) {
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
    let in_pairs = |text: &[u8]| {
        form_urlencoded::parse(text).any(|(name, value)| holds(name.as_bytes()) || holds(value.as_bytes()))
    };
    let elsewhere = |name: &header::HeaderName| *name != header::AUTHORIZATION && *name != header::COOKIE;
    let place = if holds(call.parameter("proxy").as_bytes()) {
        "path"
    } else if in_pairs(query) {
        "query"
    } else if request.headers().iter().any(|(name, value)| elsewhere(name) && holds(value.as_bytes())) {
        "headers"
    } else if holds(body) || in_pairs(form) {
        "body"
    } else {
        return Ok(rest);
    };
    Err(Problem::field(place, format!("The session token stands in the {place}; it belongs into Authorization alone.")))
}

/// The content type of a request. One that can't be read is refused: the body must not pass as something else.
pub(crate) fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let wrong = |_| Problem::field("Content-Type", "The header Content-Type must be UTF-8.");
    headers.get(header::CONTENT_TYPE).map(|value| std::str::from_utf8(value.as_bytes()).map_err(wrong)).transpose()
}

/// The names that parts of a form have in their heads: RFC 7578 §4.2. Every line that could be one of a head is taken for one,
/// because parsers differ in where a part begins.
fn names_of_parts(body: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    let mut in_head = false;
    let lines = body.split(|byte| *byte == b'\n').filter(move |line| {
        let begins = line.get(..DISPOSITION.len()).is_some_and(|name| name.eq_ignore_ascii_case(DISPOSITION));
        // A line that begins with a space goes on with the one before it: RFC 5322 §2.2.3.
        in_head = begins || in_head && line.starts_with(b" ") || in_head && line.starts_with(b"\t");
        in_head
    });
    lines.flat_map(|line| line.split(|byte| *byte == b';')).filter_map(|parameter| {
        let parameter = String::from_utf8_lossy(parameter);
        let (name, value) = parameter.split_once('=')?;
        let value = || value.trim().trim_matches('"').replace('\\', "");
        name.trim().eq_ignore_ascii_case("name").then(|| Cow::Owned(value()))
    })
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
