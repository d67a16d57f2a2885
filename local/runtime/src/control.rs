//! The controls of a running stack, over HTTP on a port of their own: fire a schedule, kill an environment, arm faults, read queues and
//! what was used.
//!
//! *Invariant:* parameters, fields and names that the controls do not have are refused by name (422; 404 in a path), so that a
//! misspelt fault does not pass for one that is in force.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use local_aws::{
    Gateway,
    faults::Fault,
    sqs::{QueueDepth, Sqs},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};

use crate::{front::Requests, lambda::Function, mapping::Poller, schedule::Timer, template::Monitoring};

#[derive(Clone)]
pub struct Control {
    pub functions: Vec<Arc<Function>>,
    pub timers: Vec<Timer>,
    pub pollers: Vec<Poller>,
    pub gateway: Arc<Gateway>,
    /// The embedded queues; none with an AWS that is already running.
    pub sqs: Option<Sqs>,
    /// What the HTTP API counts, and its id if there is one.
    pub requests: Arc<Requests>,
    pub api_id: Option<String>,
    /// The template's alarms and the like.
    pub monitoring: Vec<Monitoring>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

/// A refused call: the status and a line of text.
type Refused = (StatusCode, String);

/// The body of a call that takes none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Control {
    /// Serves on `listener` until the process ends.
    pub async fn serve(self, listener: TcpListener) {
        let router = Router::new()
            .route("/schedules/{name}/fire", post(fire))
            .route("/functions/{name}/kill", post(kill))
            .route("/faults", get(faults).put(arm))
            .route("/queues", get(queues))
            .route("/clock", post(advance))
            .route("/rest", get(rest))
            .route("/usage", get(usage))
            .route("/metrics", get(metrics))
            .route("/monitoring", get(monitoring))
            .layer(middleware::from_fn(without_parameters))
            // The Lambda API has parameters of its own.
            .route("/2015-03-31/functions/{name}/invocations", post(invoke))
            .route("/2017-10-31/functions/{name}/concurrency", put(stop).delete(resume))
            .route("/2019-09-30/functions/{name}/concurrency", get(concurrency))
            .with_state(self);
        // Ends only with an error of the listener; the stack itself goes on.
        let _ = axum::serve(listener, router).await;
    }

    fn stopped(&self, name: &str, stopped: bool, done: Response) -> Response {
        match self.function(name) {
            Some(function) => {
                function.stop(stopped);
                done
            }
            None => unknown("function", name, self.functions.iter().map(|function| function.spec().name.as_str())),
        }
    }

    fn function(&self, name: &str) -> Option<&Arc<Function>> {
        self.functions.iter().find(|function| named(&function.spec().name, name))
    }
}

/// No call of ours has parameters.
async fn without_parameters(request: Request, next: Next) -> Response {
    match request.uri().query() {
        Some(query) if !query.is_empty() => {
            let name = query.split(['=', '&']).next().unwrap_or_default();
            refuse(&format!("there is no parameter {name:?} here")).into_response()
        }
        _ => next.run(request).await,
    }
}

async fn fire(State(control): State<Control>, Path(name): Path<String>, body: Bytes) -> Response {
    if let Err(refused) = read::<Nothing>(&body, "nothing") {
        return refused.into_response();
    }
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

/// The only reserved concurrency that can be set here: what stops a function.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Concurrency {
    reserved_concurrent_executions: u32,
}

async fn stop(State(control): State<Control>, Path(name): Path<String>, body: Bytes) -> Response {
    match read::<Concurrency>(&body, r#"{"ReservedConcurrentExecutions":0}"#) {
        Err(refused) => refused.into_response(),
        Ok(Concurrency { reserved_concurrent_executions: 0 }) => {
            control.stopped(&name, true, Json(json!({ "ReservedConcurrentExecutions": 0 })).into_response())
        }
        Ok(_) => refuse("ReservedConcurrentExecutions is 0 here, which stops the function").into_response(),
    }
}

async fn resume(State(control): State<Control>, Path(name): Path<String>) -> Response {
    control.stopped(&name, false, StatusCode::NO_CONTENT.into_response())
}

async fn concurrency(State(control): State<Control>, Path(name): Path<String>) -> Response {
    match control.function(&name) {
        Some(function) if function.is_stopped() => Json(json!({ "ReservedConcurrentExecutions": 0 })).into_response(),
        Some(_) => Json(json!({})).into_response(),
        None => unknown("function", &name, control.functions.iter().map(|function| function.spec().name.as_str())),
    }
}

async fn kill(State(control): State<Control>, Path(name): Path<String>, body: Bytes) -> Response {
    if let Err(refused) = read::<Nothing>(&body, "nothing") {
        return refused.into_response();
    }
    match control.function(&name) {
        Some(function) => Json(json!({ "killed": function.kill_one() })).into_response(),
        None => unknown("function", &name, control.functions.iter().map(|function| function.spec().name.as_str())),
    }
}

async fn faults(State(control): State<Control>) -> Response {
    Json(control.gateway.faults.armed()).into_response()
}

