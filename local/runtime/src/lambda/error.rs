//! How an invocation can fail, in Lambda's own terms where Lambda has them.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

/// Why an invocation brought no response. The function's log file tells more.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The function reported an error for this event.
    #[error("{error_type}: {message}")]
    FunctionError {
        /// `errorType` as the function named it.
        error_type: String,
        /// `errorMessage` as the function put it.
        message: String,
    },
    /// The function's timeout passed. Its environment was killed.
    #[error("Task timed out after {:.2} seconds", after.as_secs_f64())]
    Timeout {
        /// The limit that passed.
        after: Duration,
    },
    /// The bootstrap ended before it answered (`Runtime.ExitError`).
    #[error("Runtime exited with error: {status}")]
    Exited { status: ExitStatus },
    /// The bootstrap failed to start twice: it reported so, or ended before it asked for an event.
    #[error("{error_type}: {message}; see the function's log for what it did at start")]
    InitError {
        /// `errorType` as reported, or `Runtime.ExitError`.
        error_type: String,
        /// `errorMessage` as reported, or how the process ended.
        message: String,
    },
    /// Every environment the function may have is at work; AWS answers 429.
    #[error("Rate Exceeded: all environments of {function} are at work; try again, or raise its concurrency")]
    Throttled { function: String },
    /// The response is larger than Lambda passes on.
    #[error("Response payload size ({bytes} bytes) exceeded maximum allowed payload size ({limit} bytes).")]
    ResponseTooLarge { bytes: usize, limit: usize },
    #[error("function {function} has no bootstrap at {}; build it: {build}", path.display())]
    MissingBinary {
        function: String,
        path: PathBuf,
        /// The command that puts it there.
        build: String,
    },
    /// The operating system refused something an environment needs.
    #[error("can't start an environment of {function}: can't {task}: {source}; {remedy}")]
    Start {
        function: String,
        /// What was refused.
        task: String,
        source: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// [`shutdown`](super::Function::shutdown) was called.
    #[error("function {function} is shut down; start the stack again")]
    Stopped { function: String },
}
