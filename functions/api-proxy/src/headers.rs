//! Which headers go through the proxy.
//!
//! *Invariant:* a header passes, unless it stands in one of these lists: what is for one connection, or about the caller's way to the
//! proxy, is left out; what carries a credential, or names another method or path than those that count, refuses the request by
//! its name. Of an answer everything comes back but what is for one connection, a credential, or an order to the caller's browser.

use domain::{Problem, call::Api, error::Field};
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use platform::runtime::http::clipped;

/// Headers that are for one connection alone: RFC 9110 §7.6.1, and what else is between two neighbours.
const OF_A_CONNECTION: &[&str] = &[
    "alt-used",
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers of requests that are left out, each with the reason. A name that ends with `*` is the beginning of names.
const LEFT_OUT: &[(&str, &[&str])] = &[
    ("it is for this connection alone", OF_A_CONNECTION),
    ("it is spent here", &["authorization", "content-length", "content-type", "host", "intertie-*"]),
    ("a cookie never passes", &["cookie", "cookie2"]),
    ("the proxy reads answers, so it asks for those that are not encoded", &["accept-encoding"]),
    (
        "it tells the way from the caller to the proxy",
        &[
            "cdn-loop",
            "cf-*",
            "client-ip",
            "cloudfront-*",
            "fastly-client-ip",
            "forwarded",
            "true-client-ip",
            "via",
            "x-amz-cf-id",
            "x-amzn-*",
            "x-client-ip",
            "x-cluster-client-ip",
            "x-envoy-*",
            "x-forwarded-*",
            "x-original-forwarded-for",
            "x-real-ip",
        ],
    ),
];

/// Headers that refuse a request, each with the reason. A provider has more in [`Api::credential_headers`].
const REFUSED: &[(&str, &[&str])] = &[
    (
        CREDENTIAL,
        &[
            "api-key",
            "apikey",
            "private-token",
            "proxy-authorization",
            "x-access-token",
            "x-amz-security-token",
            "x-api-key",
            "x-auth-token",
            "x-authorization",
            "x-serverless-authorization",
        ],
    ),
    ("names another path than the one that counts", &["x-original-url", "x-rewrite-url"]),
];

const CREDENTIAL: &str = "carries a credential or names another principal; the proxy adds the user's own";

/// Headers that name another method. Those of [`Api::method_overrides`] pass.
const METHOD_OVERRIDES: &[&str] = &["x-http-method", "x-http-method-override", "x-method-override"];

/// Headers of answers that do not come back. `Location`, `Content-Location`, `Link` and what the provider lists as addresses come
/// back through [`links`](crate::links) alone.
const WITHHELD: &[&[&str]] = &[
    OF_A_CONNECTION,
    // Of the answer to the caller, they are API Gateway's and ours.
    &["age", "apigw-requestid", "cache-control", "content-length", "expires", "intertie-*", "pragma", "x-amzn-*"],
    // Credentials: cookies, and those of a request.
    &["authentication-info", "authorization", "cookie", "proxy-authorization", "set-cookie", "set-cookie2"],
    // Orders to a browser about the host that answers, which is the proxy's and not the provider's.
    &[
        "access-control-*",
        "alt-svc",
        "clear-site-data",
        "content-security-policy",
        "content-security-policy-report-only",
        "cross-origin-*",
        "expect-ct",
        "feature-policy",
        "nel",
        "origin-agent-cluster",
        "permissions-policy",
        "public-key-pins",
        "public-key-pins-report-only",
        "referrer-policy",
        "refresh",
        "report-to",
        "reporting-endpoints",
        "service-worker-allowed",
        "strict-transport-security",
        "timing-allow-origin",
        "x-content-type-options",
        "x-frame-options",
        "x-xss-protection",
    ],
];

/// What becomes of a header of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It passes.
    Passed,
    /// It passes, and names the method that counts.
    Method,
    /// It is left out.
    LeftOut,
    /// It refuses the request, for this reason.
    Refused(&'static str),
}

fn fate(name: &str, api: &Api) -> Fate {
    let named = |(_, names): &&(&str, &[&str])| is_among(name, names);
    if api.credential_headers.contains(&name) {
        Fate::Refused(CREDENTIAL)
    } else if api.method_overrides.contains(&name) {
        Fate::Method
    } else if METHOD_OVERRIDES.contains(&name) {
        Fate::Refused("names another method, which the provider does not document; send the request by that method")
    } else if let Some((reason, _)) = REFUSED.iter().find(named) {
        Fate::Refused(reason)
    } else if LEFT_OUT.iter().any(|list| named(&list)) {
        Fate::LeftOut
    } else {
        Fate::Passed
    }
}

/// Whether a name is in a list in which names that end with `*` are beginnings.
fn is_among(name: &str, list: &[&str]) -> bool {
    let is = |known: &&str| known.strip_suffix('*').map_or(name == *known, |beginning| name.starts_with(beginning));
    list.iter().any(is)
}

/// What passes of a request's headers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) headers: Vec<(String, String)>,
    /// The method that counts in place of the request's own.
    pub(crate) method: Option<Method>,
}

