//! What API Gateway counts of its requests.

use std::{sync::Mutex, time::Duration};

use axum::http::StatusCode;
use local_base::lock;

#[derive(Debug, Default)]
pub struct Requests(Mutex<Counted>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    pub count: u64,
    pub client_errors: u64,
    pub server_errors: u64,
    /// From each request to its answer.
    pub latency: Duration,
}

impl Requests {
    pub fn seen(&self) -> Counted {
        *lock(&self.0)
    }

    pub(super) fn count(&self, status: StatusCode, latency: Duration) {
        let mut counted = lock(&self.0);
        counted.count += 1;
        counted.client_errors += u64::from(status.is_client_error());
        counted.server_errors += u64::from(status.is_server_error());
        counted.latency += latency;
    }
}
