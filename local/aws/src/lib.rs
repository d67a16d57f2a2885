//! The embedded AWS: DynamoDB, SQS, KMS, Secrets Manager and an EventBridge bus over real sockets, behind one gateway.
//!
//! The SDKs' ordinary clients talk to it; the SDKs' own `AWS_ENDPOINT_URL_*` lead them to it.

mod access_keys;
pub mod authorise;
pub mod clients;
pub mod consumption;
mod embedded;
pub mod events;
pub mod faults;
pub mod gateway;
pub mod iam;
pub mod provision;
pub mod resources;
pub mod rights;
pub mod sqs;

pub use access_keys::AccessKeys;
pub use clients::Clients;
pub use embedded::{Embedded, EmbeddedError};
pub use gateway::Gateway;

/// The region of every resource.
pub const REGION: &str = "us-east-1";
/// The account of every resource.
pub const ACCOUNT: &str = "000000000000";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    Dynamodb,
    Sqs,
    Kms,
    Secretsmanager,
    Events,
}

impl Service {
    pub const ALL: [Self; 5] = [Self::Dynamodb, Self::Sqs, Self::Kms, Self::Secretsmanager, Self::Events];

    /// The name in IAM actions and in a signature's credential scope.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dynamodb => "dynamodb",
            Self::Sqs => "sqs",
            Self::Kms => "kms",
            Self::Secretsmanager => "secretsmanager",
            Self::Events => "events",
        }
    }

    /// The variable with which the SDKs are told where the service is.
    pub const fn endpoint_variable(self) -> &'static str {
        match self {
            Self::Dynamodb => "AWS_ENDPOINT_URL_DYNAMODB",
            Self::Sqs => "AWS_ENDPOINT_URL_SQS",
            Self::Kms => "AWS_ENDPOINT_URL_KMS",
            Self::Secretsmanager => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            Self::Events => "AWS_ENDPOINT_URL_EVENTBRIDGE",
        }
    }

    /// The operations that an SDK calls on data: what a fault can name.
    pub const fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Dynamodb => &[
                "BatchGetItem",
                "BatchWriteItem",
                "DeleteItem",
                "GetItem",
                "PutItem",
                "Query",
                "Scan",
                "TransactGetItems",
                "TransactWriteItems",
                "UpdateItem",
            ],
            Self::Sqs => &[
                "ChangeMessageVisibility",
                "ChangeMessageVisibilityBatch",
                "DeleteMessage",
                "DeleteMessageBatch",
                "GetQueueAttributes",
                "GetQueueUrl",
                "ReceiveMessage",
                "SendMessage",
                "SendMessageBatch",
            ],
            Self::Kms => &["Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncrypt"],
            Self::Secretsmanager => &["DescribeSecret", "GetSecretValue", "PutSecretValue"],
            Self::Events => &["PutEvents"],
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }
}
