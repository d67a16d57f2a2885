use super::*;

pub(super) static OAUTH: OAuth = OAuth {
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
    access: Token { name: CredentialName::of_data("bot"), at: "", required: true },
    further_tokens: &[Token { name: CredentialName::of_data("user"), at: "/authed_user", required: false }],
    failed: None,
    terminal_errors: &["invalid_grant"],
    refresh_ahead: Duration::from_mins(15),
    revoke: None,
};

const AUTHORIZE: Authorize<'static> =
    Authorize { client_id: "id", redirect_uri: "https://a/cb", scopes: &[], state: "s1", verifier: "v", account: None };

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
        account: Some(&AccountId::parse("T1").unwrap()),
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
    let oauth = OAuth { account_choice: Some(("prompt", "consent select_account")), ..OAUTH.clone() };
    let team = AccountId::parse("T1").unwrap();
    let url = |account| oauth.authorize_url(Authorize { account, ..AUTHORIZE });
    assert!(url(None).ends_with("&prompt=consent+select_account"), "{}", url(None));
    assert!(url(Some(&team)).ends_with("&prompt=consent&team=T1"), "{}", url(Some(&team)));
}
