use super::*;

#[test]
fn an_origin_is_what_a_browser_sends() {
    for (text, good) in [
        ("https://app.example.com", true),
        ("https://app.example.com:8443", true),
        ("http://localhost:4600", true),
        ("http://127.0.0.1:3000", true),
        ("localhost:4600", false),
        ("http://app.example.com", false),
        ("https://app.example.com/", false),
        ("https://app.example.com/path", false),
        ("https://App.example.com", false),
        ("https://app.example.com:443", false),
        ("https://app.example.com:0", false),
        ("https://app.example.com:99999", false),
        ("https://user@app.example.com", false),
        ("https://", false),
        ("*", false),
        ("", false),
    ] {
        assert_eq!(is_origin(text), good, "{text}");
    }
    assert!(origins("https://a.example http://localhost:1,https://b.example").is_ok());
    assert!(origins("https://a.example localhost:1").is_err());
}

#[test]
fn every_variable_is_its_parameter_in_capitals_but_those_that_are_named_for_another_reason() {
    let capitals = |parameter: &str| {
        let parts = parameter.char_indices().map(|(at, letter)| match letter {
            'A'..='Z' if at > 0 => format!("_{letter}"),
            _ => letter.to_ascii_uppercase().to_string(),
        });
        parts.collect::<String>()
    };
    let bounds = PAIRS.iter().filter_map(|pair| match pair.must_be {
        Bound::MoreThan(other) | Bound::AtLeastSixTimes(other) => Some(other),
        Bound::MoreThanFixed(..) => None,
    });
    let settings = PAIRS.iter().map(|pair| pair.setting).chain(bounds).chain(FORMS.iter().map(|form| form.setting));
    for setting in settings {
        match setting.variable {
            "RESOURCE_PREFIX" | "INTERTIE_URL_REWRITES" => {}
            variable => assert_eq!(variable, capitals(setting.parameter)),
        }
    }
}

#[test]
fn a_pair_is_compared_only_where_both_values_are_known_and_all_problems_are_reported() {
    let known = |known: &'static [(&str, &str)]| {
        let found = move |setting: &Setting| {
            known.iter().find(|(name, _)| *name == setting.parameter).map(|(_, value)| (*value).to_owned())
        };
        problems(found).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(known(&[("ClaimLeaseSeconds", "5")]), [""; 0]);
    assert_eq!(known(&[("ClaimLeaseSeconds", "31"), ("ProcessTimeoutSeconds", "30")]), [""; 0]);
    let problems = known(&[
        ("ClaimLeaseSeconds", "30"),
        ("ProcessTimeoutSeconds", "30"),
        ("WebhooksVisibilitySeconds", "179"),
        ("RefreshLeaseSeconds", "10"),
        ("AllowedOrigins", "localhost:4600"),
    ]);
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(problems[0].starts_with("AllowedOrigins is `localhost:4600`: "), "{problems:?}");
    assert!(
        problems[1].starts_with("ClaimLeaseSeconds is 30 and must be more than ProcessTimeoutSeconds, which is 30: ")
    );
    assert!(
        problems[2].starts_with("RefreshLeaseSeconds is 10 and must be more than 10, the longest call"),
        "{problems:?}"
    );
    assert!(
        problems[3].starts_with("WebhooksVisibilitySeconds is 179 and must be at least 6 × ProcessTimeoutSeconds, ")
    );
}
