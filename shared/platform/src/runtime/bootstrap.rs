//! How a bootstrap starts, serves events and ends.
//!
//! *Invariant:* every error that reaches Lambda has a name as its `errorType`: the error's type, [`PANIC`] or [`INVALID_EVENT`].
//! Lambda shows it in the invocation's response and in the log, and alarms and filters match on it.

use std::{any::type_name, error::Error, panic::AssertUnwindSafe, pin::Pin, process::ExitCode};

use ::http::Method;
use futures_util::FutureExt as _;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use lambda_runtime_api_client::{PooledClient, body::Body, build_request};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::base::environment::ambient;

/// The `errorType` of an invocation after its handler panicked. The panic's own words are in the log alone.
pub const PANIC: &str = "Panic";
/// The `errorType` of an event that has not the shape of the function's trigger.
pub const INVALID_EVENT: &str = "InvalidEvent";

/// Why a function can't start, or can't go on: the name of an error's type and what it says.
#[derive(Debug)]
pub struct StartError {
    name: &'static str,
    message: String,
}

/// Any error of a known type, so that `main` uses `?` and keeps the type's name.
impl<E: Error> From<E> for StartError {
    fn from(error: E) -> Self {
        Self { name: name::<E>(), message: chain(&error) }
    }
}

impl StartError {
    /// An error that has no type of its own.
    pub fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, message: message.into() }
    }
}

/// Runs a function from its start to the end of its environment: the body of each `main`, after
/// [`telemetry::init`](crate::base::telemetry::init).
///
/// A failed start is reported to Lambda as an init error, with its name, and is one line of the log.
pub async fn run(function: impl Future<Output = Result<(), StartError>>) -> ExitCode {
    let Err(StartError { name, message }) = function.await else { return ExitCode::SUCCESS };
    tracing::error!(error_type = name, error = message, "the function ends");
    // Without a Runtime API there is nothing to report to. Lambda ignores the report of a function that had started.
    if ambient("AWS_LAMBDA_RUNTIME_API").is_some() {
        let report = Diagnostic { error_type: name.to_owned(), error_message: message };
        if let Err(error) = report_start(&report).await {
            tracing::warn!(error, "the report of the failed start did not reach Lambda");
        }
    }
    ExitCode::FAILURE
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror>, read 2026-11.
async fn report_start(report: &Diagnostic) -> Result<(), Box<dyn Error + Send + Sync>> {
    let request = build_request()
        .method(Method::POST)
        .uri("/2018-06-01/runtime/init/error")
        .header("lambda-runtime-function-error-type", &report.error_type)
        .body(Body::from(serde_json::to_vec(report)?))?;
    PooledClient::builder().build().call(request).await?;
    Ok(())
}

/// Handles events with `handle` until the environment ends.
pub async fn serve<A, R, E, F>(handle: impl Fn(LambdaEvent<A>) -> F) -> Result<(), StartError>
where
    A: FromEvent,
    R: Serialize,
    E: Error,
    F: Future<Output = Result<R, E>>,
{
    let handle = &handle;
    let one = |event: LambdaEvent<Event<A>>| async move {
        let (Event(payload), context) = event.into_parts();
        let payload = payload.map_err(|message| failed(INVALID_EVENT, message))?;
        // Without its own type, which nests as deep as the function's calls do: the compiler gives up on such types.
        let handled: Pin<Box<dyn Future<Output = Result<R, E>> + '_>> =
            Box::pin(async { handle(LambdaEvent::new(payload, context)).await });
        match AssertUnwindSafe(handled).catch_unwind().await {
            Ok(answer) => answer.map_err(|error| failed(name::<E>(), chain(&error))),
            Err(_) => Err(failed(PANIC, "the handler panicked; the log says where".to_owned())),
        }
    };
    let ended = lambda_runtime::run(service_fn(one)).await;
    ended.map_err(|error| StartError::new("RuntimeError", error.to_string()))
}

/// What a function is started by.
pub trait FromEvent: Sized {
    /// Reads an event from its JSON, or says why it can't be read, without quoting it.
    fn from_event(text: &str) -> Result<Self, String>;
}

impl<A: for<'de> Deserialize<'de>> FromEvent for A {
    fn from_event(text: &str) -> Result<Self, String> {
        // The parser's own words could quote the event.
        let place = |error: serde_json::Error| format!("line {}, column {}", error.line(), error.column());
        serde_json::from_str(text).map_err(|error| format!("the event can't be read at {}", place(error)))
    }
}

/// An event that may be of another shape: the runtime's own answer to that names a private type of the runtime.
struct Event<A>(Result<A, String>);

impl<'de, A: FromEvent> Deserialize<'de> for Event<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(A::from_event(<&RawValue>::deserialize(deserializer)?.get())))
    }
}

fn failed(name: &str, message: String) -> Diagnostic {
    Diagnostic { error_type: name.to_owned(), error_message: message }
}

/// The last part of a type's path, without generic arguments: `ConfigError`.
fn name<E>() -> &'static str {
    let path = type_name::<E>().split('<').next().unwrap_or_default();
    path.rsplit("::").next().unwrap_or(path)
}

/// What an error says, and what its causes say beyond that.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the queue is gone")]
    struct Generic<T: std::fmt::Debug + 'static>(#[source] T)
    where
        T: Error;

    #[test]
    fn an_error_is_called_by_its_type_and_says_its_causes_once() {
        let error = StartError::from(Generic(std::io::Error::other("no route")));
        assert_eq!((error.name, error.message.as_str()), ("Generic", "the queue is gone: no route"));
        let error =
            StartError::from(crate::base::config::load(|env| env.text("A_VARIABLE_THAT_IS_NOT_SET")).unwrap_err());
        assert_eq!(error.name, "ConfigError");
        assert!(error.message.contains("A_VARIABLE_THAT_IS_NOT_SET"), "{}", error.message);
    }

    #[test]
    fn an_event_of_another_shape_is_reported_by_place_and_never_quoted() {
        let read = |text: &str| serde_json::from_str::<Event<Vec<u8>>>(text).unwrap().0;
        assert_eq!(read(" [1, 2] "), Ok(vec![1, 2]));
        assert_eq!(read(r#"["secret"]"#), Err("the event can't be read at line 1, column 9".to_owned()));
    }
}
