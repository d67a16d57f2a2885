//! What the embedded SQS answers when it refuses: the error names of AWS, and what to do about it.
//!
//! *Invariant:* each error carries both of its names (shape and query code), because SDKs read the second.

use std::fmt::Display;

use axum::http::StatusCode;
use serde_json::{Value, json};
use thiserror::Error;

/// Why a request, or one entry of a batch, was refused.
#[derive(Debug, Error)]
pub(super) enum Fault {
    #[error("The batch holds the entry id {0} twice. Give each entry an id of its own.")]
    BatchEntryIdsNotDistinct(String),
    #[error("Batch requests cannot be longer than {limit} bytes. You have sent {sent} bytes. Send smaller batches.")]
    BatchRequestTooLong { limit: usize, sent: usize },
    #[error("There should be at least one entry in the batch. Don't send empty batches.")]
    EmptyBatchRequest,
    #[error("Unknown Attribute {0}. Check its spelling; read-only attributes can't be set.")]
    InvalidAttributeName(String),
    #[error("Invalid value for the parameter {name}: {value}. Give {expected}.")]
    InvalidAttributeValue { name: String, value: String, expected: String },
    #[error(
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores, at most 80. Change it."
    )]
    InvalidBatchEntryId,
    #[error(
        "Invalid characters found. Send only #x9, #xA, #xD, #x20 to #xD7FF, #xE000 to #xFFFD and #x10000 to #x10FFFF."
    )]
    InvalidMessageContents,
    #[error("{0}")]
    InvalidParameterValue(String),
    #[error("The message is not in flight: its visibility timeout is over. Receive it again.")]
    MessageNotInflight,
    #[error("The request must contain the parameter {0}. Add it.")]
    MissingParameter(&'static str),
    #[error("Only one PurgeQueue operation on {0} is allowed every 60 seconds. Wait, or receive and delete.")]
    PurgeQueueInProgress(String),
    #[error("The specified queue does not exist: {0:?}. Create it, or correct the queue URL or name.")]
    QueueDoesNotExist(String),
    #[error(
        "A queue already exists with the same name and a different value for attribute {0}. Use SetQueueAttributes."
    )]
    QueueNameExists(String),
    #[error("The input receipt handle \"{0}\" is not a valid receipt handle. Use the one that came with the message.")]
    ReceiptHandleIsInvalid(String),
    #[error("The resource that you specified for the {0} parameter doesn't exist. Correct the ARN.")]
    ResourceNotFound(&'static str),
    #[error("The request can't be read: {0}. Send AWS JSON 1.0 with parameters that the embedded SQS has.")]
    Serialization(#[from] serde_json::Error),
    #[error("Maximum number of entries per request are 10. You have sent {0}. Send several batches.")]
    TooManyEntriesInBatchRequest(usize),
    #[error("The embedded SQS has no action {0:?}. Send X-Amz-Target: AmazonSQS.<Action> with one that it has.")]
    UnknownOperation(String),
    #[error("The embedded SQS does not support {0}. Use a standard queue without it, or a queue on AWS.")]
    UnsupportedOperation(&'static str),
}

impl Fault {
    /// A parameter's value that is refused, in the words of AWS.
    pub(super) fn parameter(name: &str, value: impl Display, reason: impl Display) -> Self {
        Self::InvalidParameterValue(format!("Value {value} for parameter {name} is invalid. Reason: {reason}"))
    }

    /// The error as an entry of a batch's answer carries it.
    pub(super) fn entry(&self, id: &str) -> Value {
        json!({"Id": id, "SenderFault": true, "Code": self.code(), "Message": self.to_string()})
    }

    pub(super) fn body(&self) -> Value {
        let shape = match self.code() {
            "AWS.SimpleQueueService.NonExistentQueue" => "QueueDoesNotExist",
            "InvalidParameterValue" => "InvalidParameterValueException",
            "MissingParameter" => "MissingRequiredParameterException",
            "QueueAlreadyExists" => "QueueNameExists",
            code => code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code),
        };
        json!({"__type": format!("com.amazonaws.sqs#{shape}"), "message": self.to_string()})
    }

    pub(super) fn status(&self) -> StatusCode {
        match self.code() {
            "AWS.SimpleQueueService.PurgeQueueInProgress" => StatusCode::FORBIDDEN,
            "ReceiptHandleIsInvalid" | "ResourceNotFoundException" | "UnknownOperationException" => {
                StatusCode::NOT_FOUND
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The name in the older query protocol, which SDKs still go by.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::BatchEntryIdsNotDistinct(_) => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            Self::BatchRequestTooLong { .. } => "AWS.SimpleQueueService.BatchRequestTooLong",
            Self::EmptyBatchRequest => "AWS.SimpleQueueService.EmptyBatchRequest",
            Self::InvalidAttributeName(_) => "InvalidAttributeName",
            Self::InvalidAttributeValue { .. } => "InvalidAttributeValue",
            Self::InvalidBatchEntryId => "AWS.SimpleQueueService.InvalidBatchEntryId",
            Self::InvalidMessageContents => "InvalidMessageContents",
            Self::InvalidParameterValue(_) => "InvalidParameterValue",
            Self::MessageNotInflight => "AWS.SimpleQueueService.MessageNotInflight",
            Self::MissingParameter(_) => "MissingParameter",
            Self::PurgeQueueInProgress(_) => "AWS.SimpleQueueService.PurgeQueueInProgress",
            Self::QueueDoesNotExist(_) => "AWS.SimpleQueueService.NonExistentQueue",
            Self::QueueNameExists(_) => "QueueAlreadyExists",
            Self::ReceiptHandleIsInvalid(_) => "ReceiptHandleIsInvalid",
            Self::ResourceNotFound(_) => "ResourceNotFoundException",
            Self::Serialization(_) => "SerializationException",
            Self::TooManyEntriesInBatchRequest(_) => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            Self::UnknownOperation(_) => "UnknownOperationException",
            Self::UnsupportedOperation(_) => "AWS.SimpleQueueService.UnsupportedOperation",
        }
    }
}
