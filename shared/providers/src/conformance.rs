//! What every registered provider must hold to.

use std::collections::HashSet;

use super::*;

#[test]
fn ids_are_unique_and_fit_into_urls_and_keys() {
    let mut seen = HashSet::new();
    for id in ids() {
        assert!(seen.insert(id), "{id} is registered twice");
        assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{id}");
        assert_eq!(find(id).unwrap().spec().id, id);
    }
    assert!(find("../slack").is_none());
    assert!(find("").is_none());
}

#[test]
fn header_names_are_lower_case_and_every_scheme_signs_the_body() {
    for scheme in REGISTRY.iter().filter_map(|provider| provider.spec().webhook.as_ref()) {
        assert_eq!(scheme.header, scheme.header.to_lowercase());
        assert!(scheme.content.contains(&domain::signature::Part::Body));
    }
}

#[test]
fn hostile_bodies_are_not_events_and_never_panic() {
    for provider in REGISTRY {
        for body in ["null", "[]", "{}", "1e999999", "\"\"", "{\"id\":1}", "{\"id\":{\"id\":[]},\"type\":null}"] {
            let raw: &RawValue = serde_json::from_str(body).unwrap();
            assert!(provider.event(raw).is_err(), "{} took {body}", provider.spec().id);
        }
    }
}
