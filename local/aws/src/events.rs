//! The embedded `EventBridge`: each event of its buses becomes a line of a file.
//!
//! It answers the protocol of the SDKs (AWS JSON 1.1) for the actions that the project uses. There are no rules: a line of the file
//! is the envelope that a rule's target would get.
//! *Invariant:* an event is in the file before its sender hears that it was accepted.
//!
//! Why not `rustack-events-core` (0.12.0): it reads an entry's `Time` as text, and the SDKs send a number, so that it refuses each of
//! our calls. It also delivers in the background after it has answered, takes entries without `Source` or `DetailType`, and has no
//! limit on a request's size.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, Write as _},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

use self::entry::{Entry, Origin};
use super::sqs::Clock;

mod entry;

const DEFAULT_BUS: &str = "default";
const MAX_ENTRIES: usize = 10;
/// Of all entries of a request together, in bytes.
const MAX_BYTES: usize = 1_048_576;
/// The largest request with every character escaped, in bytes.
const MAX_REQUEST: usize = 8 * MAX_BYTES;

/// The event buses of one account in one region. Clones are the same buses.
#[derive(Debug, Clone)]
pub struct EventBus {
    shared: Arc<Shared>,
}

/// What became of the events so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventCounts {
    pub written: u64,
    /// Events for a bus that doesn't exist: accepted and dropped, as AWS does.
    pub lost: u64,
}

#[derive(Debug)]
struct Shared {
    file: PathBuf,
    origin: Origin,
    clock: Clock,
    buses: Mutex<Buses>,
}

#[derive(Debug)]
struct Buses {
    /// When each was created, in seconds since the Unix epoch.
    created: BTreeMap<String, u64>,
    counts: EventCounts,
    followers: Vec<UnboundedSender<String>>,
}

