//! The vendors' own vectors, and the headers hostile callers send.

use http::{HeaderName, HeaderValue};

use super::*;

const STRIPE: Scheme = Scheme {
    header: "stripe-signature",
    separator: Some(','),
    prefix: "v1=",
    encoding: Encoding::Hex,
    key: SecretEncoding::Text,
    content: &[SignedPart::Time, SignedPart::Text("."), SignedPart::Body],
    time: Some(TimeSource::Entry("t=")),
};
const SLACK: Scheme = Scheme {
    header: "x-slack-signature",
    separator: None,
    prefix: "v0=",
    encoding: Encoding::Hex,
    key: SecretEncoding::Text,
    content: &[SignedPart::Text("v0:"), SignedPart::Time, SignedPart::Text(":"), SignedPart::Body],
    time: Some(TimeSource::Header("x-slack-request-timestamp")),
};
const GITHUB: Scheme = Scheme {
    header: "x-hub-signature-256",
    separator: None,
    prefix: "sha256=",
    encoding: Encoding::Hex,
    key: SecretEncoding::Text,
    content: &[SignedPart::Body],
    time: None,
};
fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut map = HeaderMap::new();
    for (name, value) in pairs.iter().map(pair) {
        map.append(name, value);
    }
    map
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn stripe(header: &str, body: &[u8], secrets: &[&str], now: i64) -> Result<(), Rejection> {
    let secrets: Vec<_> = secrets.iter().map(|s| SecretString::from(*s)).collect();
    STRIPE.verify(&headers(&[("stripe-signature", header)]), body, &secrets, at(now))
}

/// A genuine header for `{}` signed with `secret` at 1 700 000 000.
fn genuine(secret: &str) -> String {
    let signed = STRIPE.sign(&HeaderMap::new(), b"{}", &SecretString::from(secret), at(NOW)).unwrap();
    signed[0].1.clone()
}

const NOW: i64 = 1_700_000_000;

#[test]
fn accepts_stripes_official_vector() {
    // stripe-dotnet, EventUtilityTest, with its event_test_signature.json.
    let body = include_bytes!("../../../../../events/stripe-signature-vector.json");
    let header = "t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7,\
                  v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef";
    assert_eq!(stripe(header, body, &["webhook_secret"], 1_533_204_620), Ok(()));
    assert_eq!(stripe(header, body, &["webhook_secret"], 1_533_204_620 + 301), Err(Rejection::Stale));
    assert_eq!(stripe(header, b"{}", &["webhook_secret"], 1_533_204_620), Err(Rejection::Mismatch));
}

#[test]
fn accepts_slacks_official_vector() {
    // Slack's documentation, "Verifying requests from Slack".
    let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
        &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let headers = headers(&[
        ("x-slack-request-timestamp", "1531420618"),
        ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    ]);
    let secrets = [SecretString::from("8f742231b10e8888abcd99yyyzzz85a5")];
    assert_eq!(SLACK.verify(&headers, body, &secrets, at(1_531_420_618)), Ok(()));
}

#[test]
fn accepts_githubs_official_vector() {
    // GitHub's documentation, "Validating webhook deliveries".
    let headers =
        headers(&[("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")]);
    let secrets = [SecretString::from("It's a Secret to Everybody")];
    assert_eq!(GITHUB.verify(&headers, b"Hello, World!", &secrets, at(0)), Ok(()));
}

#[test]
fn accepts_the_standard_webhooks_vector_after_entries_of_other_versions() {
    // Standard Webhooks' reference libraries; the secret's prefix is optional.
    let headers = headers(&[
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v2,AAAA v1,bm9wZQ== v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ]);
    for secret in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        let secrets = [SecretString::from(secret)];
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(standard_webhooks::SCHEME.verify(&headers, body, &secrets, at(1_614_265_330)), Ok(()));
    }
}

#[test]
fn one_right_signature_among_several_is_enough_and_upper_case_hex_is_the_same_bytes() {
    let header = genuine("s");
    let mac = header.rsplit_once("v1=").unwrap().1;
    for header in [
        format!("{header},v1=potato"),
        format!("t={NOW},v1=deadbeef,v1={mac},v0=x"),
        format!("t={NOW}, v1={}", mac.to_uppercase()),
    ] {
        assert_eq!(stripe(&header, b"{}", &["s"], NOW), Ok(()), "{header}");
    }
}

