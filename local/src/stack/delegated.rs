//! What Lambda itself does with a function's role: reads the queues of its mappings, and sends failed invocations to its destination.

use super::{REGION, StackError};
use crate::{
    aws::Clients,
    lambda::{Destination, Host},
    template::{self, Facts, allows},
};

/// The beginning of the keys with which Lambda signs in a function's name.
const DESTINATION_KEY: &str = "ASIALOCAL";

/// Holds a function's role to what reading the queue of one of its mappings needs.
pub(super) fn mapped(declared: &template::Function, queue: &str) -> Result<(), StackError> {
    let actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    granted(declared, &actions, queue, "its event-source mapping")
}

/// Holds a function's role to what Lambda does in its name.
fn granted(
    declared: &template::Function,
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
    declared: &template::Function,
    queues: &[template::Queue],
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
