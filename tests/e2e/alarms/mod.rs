//! Every alarm of template.yaml goes off under its fault, with those alone that the fault brings along, and ends after the repair.

mod dead_letters;
mod errors;
mod providers;
mod shown;
mod stopped;

use std::collections::BTreeSet;

use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use local_base::web::Web;
use local_cli::bundle::Bundle;
use tests::{Guest, alarms::Watch, template};

/// A fault of every call of a function to a service.
fn strikes(function: &str, service: Service, effect: Effect) -> Fault {
    Fault { function: Some(function.into()), service: Some(service), times: u64::MAX, ..Fault::new(effect) }
}

fn set<'n>(names: impl IntoIterator<Item = &'n str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// Sends a message to a queue, by its name without prefix.
async fn send(stack: &Bundle, queue: &str, body: &str) {
    let url = stack.embedded.as_ref().unwrap().sqs.queue_url(&format!("{}-{queue}", stack.prefix()));
    stack.clients.sqs.send_message().queue_url(url).message_body(body).message_group_id("test").send().await.unwrap();
}

/// Lets time pass until no alarm can be of what was before, and expects that none rings.
async fn quiet(watch: &mut Watch<'_>, after: &str) {
    let memory = watch.rung().iter().map(|name| watch.alarm(name).memory()).max().unwrap_or_default();
    watch.pass(memory).await;
    assert_eq!(watch.ringing(), BTreeSet::new(), "after {after}");
    watch.rung();
}

#[test]
fn every_alarm_is_seen_to_ring() {
    let template = template("http://localhost", &[]);
    let names = tests::alarms::Alarm::all(&template.monitoring).into_iter().map(|alarm| alarm.alarm_name);
    let all: BTreeSet<_> = names.map(|name| name.strip_prefix("intertie-").unwrap().to_owned()).collect();
    let seen = [dead_letters::seen(), errors::seen(), providers::seen(), stopped::seen()].concat();
    assert_eq!(all, seen.into_iter().collect());
}

/// An HTTP request without a session: its status.
async fn ask(web: &Web, stack: &Bundle, method: http::Method, path: &str) -> u16 {
    let url = format!("{}{path}", stack.url);
    web.call(method, &url, &[], String::new()).await.unwrap().status().as_u16()
}

/// A user with a connected account of Slack, whose first sync has ended.
async fn connected<'s>(stack: &'s Bundle, user: &str) -> (Guest<'s>, String) {
    let guest = Guest::new(stack, user).await;
    let id = guest.connect_and_sync("slack").await;
    (guest, id)
}
