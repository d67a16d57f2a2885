//! What invokes functions beside the HTTP API: schedules, and the pollers of queues.

use std::sync::Arc;

use local_aws::{Clients, REGION, clients::POLLER_KEY, sqs::Clock};

use super::{delegated, error::StackError};
use crate::{
    lambda::{Asynchronous, Function, Host},
    mapping::Poller,
    schedule::Timer,
    template::Template,
};

pub(super) struct Triggers {
    pub(super) timers: Vec<Timer>,
    pub(super) pollers: Vec<Poller>,
}

impl Triggers {
    /// The triggers of `functions`, which are in the template's order. `clock` is that of the queues.
    pub(super) fn new(
        template: &Template,
        functions: &[Arc<Function>],
        host: &Host,
        aws_url: &str,
        clock: &Clock,
    ) -> Result<Self, StackError> {
        let (mut timers, mut pollers) = (Vec::new(), Vec::new());
        let clients = Clients::new(aws_url, REGION, POLLER_KEY);
        let queues = &template.resources.queues;
        for (declared, function) in template.functions.iter().zip(functions) {
            let destination = delegated::destination(declared, queues, host, aws_url)?;
            let (retries, clock) = (declared.retries, clock.clone());
            let asynchronous = Asynchronous { function: Arc::clone(function), retries, destination, clock };
            let asynchronous = Arc::new(asynchronous);
            for schedule in &declared.schedules {
                timers.push(Timer::new(schedule, &asynchronous)?);
            }
            for mapping in &declared.mappings {
                delegated::mapped(declared, &mapping.queue_arn)?;
                for queue in queues.iter().filter(|queue| queue.arn == mapping.queue_arn) {
                    pollers.extend(Poller::all(&clients, queue, mapping, REGION, function));
                }
            }
        }
        Ok(Self { timers, pollers })
    }
}
