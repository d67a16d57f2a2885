use domain::provider_api::ProviderApi;

use super::*;

const API: Api = Api { request_headers: &["stripe-version"], ..Api::new("https://api.example.com") };

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

fn pairs(headers: &HeaderMap) -> Result<Vec<(String, String)>, Problem> {
    passed(headers, &API, true).map(|passed| passed.headers)
}

#[test]
fn no_name_stands_in_two_lists() {
    let names = |lists: &[(&'static str, &'static [&'static str])]| -> Vec<_> {
        lists.iter().flat_map(|(_, names)| *names).filter(|name| !name.ends_with('*')).copied().collect()
    };
    for name in names(LEFT_OUT) {
        assert_eq!(fate(name, &API), Fate::LeftOut, "{name}");
    }
    for name in names(REFUSED).iter().chain(METHOD_OVERRIDES) {
        assert!(matches!(fate(name, &API), Fate::Refused(_)), "{name}");
    }
}

/// The lists of a provider are in lower case, and what it says to pass does.
#[test]
fn each_providers_own_headers_have_the_fate_that_their_list_says() {
    for ProviderApi { id, api, .. } in providers::REGISTRY.iter().map(|provider| provider.spec().provider_api()) {
        for name in [api.request_headers, api.credential_headers, api.method_overrides, api.address_headers].concat() {
            assert!(HeaderName::from_lowercase(name.as_bytes()).is_ok(), "{id}: {name}");
        }
        for name in api.request_headers {
            let passes = matches!(fate(name, api), Fate::Passed | Fate::Method);
            assert!(passes, "{id}: {name}");
        }
        for name in api.method_overrides {
            assert!(METHOD_OVERRIDES.contains(name), "{id}: {name}, which is refused elsewhere");
        }
    }
}

#[test]
fn a_method_override_counts_in_any_case_and_one_that_names_no_method_refuses_the_call() {
    let api = Api { method_overrides: &["x-http-method-override"], ..API };
    let method =
        |value: &str| passed(&headers(&[("x-http-method-override", value)]), &api, true).map(|passed| passed.method);
    assert_eq!(method("PATCH"), Ok(Some(Method::PATCH)));
    assert_eq!(method(" delete"), Ok(Some(Method::DELETE)));
    for value in ["", "FETCH", "GET, DELETE", "CONNECT", "OPTIONS", "TRACE"] {
        assert_eq!(method(value).unwrap_err().fields[0].field, "x-http-method-override", "{value}");
    }
    let twice: HeaderMap = [("x-http-method-override", "GET"), ("x-http-method-override", "DELETE")]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    assert!(passed(&twice, &api, true).is_err());
}

#[test]
fn what_the_connection_claims_for_itself_refuses_the_call_instead_of_vanishing() {
    let claimed = headers(&[("connection", "close, Stripe-Version"), ("stripe-version", "1")]);
    assert_eq!(pairs(&claimed).unwrap_err().fields[0].field, "stripe-version");
    let usual = headers(&[("connection", "keep-alive, te"), ("te", "trailers"), ("stripe-version", "1")]);
    assert_eq!(pairs(&usual).unwrap(), [("stripe-version".to_owned(), "1".to_owned())]);
}

#[test]
fn repeated_headers_pass_together_and_a_long_name_is_not_repeated_in_full() {
    let mut map = headers(&[("if-match", "\"a\"")]);
    map.append("if-match", "\"b\"".parse().unwrap());
    assert_eq!(pairs(&map).unwrap(), [("if-match".to_owned(), "\"a\", \"b\"".to_owned())]);
    let name = HeaderName::try_from("x".repeat(5_000)).unwrap();
    let map = HeaderMap::from_iter([(name, HeaderValue::from_bytes(b"\xff").unwrap())]);
    assert!(pairs(&map).unwrap_err().fields[0].message.len() < 200);
}

#[test]
fn what_a_providers_connection_claims_and_addresses_do_not_come_back() {
    let from = headers(&[("connection", "X-Hop"), ("x-hop", "1"), ("location", "https://a"), ("etag", "\"1\"")]);
    let mut to = headers(&[("cache-control", "no-store"), ("etag", "\"0\"")]);
    returned(&from, &[header::LOCATION], &mut to);
    assert_eq!(to, headers(&[("cache-control", "no-store"), ("etag", "\"1\"")]));
}
