//! What Lambda does itself under a function's role: reads the queues of its mappings, and sends failed invocations to its destination.

use local_aws::{
    Clients, REGION,
    iam::{Facts, allows},
    resources::Queue,
};

use super::error::StackError;
use crate::{
    lambda::{Destination, Host},
    template::Function,
};

/// The beginning of the keys with which Lambda signs in a function's name.
const DESTINATION_KEY: &str = "ASIALOCAL";

/// Holds a function's role to what reading the queue of one of its mappings needs.
pub(super) fn mapped(declared: &Function, queue: &str) -> Result<(), StackError> {
    let actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    granted(declared, &actions, queue, "its event-source mapping")
}

/// Holds a function's role to what Lambda does in its name.
fn granted(
    declared: &Function,
    actions: &[&'static str],
    queue: &str,
    purpose: &'static str,
) -> Result<(), StackError> {
    let lacking = actions.iter().find(|action| !allows(&declared.statements, action, queue, &Facts::new()));
    let (function, queue) = (declared.name.clone(), queue.to_owned());
    lacking.map_or(Ok(()), |&action| Err(StackError::Lacking { function, action, queue, purpose }))
}

/// Where a function's failed asynchronous invocations go. Lambda sends them as the function, and so under an access key of its own.
pub(super) fn destination(
    declared: &Function,
    queues: &[Queue],
    host: &Host,
    aws_url: &str,
) -> Result<Option<Destination>, StackError> {
    let Some(queue) = queues.iter().find(|queue| declared.on_failure.as_ref() == Some(&queue.arn)) else {
        return Ok(None);
    };
    granted(declared, &["sqs:SendMessage"], &queue.arn, "its failure destination")?;
    let key = format!("{DESTINATION_KEY}{}", declared.logical_id);
    host.access_keys.register(&key, &declared.name);
    Ok(Some(Destination { url: queue.url.clone(), sqs: Clients::new(aws_url, REGION, &key).sqs }))
}
