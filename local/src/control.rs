//! The controls of a running stack, over HTTP on a port of their own: fire, kill, break, look.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    aws::{Gateway, faults::Fault, sqs::Sqs},
    lambda::Function,
    schedule::Timer,
};

/// What can be controlled.
#[derive(Clone)]
pub struct Control {
    /// The functions.
    pub functions: Vec<Arc<Function>>,
    /// The schedules.
    pub timers: Vec<Timer>,
    /// The way to AWS.
    pub gateway: Arc<Gateway>,
    /// The embedded queues; none with an AWS of the user's own.
    pub sqs: Option<Sqs>,
}

#[derive(Deserialize)]
struct Advance {
    advance_seconds: u64,
}

impl Control {
    /// Serves on `listener` until the process ends.
    pub async fn serve(self, listener: TcpListener) {
        let router = Router::new()
            .route("/schedules/{name}/fire", post(fire))
            .route("/functions/{name}/kill", post(kill))
            .route("/2015-03-31/functions/{name}/invocations", post(invoke))
            .route("/faults", get(faults).put(arm))
            .route("/queues", get(queues))
            .route("/clock", post(advance))
            .with_state(self);
        // Ends only with an error of the listener; the stack itself goes on.
        let _ = axum::serve(listener, router).await;
    }

    fn function(&self, name: &str) -> Option<&Arc<Function>> {
        self.functions.iter().find(|function| named(&function.spec().name, name))
    }
}

async fn fire(State(control): State<Control>, Path(name): Path<String>) -> Response {
    match control.timers.iter().find(|timer| named(&timer.schedule.name, &name)) {
        Some(timer) => outcome(timer.fire().await),
        None => {
            let names = control.timers.iter().map(|timer| timer.schedule.name.as_str());
            unknown("schedule", &name, names)
        }
    }
}

async fn invoke(State(control): State<Control>, Path(name): Path<String>, payload: Bytes) -> Response {
    match control.function(&name) {
        Some(function) => {
            let answer = function.invoke(payload).await;
            outcome(answer.map(|answer| String::from_utf8_lossy(&answer).into_owned()))
        }
        None => unknown("function", &name, control.functions.iter().map(|function| function.spec().name.as_str())),
    }
}

async fn kill(State(control): State<Control>, Path(name): Path<String>) -> Response {
    match control.function(&name) {
        Some(function) => Json(json!({ "killed": function.kill_one() })).into_response(),
        None => unknown("function", &name, control.functions.iter().map(|function| function.spec().name.as_str())),
    }
}

async fn faults(State(control): State<Control>) -> Response {
    Json(control.gateway.faults.armed()).into_response()
}

async fn arm(State(control): State<Control>, body: Bytes) -> Response {
    match serde_json::from_slice::<Vec<Fault>>(&body) {
        Ok(faults) => {
            control.gateway.faults.arm(faults);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("not a list of faults: {error}\n")).into_response(),
    }
}

async fn queues(State(control): State<Control>) -> Response {
    let depths = control.sqs.iter().flat_map(Sqs::depths).map(|depth| {
        json!({ "name": depth.name, "visible": depth.visible, "in_flight": depth.in_flight, "delayed": depth.delayed })
    });
    Json(depths.collect::<Vec<Value>>()).into_response()
}

async fn advance(State(control): State<Control>, body: Bytes) -> Response {
    let advance = serde_json::from_slice::<Advance>(&body);
    match (control.sqs, advance) {
        (_, Err(error)) => {
            (StatusCode::BAD_REQUEST, format!("not {{\"advance_seconds\":N}}: {error}\n")).into_response()
        }
        (Some(sqs), Ok(advance)) => {
            sqs.advance(std::time::Duration::from_secs(advance.advance_seconds));
            StatusCode::NO_CONTENT.into_response()
        }
        (None, Ok(_)) => {
            (StatusCode::CONFLICT, "only the embedded queues have a clock that can be moved\n").into_response()
        }
    }
}

fn named(full: &str, name: &str) -> bool {
    full == name || full.strip_suffix(name).is_some_and(|prefix| prefix.ends_with('-'))
}

fn outcome(answer: Result<String, crate::lambda::InvokeError>) -> Response {
    match answer {
        Ok(answer) => answer.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error}\n")).into_response(),
    }
}

fn unknown<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> Response {
    let known = known.collect::<Vec<_>>().join(", ");
    (StatusCode::NOT_FOUND, format!("there is no {what} {name:?}; there are: {known}\n")).into_response()
}
