use domain::provider_api::ProviderApi;

use super::*;

const API: Api = Api { request_headers: &["stripe-version"], ..Api::new("https://api.example.com") };

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

#[test]
fn no_name_stands_in_two_lists() {
    let names = HARMLESS.iter().flat_map(|(_, names)| *names);
    for name in names.filter(|name| !name.ends_with('*')) {
        assert!(matches!(fate(name, &API), Fate::Harmless(_)), "{name}");
    }
    for name in METHOD_OVERRIDES {
        assert_eq!(fate(name, &API), Fate::MethodOverride, "{name}");
    }
    for name in PASSED {
        let harmless = HARMLESS.iter().any(|(_, names)| names.contains(name));
        assert!(!harmless, "{name}");
    }
}

/// Each provider's own lists name no header that carries a credential, a cookie or an address.
#[test]
fn no_provider_passes_what_leads_elsewhere_or_proves_who_calls() {
    for ProviderApi { id, api, .. } in providers::REGISTRY.iter().map(|provider| provider.spec().provider_api()) {
        for name in api.request_headers {
            assert!(HeaderName::from_lowercase(name.as_bytes()).is_ok(), "{id}: {name}");
            assert!(!METHOD_OVERRIDES.contains(name), "{id}: {name}");
            assert!(!HARMLESS.iter().any(|(_, names)| names.contains(name)), "{id}: {name}");
            assert!(!name.contains("key") && !name.contains("auth") && !name.contains("token"), "{id}: {name}");
        }
        for name in api.response_headers {
            assert!(HeaderName::from_lowercase(name.as_bytes()).is_ok(), "{id}: {name}");
            assert!(!["set-cookie", "link", "location", "content-location"].contains(name), "{id}: {name}");
        }
    }
}

#[test]
fn what_the_connection_claims_for_itself_refuses_the_call_instead_of_vanishing() {
    let claimed = headers(&[("connection", "close, Stripe-Version"), ("stripe-version", "1")]);
    assert_eq!(passed(&claimed, &API, "Stripe").unwrap_err().fields[0].field, "stripe-version");
    let usual = headers(&[("connection", "keep-alive, te"), ("te", "trailers"), ("stripe-version", "1")]);
    assert_eq!(passed(&usual, &API, "Stripe").unwrap(), [("stripe-version".to_owned(), "1".to_owned())]);
}

#[test]
fn repeated_headers_pass_together_and_a_long_name_is_not_repeated_in_full() {
    let mut map = headers(&[("if-match", "\"a\"")]);
    map.append("if-match", "\"b\"".parse().unwrap());
    assert_eq!(passed(&map, &API, "Stripe").unwrap(), [("if-match".to_owned(), "\"a\", \"b\"".to_owned())]);
    let name = HeaderName::try_from("x".repeat(5_000)).unwrap();
    let map = HeaderMap::from_iter([(name, HeaderValue::from_static("1"))]);
    assert!(passed(&map, &API, "Stripe").unwrap_err().fields[0].message.len() < 200);
}
