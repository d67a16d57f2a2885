//! A failed call, as an error that shows what the SDK says and never a body.

use std::{error::Error, fmt, sync::Arc};

/// A call that failed: the service's code and message, and the SDK's error.
#[derive(Clone)]
pub struct Call {
    pub(super) action: &'static str,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) error: Option<Arc<dyn Error + Send + Sync>>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, &self.message, &self.error) {
            (Some(code), Some(message), _) => write!(f, "{code}: {message}"),
            (Some(code), None, _) => f.write_str(code),
            // The SDK's own text of a transport failure says nothing; its sources do.
            (None, _, Some(error)) => f.write_str(&chain(&**error)),
            (None, ..) => f.write_str("no reason was given"),
        }
    }
}

/// The SDK's `Debug` would show an answer's body.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({}: {self})", self.action)
    }
}

impl Call {
    /// Whether the service answered with this error code.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl Error for Call {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.as_deref().map(|error| error as &(dyn Error + 'static))
    }
}

/// The messages of an error and its sources.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
