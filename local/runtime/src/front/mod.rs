//! The HTTP API: what API Gateway does between a client and a function, with payload format 2.0.

mod answer;
mod cors;
mod event;
mod requests;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Method, Request, StatusCode},
    response::Response,
};
use matchit::Router as Paths;
use tokio::{net::TcpListener, time::timeout};

pub use self::requests::{Counted, Requests};
use crate::{
    lambda::{Function, InvokeError},
    template::{Cors, Template},
};

/// API Gateway's limit on an integration: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>.
const LIMIT: Duration = Duration::from_secs(30);
/// API Gateway's limit on a request's body, in bytes: 10 MB, same page.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// Lambda's limit on an event, in bytes: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>, read 2026-11.
/// A body that is not text counts as Base64.
const MAX_EVENT: usize = 6 * 1024 * 1024;

pub struct Front {
    paths: Paths<BTreeMap<String, Target>>,
    default: Option<Arc<Function>>,
    cors: Option<Cors>,
    api: event::Api,
    requests: Arc<Requests>,
}

#[derive(Clone)]
struct Target {
    /// `POST /webhooks/{provider}`.
    route: String,
    function: Arc<Function>,
}

#[derive(Debug, thiserror::Error)]
#[error("template.yaml: the route {route:?} can't be served: {reason}")]
pub struct RouteError {
    route: String,
    reason: String,
}

impl Front {
    /// The HTTP API of a template. `functions` are those of the template, in its order.
    pub fn new(
        template: &Template,
        functions: &[Arc<Function>],
        domain: String,
        account: String,
    ) -> Result<Self, RouteError> {
        let mut routes: BTreeMap<String, BTreeMap<String, Target>> = BTreeMap::new();
        let mut default = None;
        for (declared, function) in template.functions.iter().zip(functions) {
            for route in &declared.routes {
                if route.path == "$default" {
                    default = Some(Arc::clone(function));
                    continue;
                }
                let name = format!("{} {}", route.method, route.path);
                let target = Target { route: name, function: Arc::clone(function) };
                // matchit writes the greedy `{proxy+}` as `{*proxy}`.
                let path = match route.path.strip_suffix("+}").and_then(|path| path.rsplit_once('{')) {
                    Some((before, last)) => format!("{before}{{*{last}}}"),
                    None => route.path.clone(),
                };
                routes.entry(path).or_default().insert(route.method.clone(), target);
            }
        }
        let mut paths = Paths::new();
        for (path, methods) in routes {
            let refused = |error: matchit::InsertError| RouteError { route: path.clone(), reason: error.to_string() };
            paths.insert(path.clone(), methods).map_err(refused)?;
        }
        Ok(Self {
            paths,
            default,
            cors: template.cors.clone(),
            api: event::Api { domain, account },
            requests: Arc::default(),
        })
    }

    /// What it counts of its requests.
    pub fn requests(&self) -> Arc<Requests> {
        Arc::clone(&self.requests)
    }

    /// Serves on `listener` until the process ends.
    pub async fn serve(self, listener: TcpListener) {
        let router = Router::new().fallback(handle).with_state(Arc::new(self));
        // Ends only with an error of the listener, which ends the stack's usefulness but nothing else.
        let _ = axum::serve(listener, router).await;
    }

    fn target(&self, method: &Method, path: &str) -> Option<(Target, Vec<(String, String)>)> {
        if let Ok(found) = self.paths.at(path)
            && let Some(target) = found.value.get(method.as_str()).or_else(|| found.value.get("ANY"))
        {
            let parameters = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            return Some((target.clone(), parameters));
        }
        let function = Arc::clone(self.default.as_ref()?);
        Some((Target { route: "$default".to_owned(), function }, Vec::new()))
    }
}

async fn handle(State(front): State<Arc<Front>>, request: Request<Body>) -> Response {
    let origin = request.headers().get("origin").cloned();
    let (preflight, began) = (request.method() == Method::OPTIONS, Instant::now());
    // `ANY` and `$default` take preflights too, CORS or not.
    let mut response = front.answer(request).await;
    front.requests.count(response.status(), began.elapsed());
    if let (Some(cors), Some(origin)) = (&front.cors, origin) {
        cors::allow(cors, &origin, preflight, response.headers_mut());
    }
    response
}

impl Front {
    async fn answer(&self, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
            return answer::platform(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        };
        let path = event::decode(parts.uri.path());
        let Some((target, parameters)) = self.target(&parts.method, &path) else {
            return answer::platform(StatusCode::NOT_FOUND, "Not Found");
        };
        let event = event::payload(&parts, &path, &body, &target.route, parameters, &self.api);
        if event.len() > MAX_EVENT {
            return answer::platform(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        match timeout(LIMIT, target.function.invoke(event.into())).await {
            Ok(Ok(payload)) => answer::from_payload(&payload),
            Ok(Err(InvokeError::Throttled { .. })) | Err(_) => {
                answer::platform(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
            Ok(Err(_)) => answer::platform(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        }
    }
}