#[test]
fn every_current_secret_is_tried() {
    assert_eq!(stripe(&genuine("old"), b"{}", &["new", "old"], NOW), Ok(()));
    assert_eq!(stripe(&genuine("older"), b"{}", &["new", "old"], NOW), Err(Rejection::Mismatch));
}

#[test]
fn no_usable_secret_refuses_even_what_an_empty_key_signed() {
    assert_eq!(stripe(&genuine("s"), b"{}", &[], NOW), Err(Rejection::NoSecret));
    assert_eq!(stripe(&genuine("s"), b"{}", &[""], NOW), Err(Rejection::NoSecret));
}

#[test]
fn malformed_headers_are_refused() {
    // The first nine are stripe-dotnet's.
    let many = format!("t={NOW},{}", "v1=00,".repeat(17));
    let long = format!("t={NOW},v1={}", "0".repeat(64 * 1024));
    for header in [
        "t=,v1=x",
        "t,v1=,v0=",
        "t,v1=,v0",
        "t,v1=,",
        "t,,",
        ",,",
        "t",
        "",
        "v1=00",
        "t=1700000000",
        "t=1700000000,v0=00",
        "t=1700000000,t=1700000000,v1=00",
        "t=-1,v1=00",
        "t=+1700000000,v1=00",
        "t=1e9,v1=00",
        "t=01700000000,v1=00",
        "t=9223372036854775808,v1=00",
        "t=1700000000.0,v1=00",
        &many,
        &long,
    ] {
        assert_eq!(stripe(header, b"{}", &["s"], NOW), Err(Rejection::Malformed), "{header:.60}");
    }
    assert_eq!(STRIPE.verify(&HeaderMap::new(), b"", &["s".into()], at(NOW)), Err(Rejection::Missing));
    let arabic = headers(&[("stripe-signature", "t=١٧٠٠٠٠٠٠٠٠,v1=00")]);
    assert_eq!(STRIPE.verify(&arabic, b"{}", &["s".into()], at(NOW)), Err(Rejection::Missing));
}

#[test]
fn signatures_of_wrong_length_or_alphabet_never_match_and_never_panic() {
    for mac in ["", "0", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), "%00", "\u{1f600}"] {
        let header = format!("t={NOW},v1={mac}");
        assert!(stripe(&header, b"{}", &["s"], NOW).is_err(), "{header}");
    }
}

#[test]
fn a_duplicated_header_counts_as_one_list() {
    let twice = headers(&[("stripe-signature", &genuine("s")), ("stripe-signature", &genuine("s"))]);
    assert_eq!(STRIPE.verify(&twice, b"{}", &["s".into()], at(NOW)), Err(Rejection::Malformed));
}

#[test]
fn the_window_is_five_minutes_in_both_directions() {
    let header = genuine("s");
    for (shift, expected) in
        [(300, Ok(())), (-300, Ok(())), (301, Err(Rejection::Stale)), (-301, Err(Rejection::Stale))]
    {
        assert_eq!(stripe(&header, b"{}", &["s"], NOW + shift), expected, "{shift}");
    }
}

#[test]
fn any_flipped_bit_of_the_body_is_refused() {
    let body = br#"{"id":"evt_1","amount":100}"#;
    let secret = SecretString::from("s");
    let header = STRIPE.sign(&HeaderMap::new(), body, &secret, at(NOW)).unwrap()[0].1.clone();
    for bit in 0..body.len() * 8 {
        let mut flipped = body.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(stripe(&header, &flipped, &["s"], NOW), Err(Rejection::Mismatch));
    }
}

#[test]
fn every_scheme_accepts_what_it_signed() {
    let id = headers(&[("webhook-id", "msg_1")]);
    for scheme in [STRIPE, SLACK, GITHUB, standard_webhooks::SCHEME] {
        let secret = SecretString::from("c2VjcmV0");
        let mut headers = id.clone();
        for (name, value) in scheme.sign(&id, b"{}", &secret, at(NOW)).unwrap() {
            headers.insert(name, value.parse().unwrap());
        }
        assert_eq!(scheme.verify(&headers, b"{}", &[secret], at(NOW)), Ok(()));
    }
}
