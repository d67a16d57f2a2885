//! Why a stack does not start.

use local_aws::{EmbeddedError, provision::ProvisionError, rights::LedgerError};

use super::folder::FolderError;
use crate::{bootstraps::BuildError, front::RouteError, schedule::ScheduleError, template::TemplateError};

#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A port is taken.
    #[error("port {port} can't be used: {source}; stop what uses it, or choose another with --port N (0 = any)")]
    Port { port: u16, source: std::io::Error },
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(
        "no AWS answers at {url}: {reason}; start one there, correct --aws-endpoint, or leave it out: the embedded AWS needs nothing"
    )]
    Endpoint { url: String, reason: String },
    /// The record of used rights.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A function's role lacks what Lambda itself needs for it.
    #[error("template.yaml: the role of {function} lacks {action} on {queue}, which {purpose} needs")]
    Lacking {
        /// The function of the role.
        function: String,
        /// The missing action.
        action: &'static str,
        /// The ARN of the queue.
        queue: String,
        /// For what, such as `its event-source mapping`.
        purpose: &'static str,
    },
    /// A secret could not be stored or read.
    #[error("a secret: {0}")]
    Secret(String),
    #[error(transparent)]
    Bootstrap(#[from] BuildError),
}
