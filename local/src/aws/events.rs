//! The embedded `EventBridge`: buses whose every event becomes a line of a file.
//!
//! It answers the protocol of the SDKs (AWS JSON 1.1) for the actions that the project uses. There are no rules: who
//! wants an event reads the file, where it stands in the envelope that a rule's target would get.
//! *Invariant:* an event is in the file before its sender hears that it was accepted.

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
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;

use super::sqs::Clock;

const DEFAULT_BUS: &str = "default";
const MAX_ENTRIES: usize = 10;
/// Of all entries of a request together, in bytes.
const MAX_ENTRIES_SIZE: usize = 1_048_576;
const MAX_DETAIL_TYPE: usize = 128;
/// Every character of the largest request escaped, in bytes.
const MAX_REQUEST: usize = 8 * MAX_ENTRIES_SIZE;
