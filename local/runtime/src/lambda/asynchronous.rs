//! Asynchronous invocations: what Lambda does with an event when the sender does not wait for an answer.
//!
//! *Invariant:* an event that its function fails on is tried as often as Lambda tries it, after Lambda's waits; then a record of it goes to
//! the failure destination, under the function's own rights.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html> and
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>, read in November 2026.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use local_aws::sqs::Clock;
use local_base::{background, now};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Function, InvokeError};

/// Before the second attempt, and before the third.
const WAITS: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];

/// What schedules invoke: the alias that template.yaml gives every function.
const ALIAS: &str = "live";

/// A function as asynchronous senders see it.
pub struct Asynchronous {
    /// Invoked by its alias on AWS; here there is one version of it.
    pub function: Arc<Function>,
    /// How often a failed event is tried again, at most twice.
    pub retries: usize,
    /// Where an event goes that failed to the end.
    pub destination: Option<Destination>,
    /// The waits pass by this clock.
    pub clock: Clock,
}

/// The queue of a failure destination.
pub struct Destination {
    /// A queue of the same stack: the function's role must allow `sqs:SendMessage` on it.
    pub url: String,
    /// Signs with a key of the function.
    pub sqs: aws_sdk_sqs::Client,
}

impl Asynchronous {
    /// Invokes the function once it is free and returns the outcome of the first attempt. After a failure the further attempts
    /// follow in the background.
    pub async fn invoke(self: &Arc<Self>, payload: Bytes) -> Result<Bytes, InvokeError> {
        let outcome = self.attempt(&payload).await;
        match &outcome {
            Ok(_) | Err(InvokeError::Stopped { .. }) => {}
            Err(error) => drop(background(Arc::clone(self).go_on(payload, response(error)))),
        }
        outcome
    }

    async fn go_on(self: Arc<Self>, payload: Bytes, mut failure: Value) {
        for wait in WAITS.into_iter().take(self.retries) {
            self.clock.until(self.clock.now() + wait).await;
            match self.attempt(&payload).await {
                Ok(_) | Err(InvokeError::Stopped { .. }) => return,
                Err(error) => failure = response(&error),
            }
        }
        if let Some(destination) = &self.destination {
            let record = self.record(&payload, &failure).to_string();
            let call = destination.sqs.send_message().queue_url(&destination.url).message_body(record);
            // Lambda counts a record that can't be sent, and does nothing else.
            let _ = call.send().await;
        }
    }

    /// One attempt. Lambda keeps an event that is throttled, for up to six hours, and counts no attempt.
    async fn attempt(&self, payload: &Bytes) -> Result<Bytes, InvokeError> {
        loop {
            match self.function.invoke_when_free(payload.clone()).await {
                Err(InvokeError::Throttled { .. }) => self.function.resumed().await,
                outcome => return outcome,
            }
        }
    }

    fn record(&self, payload: &[u8], response: &Value) -> Value {
        json!({
            "version": "1.0",
            "timestamp": format!("{:.3}", now()),
            "requestContext": {
                "requestId": Uuid::new_v4().to_string(),
                "functionArn": format!("{}:{ALIAS}", self.function.arn()),
                "condition": "RetriesExhausted",
                "approximateInvokeCount": self.retries + 1,
            },
            "requestPayload": serde_json::from_slice::<Value>(payload).unwrap_or_default(),
            "responseContext": { "statusCode": 200, "executedVersion": "1", "functionError": "Unhandled" },
            "responsePayload": response,
        })
    }
}

/// What Lambda answers for a failed invocation.
fn response(error: &InvokeError) -> Value {
    match error {
        InvokeError::FunctionError { error_type, message } | InvokeError::InitError { error_type, message } => {
            json!({ "errorType": error_type, "errorMessage": message })
        }
        InvokeError::Timeout { .. }
        | InvokeError::Exited { .. }
        | InvokeError::Throttled { .. }
        | InvokeError::ResponseTooLarge { .. }
        | InvokeError::MissingBinary { .. }
        | InvokeError::Start { .. }
        | InvokeError::Stopped { .. } => json!({ "errorMessage": error.to_string() }),
    }
}
