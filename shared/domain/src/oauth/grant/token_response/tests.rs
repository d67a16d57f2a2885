use http::HeaderMap;

use super::{super::tests::OAUTH, *};

fn read(status: u16, body: &str) -> Result<(Vec<TokenResponse>, Value), Failure> {
    OAUTH.read(&Reply { status, headers: HeaderMap::new(), body: body.into() })
}

#[test]
fn each_token_of_an_answer_becomes_a_credential() {
    let (all, _) = read(
        200,
        r#"{"access_token":"a","refresh_token":"r","expires_in":43200,"scope":"x,y",
        "authed_user":{"access_token":"u","token_type":"user"}}"#,
    )
    .unwrap();
    assert_eq!(all.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["bot", "user"]);
    assert_eq!(all[0].life, Some(Duration::from_hours(12)));
    assert_eq!(all[0].scopes.as_deref().unwrap(), ["x", "y"]);
    assert!(all[1].refresh.is_none() && all[1].life.is_none());
}

#[test]
fn hostile_answers_give_no_token_and_an_absent_life_is_no_number() {
    for (status, body) in [
        (200, "<html>"),
        (200, "{}"),
        (200, r#"{"access_token":""}"#),
        (200, r#"{"access_token":"a\r\nb"}"#),
        (200, r#"{"access_token":"a","token_type":"mac"}"#),
        (302, ""),
        (503, r#"{"access_token":"a"}"#),
    ] {
        let expected = if status == 503 { Failure::Down(None) } else { Failure::Unreadable };
        assert_eq!(read(status, body).unwrap_err(), expected, "{status} {body}");
    }
    for (expires_in, expected) in [
        ("null", None),
        ("-1", None),
        ("\"3600\"", Some(Duration::from_hours(1))),
        ("\"soon\"", None),
        ("1e18", Some(MAX_LIFE)),
        ("{}", None),
    ] {
        let (all, _) = read(200, &format!(r#"{{"access_token":"a","expires_in":{expires_in}}}"#)).unwrap();
        assert_eq!(all[0].life, expected, "{expires_in}");
    }
}

#[test]
fn an_error_in_a_success_is_an_error_and_only_some_end_the_grant() {
    assert_eq!(
        read(200, r#"{"ok":false,"error":"bad_client"}"#).unwrap_err(),
        Failure::AppRefused { code: "bad_client".into() }
    );
    assert_eq!(read(400, r#"{"error":"invalid_grant"}"#).unwrap_err(), Failure::GrantEnded);
    assert_eq!(read(429, r#"{"error":"invalid_grant"}"#).unwrap_err(), Failure::RateLimited(None));
}
