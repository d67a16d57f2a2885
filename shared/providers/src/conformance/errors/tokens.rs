//! What token endpoints answer: <https://docs.slack.dev/reference/methods/oauth.v2.access> and
//! <https://developers.google.com/identity/protocols/oauth2/web-server>, read 2026-11. A refusal that is our
//! configuration's fault must not end every user's grant.

use super::*;

/// Provider, status, code, whether it ends the grant.
const REFUSALS: &[(&str, u16, &str, bool)] = &[
    ("slack", 200, "invalid_refresh_token", true),
    ("slack", 200, "token_revoked", true),
    ("slack", 200, "invalid_auth", true),
    ("slack", 200, "account_inactive", true),
    ("slack", 200, "invalid_client_id", false),
    ("slack", 200, "bad_client_secret", false),
    ("slack", 200, "invalid_grant_type", false),
    ("slack", 200, "invalid_code", false),
    ("slack", 200, "bad_redirect_uri", false),
    ("slack", 200, "invalid_code_verifier", false),
    ("slack", 200, "pkce_not_allowed", false),
    ("slack", 200, "no_scopes", false),
    ("slack", 200, "oauth_authorization_url_mismatch", false),
    ("slack", 200, "user_email_unverified", false),
    ("slack", 200, "cannot_install_an_org_installed_app", false),
    ("slack", 200, "preview_feature_not_available", false),
    ("google-calendar", 400, "invalid_grant", true),
    ("google-calendar", 401, "invalid_client", false),
    ("google-calendar", 401, "unauthorized_client", false),
    ("google-calendar", 400, "admin_policy_enforced", false),
    ("google-calendar", 400, "invalid_request", false),
    ("gmail", 400, "invalid_grant", true),
    ("gmail", 401, "invalid_client", false),
];

fn answers() -> impl Iterator<Item = (&'static str, &'static str, Reply, bool)> {
    REFUSALS.iter().map(|(id, status, code, ends)| {
        let body = match *id {
            "slack" => json!({"ok": false, "error": code}),
            _ => json!({"error": code, "error_description": "Token has been expired or revoked."}),
        };
        (*id, *code, Reply { status: *status, body: body.to_string().into(), ..Reply::default() }, *ends)
    })
}

#[test]
fn a_token_endpoint_ends_a_grant_only_where_the_grant_is_at_fault() {
    for (id, code, reply, ends) in answers() {
        let oauth = REGISTRY.find(id).unwrap().spec().auth.oauth().unwrap();
        assert_eq!(oauth.answered(&reply, NOW), Ok(()), "{id} {code}");
        let expected = if ends { Failure::GrantEnded } else { Failure::AppRefused { code: code.to_owned() } };
        assert_eq!(oauth.read(&reply).unwrap_err(), expected, "{id} {code}");
    }
}

#[test]
fn every_code_that_ends_a_grant_has_a_row() {
    for spec in REGISTRY.iter().map(Provider::spec) {
        for dead in spec.auth.oauth().map(|oauth| oauth.terminal_errors).unwrap_or_default() {
            assert!(
                REFUSALS.iter().any(|row| (row.0, row.2, row.3) == (spec.id.as_str(), *dead, true)),
                "{}: {dead}",
                spec.id
            );
        }
    }
}

#[test]
fn a_token_endpoint_that_is_busy_or_down_ends_nothing() {
    for oauth in REGISTRY.iter().filter_map(|provider| provider.spec().auth.oauth()) {
        for (status, body) in [
            (429, r#"{"error":"rate_limit_exceeded"}"#),
            (429, r#"{"ok":false,"error":"ratelimited"}"#),
            (500, r#"{"error":"internal_failure"}"#),
            (503, HTML),
        ] {
            let reply = Reply { status, body: body.into(), ..Reply::default() };
            let expected = if status == 429 { Failure::RateLimited(None) } else { Failure::Down(None) };
            assert_eq!(oauth.answered(&reply, NOW), Err(expected.clone()));
            assert_eq!(oauth.read(&reply).unwrap_err(), expected, "{status}");
        }
        for body in ["", HTML, "{}"] {
            assert_eq!(oauth.read(&reply(body)).unwrap_err(), Failure::Unreadable, "{body}");
        }
    }
}
