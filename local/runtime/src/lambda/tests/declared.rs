//! What a function is told: its environment variables and the context of an event.

use std::{collections::BTreeMap, time::Duration};

use local_base::now;

use super::stage::Stage;

#[tokio::test]
async fn the_environment_is_exactly_what_is_declared() {
    let stage = Stage::new();
    let description = stage.describe().await;
    let mut variables = description.variables;
    let mut take = |name: &str| variables.remove(name).unwrap_or_else(|| panic!("no {name}"));

    let key = take("AWS_ACCESS_KEY_ID");
    assert!(key.len() == 20 && key.starts_with("ASIA"), "{key}");
    assert!(key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()), "{key}");
    assert_eq!(stage.host.access_keys.owner_of(&key).as_deref(), Some("intertie-echo"));
    assert_eq!(stage.host.access_keys.owner_of("ASIAUNKNOWN"), None);
    assert_eq!(take("AWS_SECRET_ACCESS_KEY").len(), 32);
    assert_eq!(take("AWS_SESSION_TOKEN").len(), 32);
    assert!(take("AWS_LAMBDA_RUNTIME_API").starts_with("127.0.0.1:"));
    let stream = take("AWS_LAMBDA_LOG_STREAM_NAME");
    assert!(stream[10..].starts_with("/[$LATEST]") && stream.len() == 52, "{stream}");
    assert_eq!(take("LAMBDA_TASK_ROOT"), description.folder);
    assert!(take("LD_LIBRARY_PATH").ends_with(":/opt/lib"));
    assert_eq!(Some(take("_X_AMZN_TRACE_ID")), description.context.xray_trace_id, "set by lambda_runtime itself");
    let rest = [
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_NAME", "intertie-echo"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/intertie-echo"),
        ("AWS_LAMBDA_LOG_LEVEL", "DEBUG"),
        ("AWS_REGION", "eu-west-1"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("LANG", "en_US.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin"),
        ("QUEUE_URL", "http://sqs/q"),
        ("TZ", ":UTC"),
        ("_HANDLER", "bootstrap"),
    ];
    assert_eq!(variables, BTreeMap::from(rest.map(|(name, value)| (name.to_owned(), value.to_owned()))));
}

#[tokio::test]
async fn an_event_comes_with_its_context() {
    let stage = Stage::with(|spec| spec.timeout = Duration::from_mins(15));
    let before = now().as_millisecond();
    let context = stage.describe().await.context;
    assert_eq!(context.invoked_function_arn, "arn:aws:lambda:eu-west-1:123456789012:function:intertie-echo");
    let deadline = i64::try_from(context.deadline).unwrap();
    assert!((before + 899_000..=now().as_millisecond() + 900_000).contains(&deadline));
    let trace = context.xray_trace_id.unwrap();
    assert!(trace.starts_with("Root=1-") && trace.ends_with(";Sampled=0") && trace.len() == 74, "{trace}");
}
