use http::HeaderMap;

use super::*;

const OAUTH: OAuth = OAuth {
    authorize: "https://slack.com/oauth/v2/authorize",
    token: "https://slack.com/api/oauth.v2.access",
    client_auth: ClientAuth::Form,
    scopes: &["channels:read"],
    further_scopes: &[],
    aliases: &[],
    identity_scopes: &[],
    account_hint: Some("team"),
    account_choice: None,
    scope_labels: &[("channels:read", "see the channels")],
    scope_separator: ",",
    pkce: true,
    authorize_params: &[("prompt", "consent")],
    issuer: None,
    tokens: &[
        Token { name: "bot", at: "", required: true },
        Token { name: "user", at: "/authed_user", required: false },
    ],
    failed: None,
    terminal_errors: &["invalid_grant"],
    refresh_ahead: Duration::from_mins(15),
    revoke: None,
};

fn read(status: u16, body: &str) -> Result<(Vec<TokenResponse>, Value), Failure> {
    OAUTH.read(&Reply { status, headers: HeaderMap::new(), body: body.into() })
}

const AUTHORIZE: Authorize<'static> =
    Authorize { client_id: "id", redirect_uri: "https://a/cb", scopes: &[], state: "s1", verifier: "v", account: None };

#[test]
fn each_token_of_an_answer_becomes_a_credential() {
    let (all, _) = read(
        200,
        r#"{"access_token":"a","refresh_token":"r","expires_in":43200,"scope":"x,y",
        "authed_user":{"access_token":"u","token_type":"user"}}"#,
    )
    .unwrap();
    assert_eq!(all.iter().map(|it| it.name).collect::<Vec<_>>(), ["bot", "user"]);
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

#[test]
fn only_paths_of_our_own_lead_back() {
    for good in ["/", "/settings/integrations", "/a?b=c#d"] {
        assert!(is_own_path(good), "{good}");
    }
    for bad in [
        "",
        "//evil",
        "/\\evil",
        "https:evil",
        "%09//",
        "/%2fevil",
        "/%2Fevil",
        "javascript:alert(1)",
        "/a\r\nb",
        "/ b",
        "/\t/x",
    ] {
        assert!(!is_own_path(bad), "{bad}");
    }
}

#[test]
fn a_verifier_follows_from_state_and_secret_and_meets_the_standard() {
    let one = verifier("s1", &"secret".into());
    assert_eq!(one.len(), 43, "RFC 7636 asks for 43 to 128");
    assert_ne!(one, verifier("s2", &"secret".into()));
    assert_ne!(one, verifier("s1", &"other".into()));
    let url = OAUTH.authorize_url(Authorize {
        scopes: &["x".into(), "y".into()],
        verifier: &one,
        account: Some("T1"),
        ..AUTHORIZE
    });
    assert!(
        url.contains("code_challenge_method=S256")
            && url.contains("&team=T1")
            && url.contains("scope=x%2Cy")
            && !url.contains(&one),
        "{url}"
    );
}

#[test]
fn without_an_account_the_provider_asks_which_one_is_meant() {
    let oauth = OAuth { account_choice: Some(("prompt", "consent select_account")), ..OAUTH };
    let url = |account| oauth.authorize_url(Authorize { account, ..AUTHORIZE });
    assert!(url(None).ends_with("&prompt=consent+select_account"), "{}", url(None));
    assert!(url(Some("T1")).ends_with("&prompt=consent&team=T1"), "{}", url(Some("T1")));
}
