//! Why a function can't start.

/// The environment lacks what every Lambda has.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A variable of the Lambda runtime is missing.
    #[error("{0} is not set; AWS Lambda sets it, and so does `cargo local`")]
    Missing(&'static str),
    /// The file of `AWS_CA_BUNDLE` can't be read.
    #[error("the file of AWS_CA_BUNDLE can't be read")]
    Bundle(#[from] std::io::Error),
    /// The roots can't be used.
    #[error("the TLS roots can't be used")]
    Roots(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Providers are listed that no function has.
    #[error(transparent)]
    UnknownProviders(#[from] domain::UnknownProviders),
    /// Rates are set for limits that no provider has.
    #[error("RateLimits sets {0}, which is no provider's limit; docs/call.md lists them")]
    UnknownLimit(String),
}