#[derive(Debug, Error)]
enum Fault {
    #[error("Event bus {0} already exists. Use it, or choose another name.")]
    AlreadyExists(String),
    #[error("Event bus {0} does not exist. Create it, or correct the name.")]
    NotFound(String),
    #[error("The request can't be read: {0}. Send AWS JSON 1.1 with parameters that the embedded EventBridge has.")]
    Serialization(#[from] serde_json::Error),
    #[error("The embedded EventBridge has no action {0:?}. Send X-Amz-Target: AWSEvents.<Action> with one it has.")]
    UnknownOperation(String),
    #[error("{0}")]
    Validation(String),
    #[error("The event could not be written to {path}: {source}. Free the disk or correct the path, then send again.")]
    Write { path: PathBuf, source: io::Error },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListEventBuses {
    #[serde(default)]
    name_prefix: String,
}

impl EventBus {
    /// Buses that append their events to `file`. Its directory must exist. The bus `default` is there already.
    pub fn new(file: PathBuf, region: &str, account: &str, clock: Clock) -> Self {
        let created = BTreeMap::from([(DEFAULT_BUS.to_owned(), clock.now().as_secs())]);
        let buses = Mutex::new(Buses { created, counts: EventCounts::default(), followers: Vec::new() });
        let origin = Origin { region: region.to_owned(), account: account.to_owned() };
        Self { shared: Arc::new(Shared { file, origin, clock, buses }) }
    }

    /// Answers the protocol on every path.
    pub fn router(self) -> Router {
        Router::new().fallback(answer).layer(DefaultBodyLimit::max(MAX_REQUEST)).with_state(self)
    }

    /// Each event from now on, as its line of the file.
    pub fn follow(&self) -> UnboundedReceiver<String> {
        let (follower, events) = unbounded_channel();
        self.buses().followers.push(follower);
        events
    }

    /// How many events were written and lost.
    pub fn counts(&self) -> EventCounts {
        self.buses().counts
    }

    fn call(&self, target: &str, body: &[u8]) -> Result<Value, Fault> {
        match target.strip_prefix("AWSEvents.").unwrap_or_default() {
            "CreateEventBus" => self.create(serde_json::from_slice(body)?),
            "DescribeEventBus" => self.describe(serde_json::from_slice(body)?),
            "ListEventBuses" => Ok(self.list(&serde_json::from_slice(body)?)),
            "PutEvents" => self.put(serde_json::from_slice(body)?),
            _ => Err(Fault::UnknownOperation(target.to_owned())),
        }
    }

    fn create(&self, Named { name }: Named) -> Result<Value, Fault> {
        let name = name.unwrap_or_default();
        let valid = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !(1..=256).contains(&name.len()) || !name.bytes().all(valid) {
            let reason =
                format!("Name {name:?} is not valid. Use 1 to 256 letters, digits, dots, hyphens, underscores.");
            return Err(Fault::Validation(reason));
        }
        let mut buses = self.buses();
        if buses.created.contains_key(&name) {
            return Err(Fault::AlreadyExists(name));
        }
        let arn = self.shared.origin.bus_arn(&name);
        buses.created.insert(name, self.shared.clock.now().as_secs());
        Ok(json!({"EventBusArn": arn}))
    }

    fn describe(&self, Named { name }: Named) -> Result<Value, Fault> {
        let name = name.unwrap_or_else(|| DEFAULT_BUS.to_owned());
        let buses = self.buses();
        match buses.created.get_key_value(self.shared.origin.bus_name(&name)) {
            Some(bus) => Ok(self.description(bus)),
            None => Err(Fault::NotFound(name)),
        }
    }

    fn list(&self, ListEventBuses { name_prefix: prefix }: &ListEventBuses) -> Value {
        let buses = self.buses();
        let listed = buses.created.iter().filter(|(name, _)| name.starts_with(prefix));
        json!({"EventBuses": listed.map(|bus| self.description(bus)).collect::<Vec<_>>()})
    }

    fn description(&self, (name, created): (&String, &u64)) -> Value {
        json!({
            "Name": name,
            "Arn": self.shared.origin.bus_arn(name),
            "CreationTime": created,
            "LastModifiedTime": created,
        })
    }

    fn put(&self, PutEvents { entries }: PutEvents) -> Result<Value, Fault> {
        if !(1..=MAX_ENTRIES).contains(&entries.len()) {
            let reason = format!("Send 1 to {MAX_ENTRIES} entries. You have sent {}.", entries.len());
            return Err(Fault::Validation(reason));
        }
        let bytes: usize = entries.iter().map(Entry::bytes).sum();
        if bytes > MAX_BYTES {
            let reason = "Total size of the entries in the request is over the limit.";
            return Err(Fault::Validation(format!("{reason} Send at most {MAX_BYTES} bytes, not {bytes}.")));
        }
        let now = self.shared.clock.now();
        let (mut lines, mut results) = (String::new(), Vec::new());
        let (mut added, mut failed) = (EventCounts::default(), 0);
        let mut buses = self.buses();
        for entry in entries {
            let bus = entry.event_bus_name.as_deref().unwrap_or(DEFAULT_BUS);
            let exists = buses.created.contains_key(self.shared.origin.bus_name(bus));
            let id = Uuid::new_v4().to_string();
            match entry.envelope(&id, &self.shared.origin, now) {
                Ok(line) => {
                    results.push(json!({"EventId": id}));
                    if exists {
                        lines.push_str(&line);
                        lines.push('\n');
                        added.written += 1;
                    } else {
                        added.lost += 1;
                    }
                }
                Err(refusal) => {
                    failed += 1;
                    results.push(json!({"ErrorCode": refusal.code(), "ErrorMessage": refusal.to_string()}));
                }
            }
        }
        self.append(&lines).map_err(|source| Fault::Write { path: self.shared.file.clone(), source })?;
        // One that does not listen any more is forgotten.
        buses.followers.retain(|follower| lines.lines().all(|line| follower.send(line.to_owned()).is_ok()));
        buses.counts.written += added.written;
        buses.counts.lost += added.lost;
        Ok(json!({"FailedEntryCount": failed, "Entries": results}))
    }

    /// Called under the lock, so that lines never mix.
    fn append(&self, lines: &str) -> io::Result<()> {
        OpenOptions::new().create(true).append(true).open(&self.shared.file)?.write_all(lines.as_bytes())
    }

    fn buses(&self) -> MutexGuard<'_, Buses> {
        self.shared.buses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn name(&self) -> &'static str {
        match self {
            Self::AlreadyExists(_) => "ResourceAlreadyExistsException",
            Self::NotFound(_) => "ResourceNotFoundException",
            Self::Serialization(_) => "SerializationException",
            Self::UnknownOperation(_) => "UnknownOperationException",
            Self::Validation(_) => "ValidationException",
            Self::Write { .. } => "InternalException",
        }
    }
}

async fn answer(State(bus): State<EventBus>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let (status, body) = match bus.call(target, &body) {
        Ok(body) => (StatusCode::OK, body),
        Err(fault) => {
            let internal = matches!(fault, Fault::Write { .. });
            let status = if internal { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST };
            (status, json!({"__type": fault.name(), "message": fault.to_string()}))
        }
    };
    let request_id = Uuid::new_v4().to_string();
    let headers = [(CONTENT_TYPE.as_str(), "application/x-amz-json-1.1"), ("x-amzn-requestid", &request_id)];
    (status, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests;
