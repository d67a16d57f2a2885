//! Why a stack does not start.

use std::path::PathBuf;

use local_aws::{EmbeddedError, provision::ProvisionError, rights::LedgerError};

use crate::{bootstraps::BuildError, front::RouteError, schedule::ScheduleError, template::TemplateError};

/// Why a stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A port is taken.
    #[error("port {port} can't be used: {source}; stop what uses it, or choose another with --port N (0 = any)")]
    Port {
        /// Which.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The record of used rights.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The embedded AWS.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// A resource.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// A route.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A function's role lacks what Lambda itself needs for it.
    #[error("template.yaml: the role of {function} lacks {action} on {queue}, which {purpose} needs")]
    Lacking {
        /// Whose role.
        function: String,
        /// The right.
        action: &'static str,
        /// On what.
        queue: String,
        /// For what, such as `its event-source mapping`.
        purpose: &'static str,
    },
    /// A secret could not be stored or read.
    #[error("a secret: {0}")]
    Secret(String),
    /// A bootstrap.
    #[error(transparent)]
    Bootstrap(#[from] BuildError),
}
