//! Errors of the APIs.

use http::StatusCode;
use serde_json::json;

use crate::call::Reply;

/// An error as Google's APIs write it.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, reason: "notFound", message: "Not Found".to_owned() }
    }

    pub(super) fn bad(reason: &'static str, message: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason, message: message.to_owned() }
    }
}

impl From<Refusal> for Reply {
    /// <https://cloud.google.com/apis/design/errors>, with the older `errors` that Calendar and Gmail still send.
    fn from(refusal: Refusal) -> Self {
        let code = refusal.status.as_u16();
        let status = match code {
            400 if refusal.reason == "failedPrecondition" => "FAILED_PRECONDITION",
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ALREADY_EXISTS",
            429 => "RESOURCE_EXHAUSTED",
            _ => "FAILED_PRECONDITION",
        };
        let domain = match refusal.reason {
            "rateLimitExceeded" => "usageLimits",
            "fullSyncRequired" => "calendar",
            _ => "global",
        };
        let errors = json!([{ "domain": domain, "reason": refusal.reason, "message": refusal.message }]);
        let error = json!({ "code": code, "message": refusal.message, "errors": errors, "status": status });
        let reply = Self::json(refusal.status, &json!({ "error": error }));
        let unauthenticated = "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"";
        if code == 401 { reply.with("www-authenticate", unauthenticated) } else { reply }
    }
}
