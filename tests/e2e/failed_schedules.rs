//! The invocation of a failed schedule is tried three times, then waits in a queue of its own with its payload.

use std::time::Duration;

use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use local_base::web::Web;
use local_cli::bundle::Bundle;
use serde_json::{Value, json};
use tests::{FAST, PATIENCE, depth, hurry, stack};

/// Takes the only message out of the queue.
async fn take(stack: &Bundle) -> Value {
    let url = stack.embedded.as_ref().unwrap().sqs.queue_url(&format!("{}-failed-schedules", stack.prefix()));
    let found = stack.clients.sqs.receive_message().queue_url(&url).send().await.unwrap().messages.unwrap_or_default();
    let [message] = &found[..] else { panic!("{found:?}") };
    let call = stack.clients.sqs.delete_message().queue_url(url);
    call.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
    serde_json::from_str(message.body().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_fails_three_times_waits_with_its_payload_and_is_done_by_invoking_the_function_again() {
    let stack = stack(FAST).await;
    let clock = stack.embedded.as_ref().unwrap().sqs.clock();
    let hurry = hurry(&stack, 100);
    for (function, schedule, service, operation) in [
        ("sync-scheduler", "watches", Service::Dynamodb, "Query"),
        ("token-refresh", "refresh", Service::Dynamodb, "Query"),
        ("webhook-process", "dead-letters", Service::Sqs, "ReceiveMessage"),
    ] {
        let fault = Fault {
            function: Some(function.into()),
            service: Some(service),
            operation: Some(operation.into()),
            times: u64::MAX,
            ..Fault::new(Effect::Deny)
        };
        stack.gateway.faults.arm(vec![fault]);
        let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with(schedule)).unwrap();
        let fired = clock.now();
        let error = timer.fire().await.expect_err(function).to_string();
        let given_up = async || (depth(&stack, "failed-schedules") == 1).then_some(());
        stack.until(PATIENCE, given_up).await.unwrap_or_else(|waited| panic!("{function}: {waited}"));
        assert!(clock.now() >= fired + Duration::from_mins(3), "{function}: Lambda waits one minute, then two");

        let record = take(&stack).await;
        assert_eq!(record["requestPayload"], timer.schedule.input, "{record}");
        let context = &record["requestContext"];
        assert_eq!(
            (&context["condition"], &context["approximateInvokeCount"]),
            (&json!("RetriesExhausted"), &json!(3))
        );
        let arn = context["functionArn"].as_str().unwrap();
        assert!(arn.ends_with(&format!(":function:intertie-{function}:live")), "{record}");
        let answer = &record["responsePayload"];
        let words = [&answer["errorType"], &answer["errorMessage"]].map(|it| it.as_str().unwrap());
        assert_eq!(words.join(": "), error, "{record}");

        // What the alarm says to do.
        stack.gateway.faults.arm(Vec::new());
        let url = format!("{}/2015-03-31/functions/{function}/invocations", stack.control_url);
        let invoked = Web::new().call(Method::POST, &url, &[], record["requestPayload"].to_string()).await.unwrap();
        assert_eq!(invoked.status(), 200, "{:?}", invoked.body());
        assert_eq!(depth(&stack, "failed-schedules"), 0, "{function}");
    }
    hurry.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_fails_once_is_tried_again_and_leaves_nothing_behind() {
    let stack = stack(FAST).await;
    let fault = Fault {
        function: Some("webhook-process".into()),
        service: Some(Service::Sqs),
        operation: Some("ReceiveMessage".into()),
        ..Fault::new(Effect::Deny)
    };
    stack.gateway.faults.arm(vec![fault]);
    let timer = stack.timers.iter().find(|timer| timer.schedule.name.ends_with("dead-letters")).unwrap();
    assert!(timer.fire().await.is_err());
    let hurry = hurry(&stack, 100);
    let again = async || (stack.gateway.faults.armed()[0].seen >= 2).then_some(());
    stack.until(PATIENCE, again).await.unwrap();
    let clock = stack.embedded.as_ref().unwrap().sqs.clock();
    // Longer than the wait before a third attempt.
    tokio::time::timeout(PATIENCE, clock.until(clock.now() + Duration::from_mins(3))).await.unwrap();
    assert_eq!(stack.gateway.faults.armed()[0].seen, 2, "no third attempt");
    assert_eq!(depth(&stack, "failed-schedules"), 0);
    hurry.abort();
}
