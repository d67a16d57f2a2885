//! Environments against real processes: see [`bootstrap`] for what runs in them.

mod bootstrap;
mod declared;
mod stage;

use std::{env, fs, process::Stdio, time::Duration};

use nix::unistd::{Pid, getpgid};
use tokio::{io::AsyncReadExt, net::TcpListener, process::Command};

use super::{Environment, InvokeError};
use bootstrap::{Order, Start, call};
use stage::{Stage, gone, within};

#[tokio::test]
async fn a_warm_environment_is_used_again() {
    let stage = Stage::new();
    let first = stage.describe().await;
    let second = stage.describe().await;
    assert_eq!(first.pid, second.pid);
    assert_ne!(first.context.request_id, second.context.request_id);
    assert_eq!(stage.function.environments(), 1);
}

#[tokio::test]
async fn concurrent_invocations_get_environments_of_their_own() {
    let stage = Stage::new();
    let held = stage.hold().await;
    let other = stage.describe().await.pid;
    assert_eq!(stage.function.environments(), 2);
    let last_used = held.release().await.unwrap().pid;
    assert_ne!(last_used, other);
    assert_eq!(stage.describe().await.pid, last_used, "the one used last comes first");
}

#[tokio::test]
async fn beyond_its_concurrency_a_function_is_throttled() {
    let stage = Stage::with(|spec| spec.concurrency = 1);
    let held = stage.hold().await;
    let refused = stage.send(&Order::Describe).await;
    assert!(matches!(refused, Err(InvokeError::Throttled { .. })), "{refused:?}");

    let order = serde_json::to_vec(&Order::Describe).unwrap();
    let patient = stage.function.invoke_when_free(order.into());
    let (patient, held) = tokio::join!(within(patient), held.release());
    patient.unwrap();
    held.unwrap();
    assert_eq!(stage.function.environments(), 1);
}

#[tokio::test]
async fn a_timeout_kills_the_environment() {
    let stage = Stage::with(|spec| spec.timeout = Duration::from_secs(3));
    let pid = stage.describe().await.pid;
    let error = stage.hold().await.outcome().await.err().unwrap();
    assert_eq!(error.to_string(), "Task timed out after 3.00 seconds");
    assert!(gone(pid));
    assert_eq!(stage.function.environments(), 0);
    assert!(stage.log().contains("holding\n"), "what it printed is kept");
    assert!(stage.log().contains("Task timed out after 3.00 seconds"));
}

