//! What Google's providers share: <https://developers.google.com/identity/protocols/oauth2/web-server>, read 2026-11.

use std::time::Duration;

use domain::{
    CredentialName,
    call::{
        Api, Class,
        limit::{Applies, CredentialMode, Limit, PartitionBy},
        rate::Rate,
    },
    oauth::grant::{ClientAuth, OAuth, Revoke, RevokedBy, Token},
};
use jiff::Timestamp;
use serde_json::Value;

use crate::{AccountSource, Identity};

/// Asks for an ID token. Google never changes the `sub` in it, unlike the address, and gives it to no other account:
/// <https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload>, read 2026-11.
pub(crate) const OPENID: &str = "openid";
/// Asks for the address in it, under the name that Google's answers have for this scope.
pub(crate) const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
/// Asks for the name in it.
const PROFILE: &str = "https://www.googleapis.com/auth/userinfo.profile";

/// The account of a grant. The ID token costs no call and needs no permission of a service.
pub(crate) const IDENTITY: Identity = Identity {
    place: AccountSource::IdToken,
    id: "/sub",
    name: &["/email"],
    service: None,
    organisation: None,
    addressed: false,
};

/// Google's grant. Scopes differ by provider: the usual ones, and those that may be asked for besides
/// (<https://developers.google.com/identity/protocols/oauth2/scopes>, listed in 2026-11 from public client libraries and not
/// compared with that page yet).
pub(crate) const fn oauth(scopes: &'static [&'static str], further_scopes: &'static [&'static str]) -> OAuth {
    OAuth {
        authorize: "https://accounts.google.com/o/oauth2/v2/auth",
        token: "https://oauth2.googleapis.com/token",
        client_auth: ClientAuth::Form,
        scopes,
        further_scopes,
        aliases: &[("email", EMAIL), ("profile", PROFILE)],
        identity_scopes: &[OPENID, EMAIL, PROFILE],
        // The address or the `sub`.
        account_hint: Some("login_hint"),
        // https://developers.google.com/identity/protocols/oauth2/web-server#creatingclient, read 2026-11: `prompt` is a list.
        account_choice: Some(("prompt", "consent select_account")),
        scope_labels: &[
            (OPENID, "know which account it is"),
            (EMAIL, "see the address of the account"),
            ("https://www.googleapis.com/auth/calendar.readonly", "see the calendars"),
            ("https://www.googleapis.com/auth/gmail.readonly", "read the mail"),
            ("https://www.googleapis.com/auth/gmail.send", "send mail"),
        ],
        scope_separator: " ",
        pkce: true,
        // Without both there may come no refresh token.
        authorize_params: &[("access_type", "offline"), ("prompt", "consent")],
        issuer: Some("https://accounts.google.com"),
        access: Token { name: CredentialName::of_data("user"), at: "", required: true },
        further_tokens: &[],
        failed: None,
        terminal_errors: &["invalid_grant"],
        refresh_ahead: Duration::from_mins(15),
        revoke: Some(Revoke {
            url: "https://oauth2.googleapis.com/revoke",
            token: RevokedBy::Form,
            whole_account: true,
        }),
    }
}

/// Google's API at `base`: <https://developers.google.com/workspace/calendar/api/guides/errors>,
/// <https://developers.google.com/workspace/gmail/api/guides/handle-errors>, read 2026-11.
pub(crate) const fn api(base: &'static str, limits: &'static [Limit]) -> Api {
    Api {
        codes: CODES,
        classes: CLASSES,
        // A missing scope has codes of its own.
        forbidden: NOT_HERE,
        // Gmail sends no header for it.
        wait_in_text: Some(("/error/message", "Retry after ")),
        // https://docs.cloud.google.com/apis/docs/system-parameters, read 2026-11.
        request_headers: &[
            "x-goog-fieldmask",
            "x-goog-request-reason",
            "x-goog-user-project",
            "x-http-method-override",
            "x-upload-content-length",
            "x-upload-content-type",
        ],
        // Keys of an API and of other principals: the same page, and
        // https://docs.cloud.google.com/storage/docs/xml-api/reference-headers, read 2026-11.
        credential_headers: &[
            "x-goog-api-key",
            "x-goog-authuser",
            "x-goog-iam-authority-selector",
            "x-goog-iam-authorization-token",
        ],
        // The same page. `$httpHeaders` and `$httpMethod` are not on it, but are honoured: they name other headers, a credential
        // among them, and another method than the one that counts.
        credential_parameters: &["$httpHeaders", "$httpMethod", "$key", "key", "oauth_token"],
        // https://cloud.google.com/java/docs/reference/google-api-client/latest/com.google.api.client.googleapis.MethodOverride,
        // read 2026-11.
        method_overrides: &["x-http-method-override"],
        // Of Google's other protocol for uploads: https://developers.google.com/photos/library/guides/resumable-uploads, read
        // 2026-11.
        address_headers: &["x-goog-upload-control-url", "x-goog-upload-url"],
        // `/batch`, and `/batch/{api}/{version}`: https://developers.google.com/workspace/gmail/api/guides/batch, read 2026-11.
        batch: Some("batch"),
        limits,
        ..Api::new(base)
    }
}

