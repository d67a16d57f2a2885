//! One execution environment: a bootstrap process and its Runtime API.
//!
//! *Invariant:* the process dies with its environment: killed when the environment is dropped, at
//! the latest when the runtime ends. If we are killed ourselves, the broken connection to the
//! Runtime API ends it as soon as it asks for an event or answers one.

use std::{
    future::{IntoFuture, poll_fn},
    io,
    path::Path,
    pin::pin,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Bytes;
use local_base::{background, lock, now};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep_until, timeout},
};

use super::{
    FunctionSpec, Host, InvokeError,
    logs::Log,
    runtime_api::RuntimeApi,
    variables::{Identity, variables},
};

/// A running bootstrap, for one event at a time.
pub struct Environment {
    function: String,
    timeout: Duration,
    identity: Identity,
    pid: u32,
    process: Arc<Mutex<Process>>,
    exit: watch::Receiver<Option<ExitStatus>>,
    api: Arc<RuntimeApi>,
    server: AbortHandle,
    log: Log,
}

struct Process {
    child: Child,
    killed: bool,
}

impl Environment {
    /// Starts the bootstrap of `spec`. It is of use once it is [`ready`](Self::ready).
    pub async fn start(spec: &FunctionSpec, host: &Host) -> Result<Self, InvokeError> {
        let refused = |task: String, remedy| {
            let function = spec.name.clone();
            move |source: io::Error| InvokeError::Start { function, task, source, remedy }
        };
        let binary = spec.binary.canonicalize().map_err(|_| missing(spec))?;
        let folder = binary.parent().unwrap_or(Path::new("/"));
        let log_path = Log::path(&host.log_dir, &spec.name);
        let unwritable = || refused(format!("write {}", log_path.display()), "make the folder writable");
        let log = Log::open(&log_path).map_err(unwritable())?;
        let output = || log.output().map_err(unwritable());

        let no_port = || refused("open a port on 127.0.0.1".to_owned(), "end other programs and try again");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(no_port())?;
        let address = listener.local_addr().map_err(no_port())?;
        let api = RuntimeApi::new(host.function_arn(&spec.name));

        let identity = Identity::new();
        host.access_keys.register(&identity.access_key, &spec.name);
        let child = Command::new(&binary)
            .args(&spec.arguments)
            .env_clear()
            .envs(variables(spec, host, &identity, folder, address))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .process_group(0) // Ctrl-C in the terminal reaches us alone
            .kill_on_drop(true)
            .spawn()
            .map_err(refused(format!("run {}", binary.display()), "check that it was built for this machine"))?;
        let pid = child.id().unwrap_or_default(); // known until the process is waited for
        let process = Arc::new(Mutex::new(Process { child, killed: false }));

        let (exited, exit) = watch::channel(None);
        background(reap(Arc::clone(&process), exited));
        let server = axum::serve(listener, Arc::clone(&api).router());
        let server = background(server.into_future()).abort_handle();
        Ok(Self { function: spec.name.clone(), timeout: spec.timeout, identity, pid, process, exit, api, server, log })
    }

    /// Waits until the bootstrap waits for an event: after its start, and after its answer if it
    /// must be at rest, as for a measurement.
    ///
    /// Fails with `Timeout` after `limit`, and with `InitError` if the bootstrap reports that it
    /// can't start or ends. The environment is to be given up then.
    pub async fn ready(&self, limit: Duration) -> Result<(), InvokeError> {
        let ready = async {
            tokio::select! {
                biased;
                ready = self.api.ready() => ready.map_err(|report| InvokeError::InitError {
                    error_type: report.error_type,
                    message: report.error_message,
                }),
                status = self.exited() => Err(InvokeError::InitError {
                    error_type: "Runtime.ExitError".to_owned(),
                    message: format!("Runtime exited before it asked for an event: {status}"),
                }),
            }
        };
        timeout(limit, ready).await.unwrap_or(Err(InvokeError::Timeout { after: limit }))
    }

    /// Invokes the function and waits for its answer, at most for the function's timeout.
    pub async fn invoke(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        self.invoke_until(payload, Instant::now() + self.timeout).await
    }

    /// [`invoke`](Self::invoke) with what is left of the timeout. After a failure other than the
    /// function's own, the process is gone.
    pub(super) async fn invoke_until(&self, payload: Bytes, deadline: Instant) -> Result<Bytes, InvokeError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        let deadline_ms = now().as_millisecond().saturating_add(left_ms);
        let Some(answer) = self.api.offer(payload, deadline_ms) else {
            return Err(InvokeError::Throttled { function: self.function.clone() });
        };
        tokio::select! {
            biased;
            Ok(answer) = answer => answer,
            status = self.exited() => Err(InvokeError::Exited { status }),
            () = sleep_until(deadline) => {
                self.end().await;
                Err(InvokeError::Timeout { after: self.timeout })
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The access key the bootstrap signs its AWS calls with.
    pub fn access_key(&self) -> &str {
        &self.identity.access_key
    }

    /// Sends SIGKILL. False if the process has been killed or has ended before.
    pub fn kill(&self) -> bool {
        let mut process = lock(&self.process);
        if !process.alive() {
            return false;
        }
        process.killed = true;
        process.child.start_kill().is_ok()
    }

    /// Kills the process and waits until it is gone.
    pub async fn end(&self) {
        self.kill();
        self.exited().await;
    }

    /// Whether it may get another event.
    pub(super) fn alive(&self) -> bool {
        lock(&self.process).alive()
    }

    /// Whether the last event was never fetched, so that another environment can take it.
    pub(super) fn unfetched(&self) -> bool {
        self.api.unfetched()
    }

    /// Notes in the function's log why this environment failed.
    pub(super) fn log_fault(&self, error: &InvokeError) {
        self.log.fault(&self.identity.log_stream, error);
    }

    async fn exited(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        let status = exit.wait_for(Option::is_some).await;
        status.ok().and_then(|status| *status).unwrap_or_default()
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.kill();
        self.server.abort();
    }
}

impl Process {
    fn alive(&self) -> bool {
        !self.killed && self.child.id().is_some()
    }
}

/// Waits for the process and makes its status known. It holds the lock only while it looks, so that
/// a kill never meets a process id that was given to someone else.
async fn reap(process: Arc<Mutex<Process>>, exited: watch::Sender<Option<ExitStatus>>) {
    let status = poll_fn(|context| {
        let mut process = lock(&process);
        let wait = pin!(process.child.wait());
        wait.poll(context)
    });
    // An error means that the system has no status for us; the process is gone all the same.
    exited.send_replace(Some(status.await.unwrap_or_default()));
}

fn missing(spec: &FunctionSpec) -> InvokeError {
    let name = spec.binary.file_name().unwrap_or_default().display();
    let release = spec.binary.parent().is_some_and(|folder| folder.ends_with("release"));
    let profile = if release { " --release" } else { "" };
    InvokeError::MissingBinary {
        function: spec.name.clone(),
        path: spec.binary.clone(),
        build: format!("cargo build{profile} --bin {name}"),
    }
}
