//! The only way to the embedded AWS: it tells the caller by the signature's access key, holds a function to its role, injects faults,
//! counts, and forwards.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use local_base::{
    background, lock,
    web::{self, Web},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
};

use super::{
    Service, authorise,
    clients::DEVELOPER_KEY,
    consumption::{self, Consumption},
    faults::{Call, Effect, Faults},
};
use crate::{AccessKeys, iam::Role, resources::Resources, rights::Ledger};

/// Waited after a failed accept.
const PAUSE: Duration = Duration::from_millis(50);

/// How often each operation was called, by function.
pub type CallCounts = BTreeMap<(String, Service, String), u64>;

/// Kills the environment that signs with this access key.
type Kill = Box<dyn Fn(&str) + Send + Sync>;

/// What calls are authorised by. A caller without a role is not restricted.
#[derive(Debug, Default)]
pub struct Policies {
    /// The resources that calls name.
    pub resources: Resources,
    pub roles: BTreeMap<String, Role>,
}

pub struct Gateway {
    backends: BTreeMap<Service, String>,
    keys: AccessKeys,
    policies: Policies,
    ledger: Option<Ledger>,
    /// The ARN of each KMS key by the id that KMS gave it.
    kms_keys: Mutex<BTreeMap<String, String>>,
    /// Set once the functions exist: they need the gateway's address first.
    kill: OnceLock<Kill>,
    web: Web,
    counts: Mutex<CallCounts>,
    /// None unless it was asked for.
    consumption: OnceLock<Mutex<Consumption>>,
    activity: watch::Sender<u64>,
    pub faults: Faults,
}

/// The connection ends here, without an answer.
#[derive(Debug, thiserror::Error)]
#[error("a fault closed the connection")]
struct Cut;

impl Gateway {
    /// A gateway to these addresses. What functions use of their rights goes into the ledger.
    pub fn new(
        backends: BTreeMap<Service, String>,
        keys: AccessKeys,
        policies: Policies,
        ledger: Option<Ledger>,
    ) -> Arc<Self> {
        Arc::new(Self {
            backends,
            keys,
            policies,
            ledger,
            kms_keys: Mutex::default(),
            kill: OnceLock::new(),
            web: Web::new(),
            counts: Mutex::default(),
            consumption: OnceLock::new(),
            activity: watch::Sender::default(),
            faults: Faults::default(),
        })
    }

    /// Sets how a fault kills the environment that signs with an access key.
    pub fn set_kill(&self, kill: impl Fn(&str) + Send + Sync + 'static) {
        // Set once, when the stack starts.
        let _ = self.kill.set(Box::new(kill));
    }

    /// Sets the ARNs of KMS keys by the ids that KMS gave them.
    pub fn set_keys(&self, keys: BTreeMap<String, String>) {
        lock(&self.kms_keys).extend(keys);
    }

    /// The calls of functions so far.
    pub fn counts(&self) -> CallCounts {
        lock(&self.counts).clone()
    }

    /// What the calls of functions have consumed of DynamoDB since this was first asked.
    pub fn consumption(&self) -> Consumption {
        lock(self.consumption.get_or_init(Mutex::default)).clone()
    }

    /// Changes whenever a call of a function or a poller ends: a caller waits on it for an effect instead of sleeping.
    pub fn activity(&self) -> watch::Receiver<u64> {
        self.activity.subscribe()
    }

