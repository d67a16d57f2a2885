//! The records of one integration, part by part.

use domain::{Problem, error::Kind, record};
use lambda_http::{Body, Request, RequestExt as _, Response, http::StatusCode};
use platform::{
    http::json,
    records::{Records, Selection},
};
use serde::Serialize;

use crate::internal;

/// How many records an answer has unless the caller says otherwise, and at most.
const LIMIT: (usize, usize) = (100, 1000);

pub(crate) async fn list(
    records: &Records,
    integration_id: &str,
    request: &Request,
) -> Result<Response<Body>, Problem> {
    #[derive(Serialize)]
    struct Listing {
        records: Vec<domain::Record>,
        next: Option<String>,
    }
    let parameter = |name| request.query_string_parameters_ref().and_then(|query| query.first(name));
    let limit = match parameter("limit").map(str::parse) {
        None => LIMIT.0,
        Some(Ok(limit @ 1..=1000)) => limit,
        Some(_) => {
            let message = format!("The limit must be a number from 1 to {}.", LIMIT.1);
            return Err(Problem::new(Kind::InvalidRequest, message, "Change the parameter \"limit\"."));
        }
    };
    let stream = parameter("stream");
    let after = parameter("after");
    let within = |after: &str| {
        let key = record::key(stream.unwrap_or_default(), "");
        after.len() <= record::MAX_KEY && after.contains('#') && (stream.is_none() || after.starts_with(&key))
    };
    if stream.is_some_and(|stream| stream.len() >= record::MAX_KEY) || after.is_some_and(|after| !within(after)) {
        let message = "The parameters \"stream\" and \"after\" do not fit together.";
        return Err(Problem::new(Kind::InvalidRequest, message, "Use \"after\" as an answer's \"next\" gave it."));
    }
    let selection = Selection { stream, after, limit, deleted: parameter("include_deleted") == Some("true") };
    let page = records.list(integration_id, selection).await.map_err(|error| internal(&error))?;
    Ok(json(StatusCode::OK, &Listing { records: page.records, next: page.next }))
}
