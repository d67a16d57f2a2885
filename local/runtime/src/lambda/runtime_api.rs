//! The Lambda Runtime API of one execution environment, version 2018-06-01.
//!
//! *Invariant:* an event is handed out once, and an answer counts only for the event being worked on;
//! anything else gets the error Lambda gives, so that a late or doubled answer can't reach a caller.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use local_base::now;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::InvokeError;

/// Lambda's limit of a response in bytes: 6 MB and a little.
const RESPONSE_LIMIT: usize = 6 * 1024 * 1024 + 100;

pub(super) type Answer = Result<Bytes, InvokeError>;

/// The body of both error calls.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorReport {
    pub(super) error_type: String,
    #[serde(default)]
    pub(super) error_message: String,
}

pub(super) struct RuntimeApi {
    function_arn: String,
    desk: watch::Sender<Desk>,
}

/// The event between the caller and the bootstrap.
struct Desk {
    bootstrap: Bootstrap,
    /// From when it is offered until it is answered.
    event: Option<Event>,
}

/// The state of the bootstrap, by its calls.
enum Bootstrap {
    /// It has not asked for an event yet.
    Starting,
    /// It reported that it can't start.
    Broken(ErrorReport),
    /// It asked for an event.
    Waiting,
    /// It was handed the event.
    Working,
    /// It answered, and has not asked for the next event yet.
    Answered,
}

struct Event {
    id: String,
    payload: Bytes,
    deadline_ms: i64,
    answer: oneshot::Sender<Answer>,
}

impl RuntimeApi {
    pub(super) fn new(function_arn: String) -> Arc<Self> {
        let desk = Desk { bootstrap: Bootstrap::Starting, event: None };
        Arc::new(Self { function_arn, desk: watch::Sender::new(desk) })
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            // Read whole and measured then: a body cut short would look like a broken connection.
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }

    /// Waits until the bootstrap waits for an event; fails if it reports that it can't start.
    pub(super) async fn ready(&self) -> Result<(), ErrorReport> {
        let mut desk = self.desk.subscribe();
        let settled = |desk: &Desk| matches!(desk.bootstrap, Bootstrap::Waiting | Bootstrap::Broken(_));
        // Never an error: the sender is ours.
        if let Ok(desk) = desk.wait_for(settled).await
            && let Bootstrap::Broken(report) = &desk.bootstrap
        {
            return Err(report.clone());
        }
        Ok(())
    }

    /// Offers an event that must be answered by `deadline_ms` (Unix time). `None` if the one before
    /// is not answered yet.
    pub(super) fn offer(&self, payload: Bytes, deadline_ms: i64) -> Option<oneshot::Receiver<Answer>> {
        let (answer, answered) = oneshot::channel();
        let event = Event { id: Uuid::new_v4().to_string(), payload, deadline_ms, answer };
        let free = self.desk.send_if_modified(|desk| {
            let free = desk.event.is_none();
            desk.event.get_or_insert(event);
            free
        });
        free.then_some(answered)
    }

    /// Whether the bootstrap has not come for the event on offer.
    pub(super) fn unfetched(&self) -> bool {
        let desk = self.desk.borrow();
        desk.event.is_some() && !matches!(desk.bootstrap, Bootstrap::Working)
    }

    /// Waits for an event and hands it out. `None` if the bootstrap may not ask now.
    async fn hand_out(&self) -> Option<Response> {
        let mut desks = self.desk.subscribe();
        let may_ask = self.desk.send_if_modified(|desk| {
            let may_ask = match desk.bootstrap {
                Bootstrap::Starting | Bootstrap::Waiting | Bootstrap::Answered => true,
                Bootstrap::Broken(_) | Bootstrap::Working => false,
            };
            if may_ask {
                desk.bootstrap = Bootstrap::Waiting;
            }
            may_ask
        });
        if !may_ask {
            return None;
        }
        desks.wait_for(|desk| desk.event.is_some()).await.ok()?;
        let mut handed_out = None;
        self.desk.send_if_modified(|desk| {
            handed_out = match (&desk.bootstrap, &desk.event) {
                (Bootstrap::Waiting, Some(event)) => Some(self.response_for(event)),
                (_, Some(_) | None) => None, // another connection was faster
            };
            if handed_out.is_some() {
                desk.bootstrap = Bootstrap::Working;
            }
            handed_out.is_some()
        });
        handed_out
    }