async fn arm(State(control): State<Control>, body: Bytes) -> Response {
    let faults: Vec<Fault> = match read(&body, "a list of faults") {
        Ok(faults) => faults,
        Err(refused) => return refused.into_response(),
    };
    let names: Vec<_> = control.functions.iter().map(|function| function.spec().name.as_str()).collect();
    if let Some(error) = faults.iter().find_map(|fault| fault.check(&names).err()) {
        return refuse(&error.to_string()).into_response();
    }
    control.gateway.faults.arm(faults);
    StatusCode::NO_CONTENT.into_response()
}

/// How long [`rest`] waits.
const WAIT: Duration = Duration::from_secs(10);
/// How long it waits at most for a call of AWS before it looks again: a poller is done a moment after its last call.
const LOOK: Duration = Duration::from_millis(5);

/// A queue, and how many of its messages a function has.
struct Queue {
    depth: QueueDepth,
    /// None if no function receives from it.
    at_work: Option<u64>,
}

impl Control {
    fn queues(&self) -> Vec<Queue> {
        // Before the queues are asked: a message that is received between the two counts as at work.
        let taken: BTreeMap<_, _> =
            self.pollers.iter().map(|poller| (poller.queue().to_owned(), poller.taken())).collect();
        let depths = self.sqs.iter().flat_map(Sqs::depths);
        let queue = depths.map(|depth| {
            let taken = taken.get(&depth.name);
            let at_work = taken.map(|taken| taken.held + depth.received.saturating_sub(taken.received));
            Queue { depth, at_work }
        });
        queue.collect()
    }
}

impl Queue {
    /// Whether no function has a message of it or is about to get one.
    fn is_at_rest(&self) -> bool {
        self.at_work.is_none_or(|at_work| at_work == 0 && self.depth.visible == 0)
    }

    fn told(&self) -> Value {
        let QueueDepth { name, visible, in_flight, delayed, sent, oldest, .. } = &self.depth;
        json!({
            "name": name, "visible": visible, "in_flight": in_flight, "delayed": delayed, "sent": sent,
            "at_work": self.at_work.unwrap_or_default(), "oldest_seconds": oldest.unwrap_or_default().as_secs(),
        })
    }
}

/// Answers as [`queues`] when no message can be received by a function, and no function has one; or after ten seconds.
async fn rest(State(control): State<Control>) -> Response {
    let (end, mut activity) = (Instant::now() + WAIT, control.gateway.activity());
    loop {
        let queues = control.queues();
        if queues.iter().all(Queue::is_at_rest) || Instant::now() > end {
            return Json(queues.iter().map(Queue::told).collect::<Vec<_>>()).into_response();
        }
        // Whatever ends the wait, it looks again.
        let _ = timeout(LOOK, activity.changed()).await;
    }
}

/// `at_work` are the messages in flight that a poller has, or is just getting. The others are hidden until their visibility timeout
/// ends: those that a function left for later, and those of an environment that ended.
async fn queues(State(control): State<Control>) -> Response {
    Json(control.queues().iter().map(Queue::told).collect::<Vec<_>>()).into_response()
}

/// Calls of AWS, units of DynamoDB since this was first asked for, and time of functions.
async fn usage(State(control): State<Control>) -> Response {
    let calls = control.gateway.counts().into_iter().map(|((function, service, operation), calls)| {
        json!({ "function": function, "service": service, "operation": operation, "calls": calls })
    });
    let units = control.gateway.consumption().into_iter().map(|((function, table, operation), consumed)| {
        json!({
            "function": function, "table": table, "operation": operation, "calls": consumed.calls,
            "read_units": consumed.read, "write_units": consumed.write, "items": consumed.items,
        })
    });
    let functions = control.functions.iter().map(|function| {
        let usage = function.usage();
        let busy_ms = u64::try_from(usage.busy.as_millis()).unwrap_or(u64::MAX);
        json!({ "function": function.spec().name, "invocations": usage.invocations, "busy_ms": busy_ms })
    });
    let [calls, units, functions]: [Vec<Value>; 3] = [calls.collect(), units.collect(), functions.collect()];
    Json(json!({ "calls": calls, "dynamodb": units, "functions": functions })).into_response()
}

async fn metrics(State(control): State<Control>) -> Response {
    Json(control.measured()).into_response()
}

async fn monitoring(State(control): State<Control>) -> Response {
    Json(control.monitoring).into_response()
}

async fn advance(State(control): State<Control>, body: Bytes) -> Response {
    match (control.sqs, read::<Advance>(&body, r#"{"advance_seconds":N}"#)) {
        (_, Err(refused)) => refused.into_response(),
        (Some(sqs), Ok(advance)) => {
            sqs.advance(Duration::from_secs(advance.advance_seconds));
            StatusCode::NO_CONTENT.into_response()
        }
        (None, Ok(_)) => {
            (StatusCode::CONFLICT, "only the embedded queues have a clock that can be moved\n").into_response()
        }
    }
}

/// Reads a body. What can't be read is 400; what is unknown in it, or of another type, is named.
fn read<T: DeserializeOwned>(body: &[u8], expected: &str) -> Result<T, Refused> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        let words = format!("not {expected}: {error}");
        if error.is_data() { refuse(&words) } else { (StatusCode::BAD_REQUEST, format!("{words}\n")) }
    })
}

fn refuse(reason: &str) -> Refused {
    (StatusCode::UNPROCESSABLE_ENTITY, format!("{reason}\n"))
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
