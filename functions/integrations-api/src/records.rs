//! The records of one integration, part by part.

use domain::{IntegrationId, Problem, sync::record};
use lambda_http::{Body, Response, http::StatusCode};
use platform::{
    runtime::http::{Call, internal, json},
    stores::records::{Records, Selection},
};
use providers::Spec;
use serde::Serialize;

/// How many records an answer has unless the caller says otherwise.
const DEFAULT_LIMIT: usize = 100;
/// How many it has at most.
const MAX_LIMIT: usize = 1000;

pub(crate) async fn list(
    records: &Records,
    spec: &Spec,
    integration_id: &IntegrationId,
    call: &Call<'_>,
) -> Result<Response<Body>, Problem> {
    #[derive(Serialize)]
    struct Listing {
        records: Vec<domain::Record>,
        next: Option<String>,
    }
    let page = records.list(integration_id, selection(spec, call)?).await.map_err(|error| internal(&error))?;
    Ok(json(StatusCode::OK, &Listing { records: page.records, next: page.next }))
}

fn selection<'r>(spec: &Spec, call: &Call<'r>) -> Result<Selection<'r>, Problem> {
    let deleted = call.query_flag("include_deleted")?.unwrap_or(false);
    let limit = limit(call)?;
    let (stream, after) = (call.query("stream"), call.query("after"));
    check_stream(&[spec], stream)?;
    let key = record::prefix(stream.unwrap_or_default(), "");
    let follows = |after: &str| {
        after.len() <= record::MAX_KEY && after.contains('#') && (stream.is_none() || after.starts_with(&key))
    };
    // DynamoDB refuses to start outside of what it is asked for.
    if after.is_some_and(|after| !follows(after) || after == key) {
        return Err(Problem::field("after", "It must be what an earlier answer gave as \"next\"."));
    }
    Ok(Selection { stream, after, limit, deleted })
}

/// How many records the caller asks for.
pub(crate) fn limit(call: &Call<'_>) -> Result<usize, Problem> {
    match call.query("limit").map(str::parse) {
        None => Ok(DEFAULT_LIMIT),
        Some(Ok(limit @ 1..=MAX_LIMIT)) => Ok(limit),
        Some(_) => Err(Problem::field("limit", format!("It must be a number from 1 to {MAX_LIMIT}."))),
    }
}

/// Refuses a stream that none of the providers has.
pub(crate) fn check_stream(specs: &[&Spec], stream: Option<&str>) -> Result<(), Problem> {
    let known: Vec<_> = specs.iter().flat_map(|spec| spec.streams.iter()).map(|stream| stream.name).collect();
    if stream.is_none_or(|stream| known.contains(&stream)) {
        return Ok(());
    }
    let names: Vec<_> = specs.iter().map(|spec| spec.name).collect();
    let (names, known) = (names.join(", "), known.join(", "));
    Err(Problem::field("stream", format!("There is no such stream of {names}. Known: {known}.")))
}
