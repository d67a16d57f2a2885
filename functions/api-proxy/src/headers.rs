//! Which headers go through the proxy.
//!
//! *Invariant:* a header of a request is passed on, is known to change nothing in what the call means, or refuses the request by
//! its name; no header is dropped by omission. Of an answer only known headers come back.

use domain::{Problem, call::Api, error::Field};
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, header};
use platform::runtime::http::clipped;

/// Headers of requests that pass to every provider: what RFC 9110 and RFC 7240 let a request ask for, and what describes its body.
const PASSED: &[&str] = &[
    "accept",
    "accept-language",
    "cache-control",
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "pragma",
    "prefer",
    "range",
    "repr-digest",
];

/// Headers that name another method. Repeats, limits and logs count the method of the request itself.
const METHOD_OVERRIDES: &[&str] = &["x-http-method", "x-http-method-override", "x-method-override"];

/// Headers that are left out, each with the reason why the call means the same without it. A name that ends with `*` is the
/// beginning of names.
const HARMLESS: &[(&str, &[&str])] = &[
    ("it is spent here", &["authorization", "content-length", "content-type", "host", "intertie-account"]),
    ("a cookie never passes", &["cookie"]),
    // RFC 9110 §7.6.1, and what else is for one connection or one proxy.
    (
        "it is for this connection alone",
        &[
            "alt-used",
            "connection",
            "expect",
            "http2-settings",
            "keep-alive",
            "max-forwards",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ],
    ),
    ("an answer that is not encoded is always acceptable", &["accept-charset", "accept-encoding"]),
    (
        "it tells which software calls, and the proxy is another one",
        &[
            "date",
            "from",
            "user-agent",
            "x-client-data",
            "x-goog-api-client",
            "x-requested-with",
            "x-stainless-*",
            "x-stripe-client-telemetry",
            "x-stripe-client-user-agent",
        ],
    ),
    (
        "a browser sends it for the page's sake",
        &[
            "access-control-*",
            "device-memory",
            "dnt",
            "downlink",
            "early-data",
            "ect",
            "origin",
            "priority",
            "purpose",
            "referer",
            "rtt",
            "save-data",
            "sec-*",
            "upgrade-insecure-requests",
            "viewport-width",
            "width",
            "x-csrf-token",
            "x-xsrf-token",
        ],
    ),
    (
        "API Gateway or a proxy before it adds it",
        &[
            "cdn-loop",
            "cf-*",
            "client-ip",
            "cloudfront-*",
            "fastly-*",
            "forwarded",
            "true-client-ip",
            "via",
            "x-amz-*",
            "x-amzn-*",
            "x-azure-*",
            "x-client-ip",
            "x-cluster-client-ip",
            "x-envoy-*",
            "x-forwarded-*",
            "x-original-forwarded-for",
            "x-real-ip",
        ],
    ),
    (
        "it is for tracing alone",
        &[
            "b3",
            "baggage",
            "elastic-apm-traceparent",
            "newrelic",
            "request-id",
            "sentry-trace",
            "traceparent",
            "tracestate",
            "uber-trace-id",
            "x-b3-*",
            "x-cloud-trace-context",
            "x-correlation-id",
            "x-datadog-*",
            "x-ot-*",
            "x-request-id",
        ],
    ),
];

/// Headers of answers that come back from every provider. `Location`, `Content-Location` and `Link` are not among them: see
/// [`links`](crate::links).
const RETURNED: &[&str] = &[
    "accept-ranges",
    "allow",
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-range",
    "content-type",
    "deprecation",
    "etag",
    "last-modified",
    "preference-applied",
    "ratelimit",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "repr-digest",
    "request-id",
    "retry-after",
    "sunset",
    "vary",
    "warning",
    "www-authenticate",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-resource",
    "x-ratelimit-used",
    "x-request-id",
];

/// What becomes of a header of a request.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It passes.
    Passed,
    /// It is left out, for this reason.
    Harmless(&'static str),
    /// It names another method.
    MethodOverride,
    /// Nothing is known of it, so the request is refused.
    Unknown,
}

fn fate(name: &str, api: &Api) -> Fate {
    let named = |known: &&str| known.strip_suffix('*').map_or(name == *known, |beginning| name.starts_with(beginning));
    if PASSED.contains(&name) || api.request_headers.contains(&name) {
        return Fate::Passed;
    }
    if METHOD_OVERRIDES.contains(&name) {
        return Fate::MethodOverride;
    }
    let harmless = HARMLESS.iter().find(|(_, names)| names.iter().any(&named));
    harmless.map_or(Fate::Unknown, |(reason, _)| Fate::Harmless(reason))
}

/// The headers of a request that pass to a provider; `name` is the provider's name for people.
pub(crate) fn passed(headers: &HeaderMap, api: &Api, name: &str) -> Result<Vec<(String, String)>, Problem> {
    let (mut passed, mut refused) = (Vec::new(), Vec::new());
    let mut refuse = |header: &HeaderName, why: &str| {
        let field = clipped(header.as_str());
        refused.push(Field { message: format!("The header \"{field}\" {why}.").into(), field: field.into() });
    };
    for header in headers.keys() {
        match fate(header.as_str(), api) {
            Fate::Passed if of_this_connection(headers, header) => {
                refuse(header, "is for this connection alone, says Connection, so it can't pass");
            }
            Fate::Passed => {
                let values = headers.get_all(header).iter().map(|it| String::from_utf8(it.as_bytes().to_vec()));
                match values.collect::<Result<Vec<_>, _>>() {
                    Ok(values) => passed.push((header.as_str().to_owned(), values.join(", "))),
                    Err(_) => refuse(header, "is not UTF-8, so it can't pass"),
                }
            }
            Fate::Harmless(_) => {}
            Fate::MethodOverride => refuse(header, "names another method; send the request by that method"),
            Fate::Unknown => refuse(header, &format!("does not pass to {name}, and may change what the call means")),
        }
    }
    if refused.is_empty() { Ok(passed) } else { Err(Problem::fields(refused)) }
}

/// Whether `Connection` names the header as one that an intermediary must not pass on: RFC 9110 §7.6.1.
fn of_this_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case(name.as_str()))
}

/// The headers of an answer that come back, whatever their case and number.
pub(crate) fn returned(from: &HeaderMap, api: &Api, to: &mut HeaderMap<HeaderValue>) {
    let own = api.limited_by.iter().chain(&api.should_retry).chain(api.response_headers);
    for name in RETURNED.iter().chain(own) {
        let name = HeaderName::from_static(name);
        to.remove(&name);
        for value in from.get_all(&name) {
            to.append(&name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests;