/// The headers of a request that pass to a provider. Only one that is `overridable` may name another method than its own.
pub(crate) fn passed(headers: &HeaderMap, api: &Api, overridable: bool) -> Result<Passed, Problem> {
    let (mut passed, mut refused) = (Passed::default(), Vec::new());
    let mut refuse = |header: &HeaderName, why: &str| {
        let field = clipped(header.as_str());
        refused.push(Field { message: format!("The header \"{field}\" {why}.").into(), field: field.into() });
    };
    for header in headers.keys() {
        let fate = fate(header.as_str(), api);
        match fate {
            Fate::LeftOut => {}
            Fate::Refused(reason) => refuse(header, reason),
            Fate::Method if !overridable => refuse(header, "counts on a POST below the base of calls alone"),
            Fate::Passed | Fate::Method if of_this_connection(headers, header) => {
                refuse(header, "is for this connection alone, says Connection, so it can't pass");
            }
            Fate::Passed | Fate::Method => {
                let values = headers.get_all(header).iter().map(|it| String::from_utf8(it.as_bytes().to_vec()));
                let Ok(values) = values.collect::<Result<Vec<_>, _>>() else {
                    refuse(header, "is not UTF-8, so it can't pass");
                    continue;
                };
                let value = values.join(", ");
                if fate == Fate::Method {
                    passed.method = method(&value);
                    if passed.method.is_none() {
                        refuse(header, "names no method that can be passed on: DELETE, GET, HEAD, PATCH, POST or PUT");
                    }
                }
                passed.headers.push((header.as_str().to_owned(), value));
            }
        }
    }
    if refused.is_empty() { Ok(passed) } else { Err(Problem::fields(refused)) }
}

/// One of the methods that APIs have. Providers take the name in any case, so that none of them may be taken for another one here.
fn method(name: &str) -> Option<Method> {
    let known = [Method::DELETE, Method::GET, Method::HEAD, Method::PATCH, Method::POST, Method::PUT];
    known.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(name.trim()))
}

/// Whether `Connection` names the header as one that an intermediary must not pass on: RFC 9110 §7.6.1.
fn of_this_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case(name.as_str()))
}

/// The headers of an answer that come back, whatever their number. They replace those that `to` has.
pub(crate) fn returned(from: &HeaderMap, addresses: &[HeaderName], to: &mut HeaderMap<HeaderValue>) {
    for name in from.keys() {
        let withheld = WITHHELD.iter().any(|names| is_among(name.as_str(), names));
        if withheld || addresses.contains(name) || of_this_connection(from, name) {
            continue;
        }
        to.remove(name);
        for value in from.get_all(name) {
            to.append(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests;
