//! A function set up for a test, in a folder of its own that goes with it.

use std::{env, fs, path::PathBuf, sync::Arc, time::Duration};

use local_aws::AccessKeys;
use local_base::background;
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use uuid::Uuid;

use super::{
    super::{Function, FunctionSpec, Host, InvokeError, logs::Log},
    bootstrap::{ARGUMENTS, Description, Order, Start},
};

pub(super) struct Stage {
    pub(super) spec: FunctionSpec,
    pub(super) host: Host,
    pub(super) function: Arc<Function>,
}

/// An invocation that is under way until it is released.
pub(super) struct Held {
    outcome: JoinHandle<Result<Description, InvokeError>>,
    line: TcpStream,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn starting(start: &Start) -> Self {
        Self::with(|spec| drop(spec.environment.insert("START".to_owned(), serde_json::to_string(start).unwrap())))
    }

    pub(super) fn with(change: impl FnOnce(&mut FunctionSpec)) -> Self {
        let binary = env::current_exe().unwrap();
        let folder = binary.with_file_name(format!("lambda-test-{}", Uuid::new_v4().simple()));
        let mut spec = FunctionSpec {
            name: "intertie-echo".to_owned(),
            binary,
            arguments: ARGUMENTS.map(str::to_owned).into(),
            memory_mb: 128,
            timeout: Duration::from_secs(20),
            environment: [("QUEUE_URL".to_owned(), "http://sqs/q".to_owned())].into(),
            concurrency: 10,
            log_level: "DEBUG".to_owned(),
            endpoints: [("AWS_ENDPOINT_URL_SQS".to_owned(), "http://127.0.0.1:1".to_owned())].into(),
        };
        change(&mut spec);
        let host = Host {
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
            log_dir: folder,
            access_keys: AccessKeys::default(),
        };
        Self { function: Function::new(spec.clone(), host.clone()), spec, host }
    }

    /// A path in the test's own folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        fs::create_dir_all(&self.host.log_dir).unwrap();
        self.host.log_dir.join(name)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(Log::path(&self.host.log_dir, &self.spec.name)).unwrap()
    }

    pub(super) async fn send(&self, order: &Order) -> Result<Vec<u8>, InvokeError> {
        let payload = serde_json::to_vec(order).unwrap();
        within(self.function.invoke(payload.into())).await.map(Into::into)
    }

    pub(super) async fn describe(&self) -> Description {
        serde_json::from_slice(&self.send(&Order::Describe).await.unwrap()).unwrap()
    }

    /// Starts an invocation and returns when the handler runs.
    pub(super) async fn hold(&self) -> Held {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let payload = serde_json::to_vec(&Order::Hold(listener.local_addr().unwrap())).unwrap();
        let function = Arc::clone(&self.function);
        let outcome = background(async move {
            let response = function.invoke(payload.into()).await?;
            Ok(serde_json::from_slice(&response).unwrap())
        });
        let (line, _) = within(listener.accept()).await.unwrap();
        Held { outcome, line }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.host.log_dir)); // not there if nothing started
    }
}

impl Held {
    /// Lets the handler answer.
    pub(super) async fn release(self) -> Result<Description, InvokeError> {
        drop(self.line);
        within(self.outcome).await.unwrap()
    }

    /// Waits for the outcome while the handler does not answer.
    pub(super) async fn outcome(self) -> Result<Description, InvokeError> {
        within(self.outcome).await.unwrap()
    }

    /// Stops waiting for the outcome; the caller has gone away.
    pub(super) async fn abandon(self) -> TcpStream {
        self.outcome.abort();
        self.outcome.await.err().expect("the handler has not answered");
        self.line
    }
}

/// Fails the test instead of hanging it.
pub(super) async fn within<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(30), future).await.expect("an outcome in time")
}

/// Whether the process is gone and was reaped.
pub(super) fn gone(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}
