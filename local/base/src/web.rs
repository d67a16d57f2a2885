//! The HTTP client of `cargo local`: plain HTTP, and whole answers.

use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

/// A client over plain HTTP.
#[derive(Debug, Clone)]
pub struct Web(Client<HttpConnector, Full<Bytes>>);

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The URL or a header is malformed.
    #[error("not a request: {0}")]
    Request(#[from] http::Error),
    /// The connection failed before the answer's head.
    #[error("no answer: {0}")]
    Send(#[from] hyper_util::client::legacy::Error),
    #[error("the answer broke off: {0}")]
    Body(#[from] hyper::Error),
}

impl Default for Web {
    fn default() -> Self {
        Self::new()
    }
}

impl Web {
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(Duration::from_secs(20)).pool_timer(TokioTimer::new());
        Self(builder.build(connector))
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, WebError> {
        let (parts, body) = self.0.request(request).await?.into_parts();
        Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
    }

    /// Sends a request made of its parts.
    pub async fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response<Bytes>, WebError> {
        let builder = headers
            .iter()
            .fold(Request::builder().method(method).uri(url), |builder, (name, value)| builder.header(*name, *value));
        self.send(builder.body(Full::new(body.into()))?).await
    }
}