    fn response_for(&self, event: &Event) -> Response {
        let trace = Uuid::new_v4().simple().to_string();
        let parent = Uuid::new_v4().simple().to_string();
        let trace = format!("Root=1-{:08x}-{};Parent={};Sampled=0", now().as_second(), &trace[..24], &parent[..16]);
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", event.id.clone()),
            ("lambda-runtime-deadline-ms", event.deadline_ms.to_string()),
            ("lambda-runtime-invoked-function-arn", self.function_arn.clone()),
            ("lambda-runtime-trace-id", trace),
        ];
        (headers, event.payload.clone()).into_response()
    }

    /// Passes `answer` to the caller that waits for the event `id`. False if it is not worked on.
    fn answer(&self, id: &str, answer: Answer) -> bool {
        let mut answered = None;
        self.desk.send_if_modified(|desk| {
            answered = desk.event.take_if(|event| event.id == id); // ids are known once handed out
            if answered.is_some() {
                desk.bootstrap = Bootstrap::Answered;
            }
            answered.is_some()
        });
        let known = answered.is_some();
        if let Some(event) = answered {
            drop(event.answer.send(answer)); // the caller may have stopped waiting
        }
        known
    }
}

async fn next(State(api): State<Arc<RuntimeApi>>) -> Response {
    let wrong_moment = || fault(StatusCode::FORBIDDEN, "InvalidStateTransition", "Transition is not allowed");
    api.hand_out().await.unwrap_or_else(wrong_moment)
}

async fn response(State(api): State<Arc<RuntimeApi>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() <= RESPONSE_LIMIT {
        return accepted_if(api.answer(&id, Ok(body)));
    }
    let too_large = InvokeError::ResponseTooLarge { bytes: body.len(), limit: RESPONSE_LIMIT };
    let message = format!("Exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes).");
    if api.answer(&id, Err(too_large)) {
        fault(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
    } else {
        accepted_if(false)
    }
}

async fn error(
    State(api): State<Arc<RuntimeApi>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let ErrorReport { error_type, error_message: message } = report(&headers, &body);
    accepted_if(api.answer(&id, Err(InvokeError::FunctionError { error_type, message })))
}

async fn init_error(State(api): State<Arc<RuntimeApi>>, headers: HeaderMap, body: Bytes) -> Response {
    let starting = api.desk.send_if_modified(|desk| {
        let starting = matches!(desk.bootstrap, Bootstrap::Starting);
        if starting {
            desk.bootstrap = Bootstrap::Broken(report(&headers, &body));
        }
        starting
    });
    if starting {
        accepted_if(true)
    } else {
        fault(StatusCode::FORBIDDEN, "InvalidStateTransition", "Transition is not allowed")
    }
}

/// The report in `body`; the error's type may also stand in a header, the message be plain text.
fn report(headers: &HeaderMap, body: &Bytes) -> ErrorReport {
    serde_json::from_slice(body).unwrap_or_else(|_| ErrorReport {
        error_type: headers
            .get("lambda-runtime-function-error-type")
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or("Unhandled")
            .to_owned(),
        error_message: String::from_utf8_lossy(body).into_owned(),
    })
}

fn accepted_if(known: bool) -> Response {
    if known {
        let accepted = json!({ "status": "OK" }).to_string();
        (StatusCode::ACCEPTED, [(CONTENT_TYPE, "application/json")], accepted).into_response()
    } else {
        fault(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
    }
}

fn fault(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = json!({ "errorType": kind, "errorMessage": message }).to_string();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
