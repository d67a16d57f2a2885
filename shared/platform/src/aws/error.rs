//! What can go wrong between a function and AWS, by what follows from it.
//!
//! *Invariant:* the SDK's own error stays reachable by [`std::error::Error::source`]; no text of an error holds a request's or an
//! answer's body, in `Debug` either.

mod call;
mod meaning;

use std::{error::Error, sync::Arc};

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use domain::{Diagnosis, Reason, id::NotAnId, secret::NotASecret};

pub use self::call::Call;
use self::meaning::meaning;

/// A call to AWS failed, or what it brought can't be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AwsError {
    /// No answer in time, or an error of the service itself. It is transient.
    #[error("{}: the service is not available", .0.action)]
    Unavailable(#[source] Call),
    /// The service throttles. It is transient.
    #[error("{}: the service throttles", .0.action)]
    Throttled(#[source] Call),
    /// Another transaction holds the same item. It is transient.
    #[error("{}: another transaction holds the item", .0.action)]
    Conflict(#[source] Call),
    /// The role, or the policy of a resource, does not allow it. An operator repairs it.
    #[error("{}: access is denied", .0.action)]
    Denied(#[source] Call),
    /// The resource is missing, disabled or being deleted. An operator repairs it.
    #[error("{}: the resource is missing or can't be used", .0.action)]
    Misconfigured(#[source] Call),
    /// The secret can't be used as it is stored. An operator repairs it.
    #[error("the secret {name:?}: {source}")]
    Secret {
        /// Its name, without the prefix of the stack.
        name: String,
        /// What is wrong with it.
        source: UnusableSecret,
    },
    /// KMS can't decrypt the data key. Where it has decrypted another one of this stack within the hour, the stored data
    /// key is damaged; else the operator's configuration is wrong: another prefix, a table restored from elsewhere.
    #[error("{}: the wrapped data key is none of this stack's key", .call.action)]
    DataKey {
        /// The failed `kms:Decrypt`.
        #[source]
        call: Call,
        /// Whether another data key of this stack was opened within the hour.
        others_open: bool,
    },
    /// KMS opened the data key, and the ciphertext's own tag does not fit: it was altered, or moved from where it was sealed.
    #[error("a ciphertext was altered, or does not belong where it is stored")]
    Altered,
    /// A stored item lacks an attribute, or has one of a wrong form.
    #[error("a stored item has no usable attribute {0:?}")]
    Malformed(String),
    /// The service refuses the call as wrong: a fault of this program.
    #[error("{}: the service refuses the call", .0.action)]
    Refused(#[source] Call),
    /// A value can't be written down for the call: a fault of this program.
    #[error("{what} can't be written")]
    Unwritable {
        /// Which value.
        what: &'static str,
        /// The error of the serializer or of the request's builder.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The answer is not what the service documents.
    #[error("{action}: {lack}")]
    Answer {
        /// The IAM action of the call.
        action: &'static str,
        /// What the answer lacks.
        lack: &'static str,
    },
}

/// Why a secret can't be used. No variant quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusableSecret {
    /// It is not JSON of the documented form. The parser's words could quote it, so only the position is told.
    #[error("it is not of the documented form (line {line}, column {column})")]
    Form {
        /// The line at which the parser stopped.
        line: usize,
        /// The column in it.
        column: usize,
    },
    /// A value of it can't be what it stands for.
    #[error("\"{field}\" {source}")]
    Value {
        /// The field of the JSON.
        field: &'static str,
        /// What is wrong with its value.
        source: NotASecret,
    },
    /// A value of it is no identifier of its kind.
    #[error("\"{field}\" is {source}")]
    Id {
        /// The field of the JSON.
        field: &'static str,
        /// The kind, and its form.
        source: NotAnId,
    },
    /// A key of it can't be used.
    #[error("\"{field}\" is not Base64 of at least {least} bytes")]
    Key {
        /// The field of the JSON.
        field: &'static str,
        /// The size that a key must have.
        least: usize,
    },
}

impl AwsError {
    /// What a failed call means. `action` is the IAM action.
    pub(crate) fn new<E>(action: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let meta = error.meta();
        let (code, message) = (meta.code().map(str::to_owned), meta.message().map(str::to_owned));
        let status = error.raw_response().map(|response| response.status().as_u16());
        let of = if let SdkError::ConstructionFailure(_) = &error {
            Self::Refused
        } else if error.as_service_error().is_some() {
            meaning(code.as_deref().unwrap_or_default(), message.as_deref().unwrap_or_default(), status)
        } else {
            // No answer in time, no connection, or an answer that can't be read.
            Self::Unavailable
        };
        of(Call { action, code, message, error: Some(Arc::new(error)) })
    }

    /// What the error code of one entry of a batch means.
    pub(crate) fn entry(action: &'static str, code: &str) -> Self {
        let of = meaning(code, "", None);
        of(Call { action, code: Some(code.to_owned()), message: None, error: None })
    }

    /// An [`AwsError::Unwritable`].
    pub fn unwritable(what: &'static str, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Unwritable { what, source: Arc::new(source) }
    }

    /// The reason for operators. An error that is transient is tried again.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Unavailable(_) | Self::Answer { .. } => Reason::Unavailable,
            Self::Throttled(_) => Reason::Throttled,
            Self::Conflict(_) => Reason::Conflict,
            Self::Denied(_) => Reason::Denied,
            Self::Misconfigured(_) | Self::Secret { .. } | Self::DataKey { others_open: false, .. } => {
                Reason::Misconfigured
            }
            Self::DataKey { others_open: true, .. } | Self::Altered | Self::Malformed(_) => Reason::Corrupt,
            Self::Refused(_) | Self::Unwritable { .. } => Reason::Bug,
        }
    }

    /// The reason and a sentence for operators, with the service's own message.
    pub fn diagnosis(&self) -> Diagnosis {
        let said = match self {
            Self::Unavailable(call)
            | Self::Throttled(call)
            | Self::Conflict(call)
            | Self::Denied(call)
            | Self::Misconfigured(call)
            | Self::Refused(call)
            | Self::DataKey { call, .. } => format!(": {call}"),
            Self::Unwritable { source, .. } => format!(": {source}"),
            Self::Secret { .. } | Self::Altered | Self::Malformed(_) | Self::Answer { .. } => String::new(),
        };
        Diagnosis::new(self.reason(), format!("{self}{said}"))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::{config::http::HttpResponse, error::ErrorMetadata, operation::get_item::GetItemError};

    use super::*;

    fn refused(code: &str, message: &str, status: u16) -> AwsError {
        let meta = ErrorMetadata::builder().code(code).message(message).build();
        let response = HttpResponse::new(status.try_into().unwrap(), "a body".into());
        AwsError::new("dynamodb:GetItem", SdkError::service_error(GetItemError::generic(meta), response))
    }

    #[test]
    fn the_sdks_own_error_is_reachable_by_its_type() {
        let error = refused("AccessDeniedException", "no", 400);
        let mut source = error.source();
        let mut found = false;
        while let Some(error) = source {
            found |= error.downcast_ref::<SdkError<GetItemError, HttpResponse>>().is_some();
            source = error.source();
        }
        assert!(found, "{error:?}");
        assert!(!format!("{error:?}").contains("a body"), "{error:?}");
        assert_eq!(
            error.diagnosis(),
            Diagnosis::new(Reason::Denied, "dynamodb:GetItem: access is denied: AccessDeniedException: no")
        );
    }

    #[test]
    fn what_passes_what_an_operator_repairs_and_what_is_hopeless_are_told_apart() {
        for (code, message, status, reason) in [
            ("InternalServerError", "", 500, Reason::Unavailable),
            ("SomethingNew", "", 503, Reason::Unavailable),
            ("ThrottlingException", "", 400, Reason::Throttled),
            ("RequestThrottledException", "", 400, Reason::Throttled),
            ("SlowDown", "", 400, Reason::Throttled),
            ("RequestTimeout", "", 400, Reason::Unavailable),
            ("RequestTimeoutException", "", 400, Reason::Unavailable),
            ("RequestExpired", "", 400, Reason::Unavailable),
            ("RequestTimeTooSkewed", "", 403, Reason::Unavailable),
            ("", "", 408, Reason::Unavailable),
            ("ProvisionedThroughputExceededException", "", 400, Reason::Throttled),
            ("TransactionCanceledException", "[None, TransactionConflict]", 400, Reason::Conflict),
            ("TransactionCanceledException", "[None, ThrottlingError]", 400, Reason::Throttled),
            ("TransactionCanceledException", "[ValidationError]", 400, Reason::Bug),
            ("AccessDeniedException", "", 400, Reason::Denied),
            ("SomethingNew", "", 403, Reason::Denied),
            ("ResourceNotFoundException", "", 400, Reason::Misconfigured),
            ("DisabledException", "", 400, Reason::Misconfigured),
            ("ValidationException", "", 400, Reason::Bug),
            ("SomethingNew", "", 400, Reason::Bug),
        ] {
            assert_eq!(refused(code, message, status).reason(), reason, "{code} {message} {status}");
        }
        let late = SdkError::<GetItemError, HttpResponse>::timeout_error("late");
        assert_eq!(AwsError::new("dynamodb:GetItem", late).reason(), Reason::Unavailable);
        assert_eq!(AwsError::Altered.reason(), Reason::Corrupt);
        assert_eq!(AwsError::entry("sqs:SendMessageBatch", "InternalError").reason(), Reason::Unavailable);
    }
}
