//! The provider's own API with the user's token added.
//!
//! *Invariant:* a path can't climb out of the API's base, no byte of a body changes in either direction, and what would change a
//! call's meaning passes or is refused: see [`headers`] and [`links`](crate::links).

use domain::{
    Failure, Problem, Reply, Request,
    call::{Api, Idempotent, segment},
    error::Kind,
};
use lambda_http::{
    Body, RequestExt as _, Response,
    http::{HeaderValue, Method, StatusCode, header},
};
use platform::{
    client::CallError,
    runtime::http::{Call, MAX_PAYLOAD, payload_size, text},
};
use providers::{Provider, Spec};

use crate::{
    Answer, ApiProxy,
    action::idempotency_key,
    credentials,
    headers::{self, Passed},
    links::{Ways, addresses},
    problem,
};

/// What a body is that says nothing about itself: RFC 9110 §8.3.
const BYTES: &str = "application/octet-stream";

impl ApiProxy {
    /// Passes a call on.
    pub(crate) async fn pass(&self, call: &Call<'_>, provider: &dyn Provider) -> Answer {
        let spec = provider.spec();
        let caller = self.front.program(call).await?;
        let request = rewrite(call, spec)?;
        let account = account(call)?;
        let integration = self.integration(&caller.user_id, spec, account).await?;
        let sent = self.call(spec, &integration, call, &request).await;
        let reply = match sent {
            Ok(reply) => reply,
            // The provider's own words are for the program, except that the grant has ended: this function says so itself.
            Err(CallError::Failed(failure, Some(reply))) if failure != Failure::GrantEnded => *reply,
            Err(CallError::Failed(Failure::TooLarge(size), _)) => return Err(too_large(spec, &request, size, None)),
            Err(error) => return Err(problem(&error, spec.name)),
        };
        let proxy = format!("{}/proxy/{}", self.front.own_origin(call), spec.id);
        let offered = spec.api.bases().map(|base| {
            // Relative to the base of calls; the whole path where uploads go.
            let below = if base == spec.api.base { String::new() } else { format!("/{}", Api::root(base)) };
            (base, self.client.rewritten(base.to_owned()), format!("{proxy}{below}"))
        });
        let ways = Ways::new(offered, &request.url).ok_or_else(Problem::internal)?;
        let response = answer(reply, spec, &ways);
        let encoded = payload_size(&response);
        if encoded > MAX_PAYLOAD {
            return Err(too_large(spec, &request, u64::try_from(response.body().len()).ok(), Some(encoded)));
        }
        Ok(response)
    }
}

/// The account that the caller means. One that can't be read is refused: the call must not run on another one.
fn account<'r>(call: &Call<'r>) -> Result<Option<&'r str>, Problem> {
    const NAME: &str = "Intertie-Account";
    let mut values = call.request.headers().get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::field(NAME, format!("The header {NAME} is there more than once.")));
    }
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some).map_err(|_| Problem::field(NAME, format!("The header {NAME} must be UTF-8.")))
}

/// The call to the provider.
fn rewrite(call: &Call<'_>, spec: &'static Spec) -> Result<Request, Problem> {
    let wrong = |message: &str| Problem::new(Kind::InvalidRequest, message, "Correct the path.");
    let path = call.parameter("proxy");
    if path.split('/').next() == spec.api.batch {
        let message = format!("A batch does not pass to {}: its calls would not be counted in the limits.", spec.name);
        return Err(Problem::new(Kind::InvalidRequest, message, "Send its calls one by one."));
    }
    let form = credentials::check(call, &spec.api)?;
    // Not every gateway leaves the last slash in the parameter.
    let slash = path.ends_with('/') || call.request.raw_http_path().ends_with('/');
    let (base, path) = spec.api.located(path.strip_suffix('/').unwrap_or(path));
    let mut url = base.to_owned();
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." || part.chars().any(char::is_control) {
            return Err(wrong("The path must be made of names, without empty ones, \".\" and \"..\"."));
        }
        url.push('/');
        url.push_str(&segment(part));
    }
    if slash {
        url.push('/');
    }
    if let Some(query) = call.request.uri().query().filter(|query| !query.is_empty()) {
        url.push('?');
        url.push_str(query);
    }
    let overridable = *call.request.method() == Method::POST && base == spec.api.base;
    let Passed { headers, method } = headers::passed(call.request.headers(), &spec.api, overridable)?;
    let effective = method.as_ref().unwrap_or(call.request.method());
    let keyed = idempotency_key(call)?.is_some() && spec.api.idempotent && *effective == Method::POST;
    let reads = *effective == Method::GET || *effective == Method::HEAD;
    // Paths hold ids, so only the method names it.
    let mut request = Request::get(format!("proxy {effective}"), url);
    request.method = call.request.method().clone();
    request.method_override = method;
    request.headers = headers;
    request.idempotent = if reads || keyed { Idempotent::Yes } else { Idempotent::No };
    request.body = body(call, form)?;
    Ok(request)
}

