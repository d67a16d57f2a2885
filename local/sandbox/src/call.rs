//! Requests and answers of an emulator.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::form::Form;

/// A request, read to its end.
pub(super) struct Call {
    pub(super) method: Method,
    /// As sent, without the query.
    pub(super) path: String,
    pub(super) query: Form,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// A page after which another follows.
    pub(super) more: bool,
}

impl Call {
    /// Reads a request. An error is the connection's.
    pub(super) async fn read(request: Request<Incoming>) -> Result<Self, hyper::Error> {
        let (parts, body) = request.into_parts();
        Ok(Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: Form::parse(parts.uri.query().unwrap_or_default().as_bytes()),
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// `GET /api/users.list`: what faults and limits match.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path's parts, percent-decoded.
    pub(super) fn segments(&self) -> Vec<String> {
        let parts = self.path.split('/').filter(|part| !part.is_empty());
        parts.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The token of `Authorization: Bearer`.
    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// User and password of `Authorization: Basic`.
    pub(super) fn basic(&self) -> Option<(String, String)> {
        let (scheme, encoded) = self.header("authorization")?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    /// The body, if it is declared to be a form.
    pub(super) fn form(&self) -> Option<Form> {
        self.is("application/x-www-form-urlencoded").then(|| Form::parse(&self.body))
    }

    /// The body, if it is declared to be JSON and is.
    pub(super) fn json(&self) -> Option<Value> {
        self.is("application/json").then(|| serde_json::from_slice(&self.body).ok())?
    }

    fn is(&self, media_type: &str) -> bool {
        let declared = self.header("content-type").unwrap_or_default();
        declared.split(';').next().is_some_and(|declared| declared.trim().eq_ignore_ascii_case(media_type))
    }
}

impl Reply {
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self::typed(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(super) fn text(status: StatusCode, body: &str) -> Self {
        Self::typed(status, "text/plain; charset=utf-8", body.to_owned())
    }

    pub(super) fn html(status: StatusCode, body: String) -> Self {
        Self::typed(status, "text/html; charset=utf-8", body)
    }

    /// Nothing but a status.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), more: false }
    }

    /// Sends a browser elsewhere.
    pub(super) fn redirect(url: &str) -> Self {
        Self::empty(StatusCode::FOUND).with("location", url)
    }

    /// With a header; one that can't be sent is left out.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Sets whether another page follows.
    pub(super) fn more(mut self, more: bool) -> Self {
        self.more = more;
        self
    }

    fn typed(status: StatusCode, content_type: &'static str, body: String) -> Self {
        let mut reply = Self { body: body.into(), ..Self::empty(status) };
        reply.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        reply
    }
}

impl From<Reply> for Response<Full<Bytes>> {
    fn from(reply: Reply) -> Self {
        let mut response = Self::new(Full::new(reply.body));
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers;
        response
    }
}
