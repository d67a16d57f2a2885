//! What Lambda is told of functions that fail, start or not: names, which alarms and filters match on.

use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use local_runtime::lambda::{Function, InvokeError};
use tests::stack;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_function_does_not_handle_has_a_name() {
    let stack = stack(&[]).await;
    for (function, event) in [("sync-scheduler", "{}"), ("webhook-process", "[]"), ("token-refresh", "{\"Records\":7}")]
    {
        match stack.function(function).unwrap().invoke(event.into()).await {
            Err(InvokeError::FunctionError { error_type, .. }) => assert_eq!(error_type, "InvalidEvent", "{function}"),
            other => panic!("{function}: {other:?}"),
        }
    }
    // An HTTP function answers whatever it is sent.
    let answer = stack.function("integrations-api").unwrap().invoke("[]".into()).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("\"statusCode\":400") && answer.contains("invalid_request"), "{answer}");

    let refused = Fault {
        function: Some("sync-scheduler".into()),
        service: Some(Service::Dynamodb),
        times: 100,
        ..Fault::new(Effect::Refuse)
    };
    stack.gateway.faults.arm(vec![refused]);
    match stack.function("sync-scheduler").unwrap().invoke("{\"schedule\":\"incremental\"}".into()).await {
        Err(InvokeError::FunctionError { error_type, message }) => {
            let name = error_type.chars().all(|c| c.is_ascii_alphanumeric()) && error_type.ends_with("Error");
            assert!(name, "{error_type}: {message}");
        }
        other => panic!("{other:?}"),
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_is_reported_with_its_name_and_reason() {
    let stack = stack(&[]).await;
    for name in ["api-proxy", "webhook-process"] {
        let mut spec = stack.function(name).unwrap().spec().clone();
        spec.environment.remove("IDEMPOTENCY_TABLE");
        let function = Function::new(spec, stack.host.clone());
        match function.invoke("{}".into()).await {
            Err(InvokeError::InitError { error_type, message }) => {
                assert_eq!(error_type, "ConfigError", "{message}");
                assert!(message.contains("IDEMPOTENCY_TABLE"), "{message}");
            }
            other => panic!("{name}: {other:?}"),
        }
        function.shutdown().await;
    }
    stack.shutdown().await;
}