/// The body and its type; `form` replaces it.
fn body(call: &Call<'_>, form: Option<Vec<u8>>) -> Result<Option<(String, Vec<u8>)>, Problem> {
    let headers = call.request.headers();
    let body = call.request.body();
    // API Gateway reads bodies of text types as UTF-8 and replaces what is none. Where what it puts in is as long as what was there,
    // the length does not tell.
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
    if let Body::Text(text) = body
        && (declared.is_some_and(|length: usize| length != text.len()) || text.contains(char::REPLACEMENT_CHARACTER))
    {
        let message =
            "The body is declared as text and is not UTF-8, or has U+FFFD, which stands for bytes that were altered.";
        let next = format!("Send it with the content type {BYTES}, or as UTF-8 without U+FFFD.");
        return Err(Problem::new(Kind::MalformedRequest, message, next));
    }
    let content_type = credentials::content_type(headers)?.unwrap_or(BYTES);
    let body = form.unwrap_or_else(|| body.to_vec());
    Ok((!body.is_empty()).then(|| (content_type.to_owned(), body)))
}

fn answer(reply: Reply, spec: &Spec, ways: &Ways) -> Response<Body> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = text(status, "");
    let addresses = addresses(&spec.api);
    headers::returned(&reply.headers, &addresses, response.headers_mut());
    ways.returned(&reply.headers, &addresses, response.headers_mut());
    // API Gateway would call it plain text.
    if !response.headers().contains_key(header::CONTENT_TYPE) && !reply.body.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(BYTES));
    }
    *response.body_mut() = Body::Binary(reply.body);
    response
}

/// The provider's answer does not fit into one of Lambda's: its size in bytes, if it is known, and the size as Lambda encodes it, if it
/// was read. The call was made.
fn too_large(spec: &Spec, request: &Request, size: Option<u64>, encoded: Option<usize>) -> Problem {
    let size = size.map_or_else(|| format!("more than {MAX_PAYLOAD} bytes"), |size| format!("{size} bytes"));
    let encoded = encoded.map(|encoded| format!(" ({encoded} as Lambda encodes them)")).unwrap_or_default();
    let message =
        format!("{} answered {size}{encoded}. At most {MAX_PAYLOAD} bytes, encoded, can be passed on.", spec.name);
    let made = match request.idempotent {
        Idempotent::Yes => "",
        Idempotent::No => "The call was made: read what it did. ",
    };
    let next = format!(
        "{made}Ask for less at a time: smaller pages, fewer fields, or parts by the header Range; or call {} itself with a token of \
         POST /tokens/{}.",
        spec.name, spec.id
    );
    Problem::new(Kind::ProviderRejected, message, next)
}

#[cfg(test)]
mod tests {
    use lambda_http::Request;

    use super::*;

    #[test]
    fn a_content_type_that_cannot_be_read_is_refused_and_never_taken_for_bytes() {
        let of = |value: &[u8]| {
            let mut request = Request::new(Body::Text("a".to_owned()));
            request.headers_mut().append(header::CONTENT_TYPE, HeaderValue::from_bytes(value).unwrap());
            body(&Call::of(&request), None).map(|body| body.unwrap().0)
        };
        assert_eq!(of("text/x; name=\"é\"".as_bytes()), Ok("text/x; name=\"é\"".to_owned()));
        assert_eq!(of(b"text/x; name=\"\xe9\"").unwrap_err().fields[0].field, "Content-Type");
    }

    #[test]
    fn an_account_that_cannot_be_read_is_refused_and_never_taken_for_none() {
        let of = |values: &[&[u8]]| {
            let mut request = Request::default();
            for value in values {
                request.headers_mut().append("intertie-account", HeaderValue::from_bytes(value).unwrap());
            }
            account(&Call::of(&request)).map(|name| name.map(str::to_owned))
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["Café Nord".as_bytes()]), Ok(Some("Café Nord".to_owned())));
        for wrong in [vec![b"Caf\xe9 Nord".as_slice()], vec![b"a", b"b"]] {
            let problem = of(&wrong).unwrap_err();
            assert_eq!((problem.kind, &*problem.fields[0].field), (Kind::InvalidRequest, "Intertie-Account"));
        }
    }
}