/// The limits of a user and of the whole project; each counts what calls cost.
pub(crate) const fn limits(user: Rate, project: Rate, costs: &'static [(&'static str, u32)]) -> [Limit; 2] {
    let user = Limit {
        name: "user",
        applies: Applies::All,
        partition_by: &[PartitionBy::Account],
        credential_mode: CredentialMode::Any,
        rate: user,
        costs,
        reasons: &[],
        // Other limits have the same reason, and waits of hours: Gmail's of sending, of forwarding rules.
        max_retry_after: Duration::from_mins(2),
    };
    let project = Limit {
        name: "project",
        partition_by: &[],
        rate: project,
        reasons: &["dailyLimitExceeded"],
        max_retry_after: Duration::from_mins(15),
        ..user
    };
    [user, project]
}

/// Where codes stand; the newer ones in any of the details.
const CODES: &[&str] = &[
    "/error/errors/0/reason",
    "/error/details/0/reason",
    "/error/details/1/reason",
    "/error/details/2/reason",
    "/error/status",
];

const NOT_HERE: Class = Class::Rejected("This Google account may not do this here.");

/// What they mean where the status does not say it.
const CLASSES: &[(&str, Class)] = &[
    ("rateLimitExceeded", Class::RateLimited),
    ("userRateLimitExceeded", Class::RateLimited),
    ("RATE_LIMIT_EXCEEDED", Class::RateLimited),
    // Of a day, or of invitations: more come after hours.
    ("quotaExceeded", Class::Exhausted(Duration::from_hours(1))),
    ("dailyLimitExceeded", Class::Exhausted(Duration::from_hours(1))),
    ("insufficientPermissions", Class::ScopeMissing),
    ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", Class::ScopeMissing),
    ("ACCOUNT_STATE_INVALID", Class::GrantEnded),
    ("ACCESS_TOKEN_TYPE_UNSUPPORTED", NOT_HERE),
    ("accessNotConfigured", Class::AppRefused),
    ("SERVICE_DISABLED", Class::AppRefused),
    ("BILLING_DISABLED", Class::AppRefused),
    ("domainPolicy", Class::Rejected("The administrators of this Google account do not allow this app; ask them.")),
    ("forbiddenForNonOrganizer", Class::Rejected("Only the organiser can change this event.")),
    ("requiredAccessLevel", Class::Rejected("This Google account may only look at this calendar.")),
    // Of Gmail: the account has no mailbox, or the call is not possible in the present state of what it is for.
    ("failedPrecondition", Class::Rejected("Google refuses this for now; this Google account may have no mailbox.")),
    ("notACalendarUser", Class::Rejected("This Google account does not use Google Calendar.")),
    ("timeRangeEmpty", Class::Rejected("The end must be after the start.")),
    ("pushNotSupportedForRequestedResource", Class::Rejected("Google does not report changes of this calendar.")),
    // It comes with 401, and is no fault of the token: the app's domain is not verified.
    ("push.webhookUrlUnauthorized", Class::AppRefused),
    ("channelIdNotUnique", Class::Conflict),
    ("backendError", Class::Down),
];

/// A time in milliseconds, as a text or a number: 64 bits are a text in Google's JSON.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    let millis = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
    Timestamp::from_millisecond(millis).ok()
}
