//! <https://developers.google.com/workspace/calendar/api/guides/errors>,
//! <https://developers.google.com/workspace/gmail/api/guides/handle-errors>,
//! <https://docs.rs/gcp-sdk-api/latest/gcp_sdk_api/model/error_reason>, read 2026-11. Both providers share the table.

use super::*;

const SLOWER: &str = "{name} asked us to slow down. We continue at 10:01 UTC.";
const AN_HOUR_LATER: &str = "{name} asked us to slow down. We continue at 11:00 UTC.";
const ENDED: &str = "{name} has ended our access.";
const NO_SCOPE: &str = "The permission for this was not given to us at {name}.";
const NOT_HERE: &str = "This Google account may not do this here.";
const APP: &str = "{name} does not accept this application at the moment.";
const NO_MAILBOX: &str = "Google refuses this for now; this Google account may have no mailbox.";
const CONTRADICTS: &str = "{name} says that this contradicts something that exists.";
const TROUBLE: &str = "{name} has trouble answering.";
const NOT_ACCEPTED: &str = "{name} did not accept this.";

/// Reasons in the older place, `errors[0].reason`.
const OLDER: &[(u16, &str, Then, &str)] = &[
    (403, "rateLimitExceeded", SLOW, SLOWER),
    (429, "rateLimitExceeded", SLOW, SLOWER),
    (403, "userRateLimitExceeded", SLOW, SLOWER),
    (429, "userRateLimitExceeded", SLOW, SLOWER),
    (403, "quotaExceeded", FOR_AN_HOUR, AN_HOUR_LATER),
    (429, "quotaExceeded", FOR_AN_HOUR, AN_HOUR_LATER),
    (403, "dailyLimitExceeded", FOR_AN_HOUR, AN_HOUR_LATER),
    (401, "authError", REFRESH, ENDED),
    (401, "required", REFRESH, ENDED),
    (401, "invalidCredentials", REFRESH, ENDED),
    (403, "insufficientPermissions", SCOPE, NO_SCOPE),
    (403, "forbidden", CHANGE, NOT_HERE),
    (403, "accessNotConfigured", OPERATORS, APP),
    (403, "domainPolicy", CHANGE, "The administrators of this Google account do not allow this app; ask them."),
    (403, "forbiddenForNonOrganizer", CHANGE, "Only the organiser can change this event."),
    (403, "requiredAccessLevel", CHANGE, "This Google account may only look at this calendar."),
    (403, "notACalendarUser", CHANGE, "This Google account does not use Google Calendar."),
    (403, "aReasonOfNextYear", CHANGE, NOT_HERE),
    (400, "timeRangeEmpty", CHANGE, "The end must be after the start."),
    (400, "pushNotSupportedForRequestedResource", CHANGE, "Google does not report changes of this calendar."),
    // Not the token: the address that reports are to go to.
    (401, "push.webhookUrlUnauthorized", OPERATORS, APP),
    (400, "push.webhookUrlUnauthorized", OPERATORS, APP),
    (400, "channelIdNotUnique", CONFLICT, CONTRADICTS),
    (404, "notFound", LOOK, "{name} does not find what was asked for."),
    (409, "duplicate", CONFLICT, CONTRADICTS),
    (409, "conflict", CONFLICT, CONTRADICTS),
    (412, "conditionNotMet", CONFLICT, CONTRADICTS),
    (410, "fullSyncRequired", LOOK, "What was asked for is gone at {name}."),
    (410, "updatedMinTooLongAgo", LOOK, "What was asked for is gone at {name}."),
    (410, "deleted", LOOK, "What was asked for is gone at {name}."),
    (500, "backendError", DOWN, TROUBLE),
    (503, "backendError", DOWN, TROUBLE),
    (400, "backendError", DOWN, TROUBLE),
    (500, "internalError", DOWN, TROUBLE),
    (400, "badRequest", NAMED, NOT_ACCEPTED),
    (400, "invalid", NAMED, NOT_ACCEPTED),
    (400, "invalidArgument", NAMED, NOT_ACCEPTED),
    (400, "required", NAMED, NOT_ACCEPTED),
    (400, "cannotChangeOrganizer", NAMED, NOT_ACCEPTED),
    (400, "cannotChangeOrganizerOfInstance", NAMED, NOT_ACCEPTED),
    (400, "failedPrecondition", CHANGE, NO_MAILBOX),
    (400, "push.webhookUrlNotHttps", NAMED, NOT_ACCEPTED),
];

