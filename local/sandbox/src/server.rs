//! Serves an emulator over HTTP: faults and limits first, then its API; the controls under `/_admin`.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use local_base::lock;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

use super::{
    admin::{AdminState, Between, Change, Effect},
    call::{Call, Reply},
    chance::Chance,
    controls::{Refused, SHARED, check},
    deliver::Outbox,
    emulator::{Emulator, Outcome, refusal},
};

/// Waited after a failed accept.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether deliveries are held.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Hold {
    hold: bool,
}

/// Which deliveries are lost.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Lose {
    #[serde(default)]
    chance: Option<Chance>,
}

/// The connection ends here, without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox closed the connection")]
struct Cut;

struct Server {
    emulator: Mutex<Box<dyn Emulator>>,
    state: Mutex<AdminState>,
    outbox: Outbox,
}

/// Serves `emulator` on `listener` until dropped, connections included.
pub(super) async fn serve(listener: TcpListener, emulator: Box<dyn Emulator>, outbox: Outbox) {
    let server = Arc::new(Server { emulator: Mutex::new(emulator), state: Mutex::default(), outbox });
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        // Small messages both ways: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let server = Arc::clone(&server);
        connections.spawn(async move {
            let service = service_fn(|request| Arc::clone(&server).take(request));
            // A lost connection concerns its client alone.
            let _ =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Server {
    async fn take(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
        let call = Call::read(request).await.map_err(|_| Cut)?;
        if call.path.starts_with("/_admin") {
            return Ok(self.control(&call).await.into());
        }
        let number = lock(&self.state).called(&call);
        let mut reply = self.answer(&call).await?;
        lock(&self.emulator).finish(&mut reply);
        lock(&self.state).answered(number, reply.status);
        Ok(reply.into())
    }

    async fn answer(&self, call: &Call) -> Result<Reply, Cut> {
        let name = call.name();
        let effect = lock(&self.state).strike(&name).unwrap_or_default();
        let Effect { hang_ms, after, .. } = effect;
        if let Some(hang) = hang_ms.filter(|_| !after) {
            sleep(Duration::from_millis(hang)).await;
        }
        if effect.replaces() && !after {
            return effect.reply().ok_or(Cut);
        }
        let wait = lock(&self.state).too_many(&name, Instant::now());
        let reply = match wait {
            Some(wait) => lock(&self.emulator).limited(call, wait),
            None => lock(&self.emulator).answer(call),
        };
        let change = if reply.more { lock(&self.state).after_page(&name) } else { None };
        if let Some(change) = change {
            self.change(&change);
        }
        if let Some(hang) = hang_ms.filter(|_| after) {
            sleep(Duration::from_millis(hang)).await;
        }
        if effect.replaces() { effect.reply().ok_or(Cut) } else { Ok(reply) }
    }

    /// Makes a change that was ordered for between two pages.
    fn change(&self, change: &Change) {
        let (method, path, body) = change.parts();
        if let Some(Outcome::Send(delivery)) = lock(&self.emulator).administer(&method, &path, &body) {
            self.outbox.send(delivery);
        }
    }

    async fn control(&self, call: &Call) -> Reply {
        if let Some((name, _)) = call.query.pairs().next() {
            return refusal(StatusCode::UNPROCESSABLE_ENTITY, &format!("there is no parameter {name:?} here"));
        }
        let body = if call.body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&call.body) };
        let body: Value = match body {
            Ok(Value::Null) => json!({}),
            Ok(body) => body,
            Err(error) => return refusal(StatusCode::BAD_REQUEST, &format!("not JSON: {error}")),
        };
        let segments = call.segments();
        let path: Vec<_> = segments.iter().skip(1).map(String::as_str).collect();
        if let Some(reply) = self.shared(&call.method, &path, &body) {
            return reply;
        }
        if let Err((status, words)) = self.check(&call.method, &path, &body) {
            return refusal(status, &words);
        }
        let outcome = lock(&self.emulator).administer(&call.method, &path, &body);
        match outcome {
            Some(Outcome::Done(reply)) => reply,
            Some(Outcome::Send(delivery)) => Reply::json(StatusCode::OK, &self.outbox.send_now(&delivery).await),
            None => refusal(StatusCode::NOT_FOUND, &format!("there is no {}", call.name())),
        }
    }

    fn check(&self, method: &Method, path: &[&str], body: &Value) -> Result<(), Refused> {
        check(lock(&self.emulator).controls().iter().copied().flatten(), method, path, body)
    }

    /// Answers a call of the controls that every emulator has.
    fn shared(&self, method: &Method, path: &[&str], body: &Value) -> Option<Reply> {
        SHARED.iter().find(|control| control.is(method, path))?;
        let mut state = lock(&self.state);
        let state = &mut *state;
        match (method.as_str(), path) {
            ("POST", ["faults"]) => return Some(add(&mut state.faults, body)),
            ("POST", ["limit"]) => return Some(add(&mut state.limits, body)),
            ("POST", ["between_pages"]) => {
                let refused = serde_json::from_value::<Between>(body.clone()).ok().and_then(|between| {
                    let (method, path, body) = between.then.parts();
                    let (_, words) = self.check(&method, &path, &body).err()?;
                    // The path is a field here.
                    Some(refusal(StatusCode::UNPROCESSABLE_ENTITY, &words))
                });
                return Some(refused.unwrap_or_else(|| add(&mut state.between, body)));
            }
            ("POST", ["deliveries", "hold"]) => {
                return Some(match serde_json::from_value::<Hold>(body.clone()) {
                    Ok(Hold { hold }) => {
                        self.outbox.hold(hold);
                        Reply::empty(StatusCode::NO_CONTENT)
                    }
                    Err(error) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
                });
            }
            ("POST", ["deliveries", "lose"]) => {
                return Some(match serde_json::from_value::<Lose>(body.clone()) {
                    Ok(Lose { chance }) => {
                        self.outbox.lose(chance);
                        Reply::empty(StatusCode::NO_CONTENT)
                    }
                    Err(error) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
                });
            }
            ("GET", ["deliveries", "under_way"]) => {
                return Some(Reply::json(StatusCode::OK, &json!({ "under_way": self.outbox.under_way() })));
            }
            ("POST", ["deliveries", "take"]) => return Some(Reply::json(StatusCode::OK, &self.outbox.take())),
            ("DELETE", ["faults"]) => state.faults.clear(),
            ("DELETE", ["limit"]) => state.limits.clear(),
            ("DELETE", ["between_pages"]) => state.between.clear(),
            ("DELETE", ["calls"]) => state.forget(),
            ("DELETE", ["deliveries"]) => self.outbox.forget(),
            ("GET", ["faults"]) => return Some(Reply::json(StatusCode::OK, &state.struck())),
            ("GET", ["calls"]) => return Some(Reply::json(StatusCode::OK, &state.calls())),
            ("GET", ["deliveries"]) => return Some(Reply::json(StatusCode::OK, &self.outbox.sent())),
            _ => return None,
        }
        Some(Reply::empty(StatusCode::NO_CONTENT))
    }
}

fn add<T: DeserializeOwned>(list: &mut Vec<T>, body: &Value) -> Reply {
    match serde_json::from_value(body.clone()) {
        Ok(item) => {
            list.push(item);
            Reply::empty(StatusCode::NO_CONTENT)
        }
        Err(error) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    }
}