    /// Serves on `listener` until the process ends.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Most likely there are no file descriptors left: connections end, and it goes on.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            // Small messages both ways: waiting to fill a packet only delays them.
            let _ = stream.set_nodelay(true);
            background(Arc::clone(&self).connection(stream));
        }
    }

    /// Serves one connection, plain or already decrypted.
    pub async fn connection(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + Send) {
        let service = service_fn(|request: Request<Incoming>| {
            let looking = signer(request.headers()).is_some_and(|(key, _)| key == DEVELOPER_KEY);
            let gateway = Arc::clone(&self);
            // On its own: AWS carries out what it received, even if the caller has given up meanwhile.
            let answer = background(async move {
                let answer = gateway.answer(request).await;
                if !looking {
                    gateway.activity.send_modify(|count| *count += 1);
                }
                answer
            });
            async move { answer.await.unwrap_or(Err(Cut)) }
        });
        // A lost connection concerns its client alone.
        let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let Some((key, service)) = signer(&parts.headers) else {
            return Ok(refusal("MissingAuthenticationToken", "the request is not signed for a service known here"));
        };
        let operation = operation(&parts.headers);
        let Some(function) = self.keys.owner_of(key) else {
            return self.pass(service, &parts.headers, body).await;
        };
        let counted = (function.clone(), service, operation.to_owned());
        *lock(&self.counts).entry(counted).or_default() += 1;
        if let Some(denial) = self.denial(&function, service, operation, &body) {
            return Ok(denial);
        }
        let call = Call { function: &function, service, operation };
        let Some(consumption) = self.consumption.get().filter(|_| service == Service::Dynamodb) else {
            return self.carry_out(key, call, &parts.headers, body).await;
        };
        let body = consumption::asking(&body);
        let (parts, answer) = self.carry_out(key, call, &parts.headers, body.clone()).await?.into_parts();
        let answer = answer.collect().await.map_err(|_| Cut)?.to_bytes();
        for (table, consumed) in consumption::of(operation, &body, &answer) {
            *lock(consumption).entry((function.clone(), table, operation.to_owned())).or_default() += consumed;
        }
        Ok(Response::from_parts(parts, Full::new(answer)))
    }

    /// Passes a call of the function that signs with `key` on, or does what a fault says.
    async fn carry_out(
        &self,
        key: &str,
        call: Call<'_>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Full<Bytes>>, Cut> {
        let service = call.service;
        match self.faults.strike(call) {
            None => self.pass(service, headers, body).await,
            Some(Effect::Refuse) => Err(Cut),
            Some(Effect::DropReply) => {
                self.pass(service, headers, body).await?;
                Err(Cut)
            }
            Some(Effect::Delay(milliseconds)) => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                self.pass(service, headers, body).await
            }
            Some(Effect::Throttle) => Ok(refusal("ThrottlingException", "a fault says: called too often")),
            Some(Effect::Deny) => Ok(refusal("AccessDeniedException", "a fault says: this is denied")),
            Some(Effect::Conflict) => Ok(conflict(call.operation)),
            Some(Effect::KillBefore) => {
                self.kill(key);
                Err(Cut)
            }
            Some(Effect::KillAfter) => {
                self.pass(service, headers, body).await?;
                self.kill(key);
                Err(Cut)
            }
        }
    }

    async fn pass(&self, service: Service, headers: &HeaderMap, body: Bytes) -> Result<Response<Full<Bytes>>, Cut> {
        let url = self.backends.get(&service).ok_or(Cut)?;
        let mut request = Request::post(url).body(Full::new(body)).map_err(|_| Cut)?;
        for (name, value) in headers {
            if !matches!(*name, header::HOST | header::CONTENT_LENGTH | header::CONNECTION | header::TRANSFER_ENCODING)
            {
                request.headers_mut().append(name, value.clone());
            }
        }
        self.web.send(request).await.map_err(|_: web::WebError| Cut).map(|response| response.map(Full::new))
    }

    fn denial(&self, name: &str, service: Service, operation: &str, body: &[u8]) -> Option<Response<Full<Bytes>>> {
        let role = self.policies.roles.get(name)?;
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let rights = authorise::needed(&self.policies.resources, &lock(&self.kms_keys), service, operation, &body);
        let Some(right) = rights.iter().find(|right| !right.is_granted(&role.statements)) else {
            self.ledger.iter().for_each(|ledger| rights.iter().for_each(|right| ledger.record(&role.name, right)));
            return None;
        };
        let message = format!(
            "{name} is not authorized to perform {} on {}; add it to the function's role in template.yaml",
            right.action, right.resource
        );
        Some(refusal("AccessDeniedException", &message))
    }

    fn kill(&self, access_key: &str) {
        if let Some(kill) = self.kill.get() {
            kill(access_key);
        }
    }
}

/// The access key and service of a signature, version 4: `… Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`.
fn signer(headers: &HeaderMap) -> Option<(&str, Service)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let mut scope = value.split_once("Credential=")?.1.split([',', '/']);
    Some((scope.next()?, Service::of(scope.nth(2)?)?))
}

fn operation(headers: &HeaderMap) -> &str {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

/// DynamoDB's error when two transactions meet at one item; the embedded DynamoDB never returns it.
fn conflict(operation: &str) -> Response<Full<Bytes>> {
    let message = "a fault says: another transaction is at this item";
    match operation {
        "TransactWriteItems" => {
            let code = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
            let reasons = json!([{ "Code": "TransactionConflict" }, { "Code": "None" }]);
            respond(&json!({ "__type": code, "Message": message, "CancellationReasons": reasons }))
        }
        _ => refusal("com.amazonaws.dynamodb.v20120810#TransactionConflictException", message),
    }
}

fn refusal(code: &str, message: &str) -> Response<Full<Bytes>> {
    respond(&json!({ "__type": code, "message": message }))
}

/// An error in AWS's form, with status 400.
fn respond(body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}
