//! Messages and invocations that are given up.

use local_aws::{Service, faults::Effect};
use local_cli::bundle::Bundle;
use tests::{FAST, PATIENCE, alarms::Watch, depth, hurry, stack, template};

use super::{quiet, send, set, strikes};

/// The queues that have dead letters, without prefix.
fn queues() -> Vec<String> {
    let queues = template("http://localhost", &[]).resources.queues;
    queues.iter().filter_map(|it| it.name.strip_suffix("-dead")?.strip_prefix("intertie-").map(str::to_owned)).collect()
}

pub(super) fn seen() -> Vec<String> {
    queues().iter().map(|queue| format!("{queue}-dead")).chain(["failed-schedules".to_owned()]).collect()
}

async fn purge(stack: &Bundle, queue: &str) {
    let url = stack.embedded.as_ref().unwrap().sqs.queue_url(&format!("{}-{queue}", stack.prefix()));
    stack.clients.sqs.purge_queue().queue_url(url).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_given_up_rings_the_alarm_of_its_own_queue() {
    let stack = stack(FAST).await;
    let mut watch = Watch::new(&stack).await;
    watch.pass(5).await;
    for queue in &queues() {
        send(&stack, queue, r#"{"v":"of another release"}"#).await;
        let alarm = format!("{queue}-dead");
        watch.breach(&alarm).await;
        watch.pass(1).await;
        assert_eq!(watch.rung(), set([alarm.as_str()]));
        purge(&stack, &alarm).await;
        watch.pass(watch.alarm(&alarm).memory()).await;
        watch.rung();
        quiet(&mut watch, queue).await;
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_is_given_up_rings() {
    let stack = stack(FAST).await;
    let mut watch = Watch::new(&stack).await;
    watch.pass(5).await;
    stack.gateway.faults.arm(vec![strikes("token-refresh", Service::Dynamodb, Effect::Deny)]);
    let hurried = hurry(&stack, 100);
    stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-refresh")).unwrap().fire().await.unwrap_err();
    let given_up = async || (depth(&stack, "failed-schedules") == 1).then_some(());
    stack.until(PATIENCE, given_up).await.unwrap();
    hurried.abort();
    stack.gateway.faults.arm(Vec::new());
    watch.breach("failed-schedules").await;
    watch.pass(1).await;
    assert_eq!(watch.rung(), set(["failed-schedules", "token-refresh-errors"]));
    purge(&stack, "failed-schedules").await;
    watch.pass(watch.alarm("token-refresh-errors").memory()).await;
    watch.rung();
    quiet(&mut watch, "the repair").await;
    stack.shutdown().await;
}
