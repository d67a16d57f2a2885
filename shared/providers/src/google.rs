//! What Google's providers share: <https://developers.google.com/identity/protocols/oauth2/web-server>, read 2026-11.

use std::time::Duration;

use domain::{
    call::Class,
    grant::{ClientAuth, OAuth, Revoke, RevokedBy, Token},
};
use jiff::Timestamp;
use serde_json::Value;

/// Google's grant. Scopes differ by provider.
pub(crate) const fn oauth(scopes: &'static [&'static str]) -> OAuth {
    OAuth {
        authorize: "https://accounts.google.com/o/oauth2/v2/auth",
        token: "https://oauth2.googleapis.com/token",
        client_auth: ClientAuth::Form,
        scopes,
        scope_separator: " ",
        pkce: true,
        // Without both there may come no refresh token.
        authorize_params: &[("access_type", "offline"), ("prompt", "consent")],
        issuer: Some("https://accounts.google.com"),
        tokens: &[Token { name: "user", at: "", required: true }],
        failed: None,
        dead: &["invalid_grant"],
        margin: Duration::from_mins(15),
        revoke: Some(Revoke {
            url: "https://oauth2.googleapis.com/revoke",
            token: RevokedBy::Form,
            whole_account: true,
        }),
    }
}

/// Where codes stand: <https://developers.google.com/calendar/api/guides/errors>.
pub(crate) const CODES: &[&str] = &["/error/errors/0/reason", "/error/details/0/reason", "/error/status"];

/// What they mean where the status does not say it.
pub(crate) const CLASSES: &[(&str, Class)] = &[
    ("rateLimitExceeded", Class::RateLimited),
    ("userRateLimitExceeded", Class::RateLimited),
    ("quotaExceeded", Class::RateLimited),
    ("dailyLimitExceeded", Class::RateLimited),
    ("RATE_LIMIT_EXCEEDED", Class::RateLimited),
    ("insufficientPermissions", Class::ScopeMissing),
    ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", Class::ScopeMissing),
    ("backendError", Class::Down),
];

/// A time in milliseconds, as a text or a number: 64 bits are a text in Google's JSON.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    let millis = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
    Timestamp::from_millisecond(millis).ok()
}
