use http::Method;
use serde_json::json;

use super::*;
use crate::{form::encode, opaque::random};

const RULES: Rules =
    Rules { code: || random(8), access: |_| random(8), refresh: || random(8), life: 60, single_use: true };

fn allowed() -> Allowed {
    let (scopes, user_scopes) = Default::default();
    let (account, redirect_uri) = ("a".to_owned(), "http://app/".to_owned());
    Allowed { account, scopes, user_scopes, redirect_uri, challenge: None, offline: true }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_code_lives_ten_minutes() {
    let mut grants = Grants::new(RULES);
    let code = grants.code(allowed(), at(0));
    let form = Form::parse(encode([("code", code.as_str()), ("redirect_uri", "http://app/")]).as_bytes());
    assert!(grants.redeem(&form, at(600)).err() == Some(BadCode::Expired));
    assert!(grants.redeem(&form, at(599)).is_ok());
}

#[test]
fn tokens_live_as_long_as_was_in_force_when_they_were_issued() {
    let mut grants = Grants::new(RULES);
    let tokens = grants.grant("a", "bot", Vec::new(), true, at(0));
    grants.administer(&Method::POST, &["tokens", "life"], &json!({ "seconds": 5 }));
    let (_, next) = grants.refresh(&tokens.refresh.unwrap(), at(0)).ok().unwrap();
    assert_eq!((tokens.expires_in, next.expires_in), (60, 5));
    let good = |second| [&tokens.access, &next.access].map(|token| grants.check(token, at(second)).is_ok());
    assert_eq!([4, 5, 59, 60].map(good), [[true, true], [true, false], [true, false], [false, false]]);
}