#[tokio::test]
async fn errors_and_panics_are_the_functions_own_and_keep_the_environment() {
    let stage = Stage::new();
    let pid = stage.describe().await.pid;
    for (order, expected) in [(Order::Fail, "provider is down"), (Order::Panic, "Lambda panicked: out of range")] {
        match stage.send(&order).await {
            Err(InvokeError::FunctionError { message, .. }) => assert_eq!(message, expected),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stage.describe().await.pid, pid);
}

#[tokio::test]
async fn an_exit_fails_the_invocation_and_the_next_gets_a_new_environment() {
    let stage = Stage::new();
    let pid = stage.describe().await.pid;
    match stage.send(&Order::Exit(7)).await {
        Err(InvokeError::Exited { status }) => assert_eq!(status.code(), Some(7)),
        other => panic!("{other:?}"),
    }
    assert_eq!(stage.function.environments(), 0);
    assert_ne!(stage.describe().await.pid, pid);
}

#[tokio::test]
async fn an_environment_that_exits_after_its_answer_costs_no_invocation() {
    let stage = Stage::starting(&Start::OneEvent);
    let mut pids = Vec::new();
    for _ in 0..5 {
        pids.push(stage.send(&Order::Describe).await.unwrap());
    }
    pids.dedup();
    assert_eq!(pids.len(), 5);
}

#[tokio::test]
async fn a_start_that_fails_twice_is_an_init_error() {
    for (start, expected_type, expected) in [
        (Start::ReportError, "Config.Missing", "no WEBHOOKS_QUEUE_URL"),
        (Start::Exit, "Runtime.ExitError", "Runtime exited before it asked for an event: exit status: 3"),
    ] {
        let stage = Stage::starting(&start);
        match stage.send(&Order::Describe).await {
            Err(InvokeError::InitError { error_type, message }) => {
                assert_eq!((error_type.as_str(), message.as_str()), (expected_type, expected));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(stage.log().matches("platform.fault").count(), 2);
        assert_eq!(stage.function.environments(), 0);
    }
}

#[tokio::test]
async fn a_start_that_fails_once_is_repeated() {
    let mut stage = Stage::new();
    let mark = stage.file("started").display().to_string();
    let start = serde_json::to_string(&Start::ExitOnce(mark)).unwrap();
    stage.spec.environment.insert("START".to_owned(), start);
    stage.function = super::Function::new(stage.spec.clone(), stage.host.clone());
    stage.describe().await;
    assert!(stage.log().contains("exit status: 3"));
}

#[tokio::test]
async fn a_start_has_a_limit() {
    let stage = Stage::starting(&Start::Hang);
    let environment = Environment::start(&stage.spec, &stage.host).await.unwrap();
    let late = environment.ready(Duration::from_millis(100)).await;
    assert!(matches!(late, Err(InvokeError::Timeout { .. })), "{late:?}");
    environment.end().await;
    assert!(gone(i32::try_from(environment.pid()).unwrap()));
}

#[tokio::test]
async fn a_kill_takes_a_busy_environment_first() {
    let stage = Stage::new();
    let held = stage.hold().await;
    let idle = stage.describe().await;
    assert!(stage.function.kill_one());
    match held.outcome().await {
        Err(InvokeError::Exited { status }) => assert_eq!(status.to_string(), "signal: 9 (SIGKILL)"),
        other => panic!("{:?}", other.map(|description| description.pid)),
    }
    let key = &idle.variables["AWS_ACCESS_KEY_ID"];
    assert!(stage.function.kill_environment(key));
    assert!(!stage.function.kill_environment(key), "dead already");
    assert!(!stage.function.kill_one());
    assert_ne!(stage.describe().await.pid, idle.pid);
}

#[tokio::test]
async fn shutdown_leaves_no_process() {
    let stage = Stage::new();
    let first = stage.hold().await;
    let second = stage.hold().await;
    let idle = second.release().await.unwrap().pid;
    stage.function.shutdown().await;
    assert!(gone(idle));
    assert!(matches!(first.outcome().await, Err(InvokeError::Exited { .. })));
    assert_eq!(stage.function.environments(), 0);
    let refused = stage.send(&Order::Describe).await;
    assert!(matches!(refused, Err(InvokeError::Stopped { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_the_function() {
    let stage = Stage::with(|spec| spec.concurrency = 1);
    let pid = stage.describe().await.pid;
    let line = stage.hold().await.abandon().await;
    let refused = stage.send(&Order::Describe).await;
    assert!(matches!(refused, Err(InvokeError::Throttled { .. })), "{refused:?}");
    drop(line);
    let order = serde_json::to_vec(&Order::Describe).unwrap();
    within(stage.function.invoke_when_free(order.into())).await.unwrap();
    assert_eq!(stage.describe().await.pid, pid);
}

#[tokio::test]
async fn an_answer_to_another_event_is_refused() {
    let stage = Stage::new();
    let address = &stage.describe().await.variables["AWS_LAMBDA_RUNTIME_API"];
    let held = stage.hold().await;
    for path in ["invocation/0b7c/response", "invocation/0b7c/error"] {
        let refused = call(address, "POST", path, "{}").await;
        assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
        assert!(
            refused.ends_with(r#"{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#),
            "{refused}"
        );
    }
    for (method, path) in [("POST", "init/error"), ("GET", "invocation/next")] {
        let refused = call(address, method, path, "{}").await;
        assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    }
    let id = held.release().await.unwrap().context.request_id;
    let doubled = call(address, "POST", &format!("invocation/{id}/response"), "{}").await;
    assert!(doubled.starts_with("HTTP/1.1 400 "), "{doubled}");
}

#[tokio::test]
async fn a_response_over_6_mb_is_refused_and_keeps_the_environment() {
    let stage = Stage::new();
    let pid = stage.describe().await.pid;
    assert_eq!(stage.send(&Order::Fill(6 * 1024 * 1024)).await.unwrap().len(), 6 * 1024 * 1024 + 2);
    match stage.send(&Order::Fill(8 * 1024 * 1024)).await {
        Err(InvokeError::ResponseTooLarge { bytes, .. }) => assert_eq!(bytes, 8 * 1024 * 1024 + 2),
        other => panic!("{:?}", other.map(|response| response.len())),
    }
    assert_eq!(stage.describe().await.pid, pid);
}

#[tokio::test]
async fn a_missing_bootstrap_is_named_with_its_remedy() {
    let stage = Stage::with(|spec| spec.binary = "/nowhere/release/webhook-ingest".into());
    let error = stage.send(&Order::Describe).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/release/webhook-ingest"), "{error}");
    assert!(error.contains("cargo build --release --bin webhook-ingest"), "{error}");
}

#[tokio::test]
async fn an_environment_alone_can_be_measured() {
    let stage = Stage::new();
    let environment = Environment::start(&stage.spec, &stage.host).await.unwrap();
    environment.ready(Duration::from_secs(10)).await.unwrap();
    let pid = Pid::from_raw(i32::try_from(environment.pid()).unwrap());
    assert_eq!(getpgid(Some(pid)), Ok(pid), "out of reach of the terminal's Ctrl-C");
    for _ in 0..3 {
        let order = serde_json::to_vec(&Order::Describe).unwrap();
        environment.invoke(order.into()).await.unwrap();
        environment.ready(Duration::from_secs(10)).await.unwrap();
    }
    environment.end().await;
    assert!(gone(pid.as_raw()));
}

/// The stack that [`bootstraps_end_when_the_stack_is_killed`] kills.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "tells the stack to be killed from the ordinary test run")]
async fn stack_process() {
    if let Ok(witness) = env::var("WITNESS") {
        let witness = witness.parse().unwrap();
        let stage = Stage::starting(&Start::Connect(witness));
        stage.describe().await;
        fs::remove_dir_all(&stage.host.log_dir).unwrap(); // the stack, which would do it, is killed
        drop(tokio::net::TcpStream::connect(witness).await.unwrap());
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn bootstraps_end_when_the_stack_is_killed() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut stack = Command::new(env::current_exe().unwrap())
        .args(["--exact", "lambda::tests::stack_process", "--nocapture"])
        .env("WITNESS", listener.local_addr().unwrap().to_string())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut bootstrap, _) = within(listener.accept()).await.unwrap();
    within(listener.accept()).await.unwrap(); // the stack says that the bootstrap is at rest
    stack.kill().await.unwrap();
    let end = within(bootstrap.read(&mut [0])).await;
    assert!(matches!(end, Ok(0)), "{end:?}");
}