/// Reasons in the newer place, any of `details[].reason`, and the status beside them.
const NEWER: &[(u16, &str, &str, Then, &str)] = &[
    (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", SLOW, SLOWER),
    (403, "PERMISSION_DENIED", "RATE_LIMIT_EXCEEDED", SLOW, SLOWER),
    (429, "RESOURCE_EXHAUSTED", "RESOURCE_QUOTA_EXCEEDED", SLOW, SLOWER),
    (401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED", REFRESH, ENDED),
    (401, "UNAUTHENTICATED", "CREDENTIALS_MISSING", REFRESH, ENDED),
    (401, "UNAUTHENTICATED", "ACCOUNT_STATE_INVALID", RECONNECT, ENDED),
    (401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED", CHANGE, NOT_HERE),
    (403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", SCOPE, NO_SCOPE),
    (403, "PERMISSION_DENIED", "SERVICE_DISABLED", OPERATORS, APP),
    (403, "PERMISSION_DENIED", "BILLING_DISABLED", OPERATORS, APP),
    (403, "PERMISSION_DENIED", "USER_PROJECT_DENIED", CHANGE, NOT_HERE),
    (403, "PERMISSION_DENIED", "CONSUMER_INVALID", CHANGE, NOT_HERE),
    (403, "PERMISSION_DENIED", "LOCATION_POLICY_VIOLATED", CHANGE, NOT_HERE),
    (403, "PERMISSION_DENIED", "SECURITY_POLICY_VIOLATED", CHANGE, NOT_HERE),
    (500, "INTERNAL", "", DOWN, TROUBLE),
    (503, "UNAVAILABLE", "", DOWN, TROUBLE),
    (504, "DEADLINE_EXCEEDED", "", DOWN, TROUBLE),
];

/// Both places at once: the older, the newer.
const BOTH: &[(u16, &str, &str, Then, &str)] = &[
    (403, "forbidden", "SERVICE_DISABLED", OPERATORS, APP),
    (403, "forbidden", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", SCOPE, NO_SCOPE),
    (403, "insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", SCOPE, NO_SCOPE),
    (429, "rateLimitExceeded", "RATE_LIMIT_EXCEEDED", SLOW, SLOWER),
    (401, "authError", "ACCOUNT_STATE_INVALID", RECONNECT, ENDED),
];

/// Without a reason anywhere.
const BARE: &[(u16, &str, Then, &str)] = &[
    (403, "", CHANGE, NOT_HERE),
    (403, HTML, CHANGE, NOT_HERE),
    (403, r#"{"error":{"code":403,"message":"The caller does not have permission"}}"#, CHANGE, NOT_HERE),
    (401, r#"{"error":{"code":401,"message":"Invalid Credentials","status":"UNAUTHENTICATED"}}"#, REFRESH, ENDED),
    (429, r#"{"error":{"code":429,"message":"Resource exhausted","status":"RESOURCE_EXHAUSTED"}}"#, SLOW, SLOWER),
    // As the token endpoint answers.
    (401, r#"{"error":"invalid_client","error_description":"Unauthorized"}"#, REFRESH, ENDED),
];

/// What Gmail says in words only: the message, the sentence, what follows.
const LIMITED: &[(&str, &str, Then)] = &[
    (
        "User-rate limit exceeded.  Retry after 2026-11-23T10:00:40.506Z",
        "Gmail asked us to slow down. We continue at 10:00 UTC.",
        later(40_506, SLOW),
    ),
    (
        "User-rate limit exceeded.  Retry after 2026-11-23T10:00:02Z (Mail sending)",
        "Gmail asked us to slow down. We continue at 10:00 UTC.",
        waits(2_000, 2_000),
    ),
    (
        "User-rate limit exceeded.  Retry after 2026-11-23T15:30:00.000Z",
        "Gmail asked us to slow down. We continue at 15:30 UTC.",
        later(19_800_000, SLOW),
    ),
    (
        "User-rate limit exceeded.  Retry after 2026-11-23T09:59:00.000Z",
        "Gmail asked us to slow down. We continue at 10:00 UTC.",
        waits(500, 0),
    ),
    ("Too many concurrent requests for user", "Gmail asked us to slow down. We continue at 10:01 UTC.", SLOW),
    ("User-rate limit exceeded.  Retry after lunch", "Gmail asked us to slow down. We continue at 10:01 UTC.", SLOW),
];

fn older(status: u16, reason: &str, message: &str) -> Value {
    let entry = json!({"domain": "global", "reason": reason, "message": message, "locationType": "header"});
    json!({"code": status, "message": message, "errors": [entry]})
}

/// An `ErrorInfo` at `place` of the details, after entries of other kinds.
fn details(reason: &str, place: usize) -> Value {
    let help = json!({"@type": "type.googleapis.com/google.rpc.Help", "links": [{"url": "https://x.example/"}]});
    let info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
        "domain": "googleapis.com", "metadata": {"service": "gmail.googleapis.com"}});
    let mut all = vec![help; place];
    all.push(info);
    all.into()
}

fn row(status: u16, error: &Value, code: &'static str, then: Then, says: &'static str) -> Row {
    Row { status, body: json!({ "error": error }).to_string(), code, says, then, ..Row::default() }
}

fn shared() -> Vec<Row> {
    let mut rows: Vec<_> = OLDER
        .iter()
        .map(|(status, reason, then, says)| {
            row(*status, &older(*status, reason, "403: rateLimitExceeded"), reason, *then, says)
        })
        .collect();
    for place in 0..3 {
        rows.extend(NEWER.iter().map(|(status, name, reason, then, says)| {
            let mut error = json!({"code": status, "message": "503 Service Unavailable", "status": name});
            if !reason.is_empty() {
                error["details"] = details(reason, place);
            }
            row(*status, &error, reason, *then, says)
        }));
        rows.extend(BOTH.iter().map(|(status, old, new, then, says)| {
            let mut error = older(*status, old, "403: rateLimitExceeded");
            error["details"] = details(new, place);
            row(*status, &error, new, *then, says)
        }));
    }
    rows.extend(BARE.iter().map(|(status, body, then, says)| Row {
        status: *status,
        body: (*body).to_owned(),
        says,
        then: *then,
        ..Row::default()
    }));
    rows
}

pub(super) fn calendar() -> Vec<Row> {
    let invitations = older(403, "quotaExceeded", "Calendar usage limits exceeded.");
    let mut rows = shared();
    rows.push(row(403, &invitations, "quotaExceeded", FOR_AN_HOUR, AN_HOUR_LATER));
    rows
}

pub(super) fn gmail() -> Vec<Row> {
    let mut rows = shared();
    for (status, reason) in [(429, "rateLimitExceeded"), (403, "userRateLimitExceeded")] {
        rows.extend(LIMITED.iter().map(|(message, says, then)| {
            let mut error = older(status, reason, message);
            error["status"] = "RESOURCE_EXHAUSTED".into();
            row(status, &error, reason, *then, says)
        }));
    }
    let delegation = older(403, "forbidden", "Delegation denied for ada@example.com");
    let topic = older(403, "forbidden", "User not authorized to perform this action.");
    rows.extend([&delegation, &topic].map(|error| row(403, error, "forbidden", CHANGE, NOT_HERE)));
    let off = older(400, "failedPrecondition", "Mail service not enabled");
    rows.push(row(400, &off, "failedPrecondition", CHANGE, NO_MAILBOX));
    rows
}
