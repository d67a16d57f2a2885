//! The pages for people, from compiled templates that escape what they show.

use askama::Template;
use domain::{
    Problem,
    error::Kind,
    status::{Connection, Status},
};
use lambda_http::{
    Body, Response,
    http::{HeaderValue, StatusCode, header},
};
use platform::http::html;

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage<'a> {
    statuses: &'a [Status],
}

const ASSETS: &[(&str, &str, &str)] = &[("style.css", "text/css; charset=utf-8", include_str!("../assets/style.css"))];

pub(crate) fn status(statuses: &[Status]) -> Result<Response<Body>, Problem> {
    let page = StatusPage { statuses }.render().map_err(|error| {
        tracing::error!(%error, "status page");
        Problem::internal()
    })?;
    Ok(html(StatusCode::OK, page))
}

pub(crate) fn asset(file: &str) -> Result<Response<Body>, Problem> {
    let found = ASSETS.iter().find(|(name, ..)| *name == file);
    let (_, content_type, content) =
        found.ok_or_else(|| Problem::new(Kind::NotFound, "There is no such file.", "Check the address."))?;
    let mut response = Response::new(Body::from(*content));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// The colour of the badge.
fn tone(state: Connection) -> &'static str {
    match state {
        Connection::Connected => "good",
        Connection::ReconnectRequired => "bad",
        Connection::Disconnected | Connection::NeverConnected => "quiet",
    }
}
