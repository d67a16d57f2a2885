//! The table of AWS's error codes.

use super::{AwsError, Call};

/// What an error code of a service means, by the services' documentation of common and own errors (read 2026-11):
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>,
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>,
/// <https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html>. An unknown one is read by its HTTP status.
pub(super) fn meaning(code: &str, message: &str, status: Option<u16>) -> fn(Call) -> AwsError {
    match code {
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "LimitExceededException"
        | "KmsThrottled"
        | "KMS.ThrottlingException" => AwsError::Throttled,
        "AccessDeniedException"
        | "AccessDenied"
        | "NotAuthorized"
        | "NotAuthorizedForSourceException"
        | "NotAuthorizedForDetailTypeException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "OptInRequired"
        | "KmsAccessDenied"
        | "KMS.AccessDeniedException" => AwsError::Denied,
        "ResourceNotFoundException"
        | "NotFoundException"
        | "QueueDoesNotExist"
        | "AWS.SimpleQueueService.NonExistentQueue"
        | "DisabledException"
        | "KMSInvalidStateException"
        | "InvalidKeyUsageException"
        | "IncorrectKeyException"
        | "InvalidArnException"
        | "DecryptionFailure"
        | "InvalidRequestException"
        | "InvalidCiphertextException"
        | "KmsDisabled"
        | "KmsInvalidState"
        | "KmsNotFound"
        | "KMS.DisabledException"
        | "KMS.NotFoundException" => AwsError::Misconfigured,
        "TransactionConflictException" | "TransactionInProgressException" | "ConditionalCheckFailedException" => {
            AwsError::Conflict
        }
        // Its reasons, one for each item, stand in the message.
        "TransactionCanceledException" if message.contains("ValidationError") => AwsError::Refused,
        "TransactionCanceledException" if message.contains("Throttling") || message.contains("Throughput") => {
            AwsError::Throttled
        }
        "TransactionCanceledException" => AwsError::Conflict,
        // Also what the SDK calls transient, and a request that a frozen sandbox sent too late.
        "RequestTimeout"
        | "RequestTimeoutException"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "InternalFailure"
        | "InternalException"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "KMSInternalException"
        | "KeyUnavailableException"
        | "DependencyTimeoutException"
        | "InternalServiceError" => AwsError::Unavailable,
        _ => match status {
            Some(429) => AwsError::Throttled,
            Some(408) => AwsError::Unavailable,
            Some(401 | 403) => AwsError::Denied,
            Some(400..=499) => AwsError::Refused,
            // An entry of a batch has no status of its own.
            Some(_) | None => AwsError::Unavailable,
        },
    }
}
