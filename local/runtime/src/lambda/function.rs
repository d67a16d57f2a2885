//! A function and its execution environments.
//!
//! *Invariants:* a slot is held from before an environment is taken until it is idle or gone, so
//! that there are never more than `concurrency`; an invocation runs to its end even if its caller
//! stops waiting, as on AWS.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Bytes;
use local_base::{background, lock};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, watch},
    time::Instant,
};

use super::{Environment, FunctionSpec, Host, InvokeError, logs::Log};

/// How long a bootstrap may take to ask for its first event.
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// A function that can be invoked. Its environments start as needed.
pub struct Function {
    spec: FunctionSpec,
    host: Host,
    slots: Arc<Semaphore>,
    pool: Mutex<Pool>,
    usage: Mutex<Usage>,
    /// Whether its reserved concurrency is 0.
    stopped: watch::Sender<bool>,
}

/// What AWS counts of a function, and bills it for beside its memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub invocations: u64,
    /// Those of them that brought no response.
    pub errors: u64,
    /// Attempts to invoke it that were refused, because no environment was free or may be.
    pub throttles: u64,
    /// The wall time of invocations, and of starting environments for them.
    pub busy: Duration,
}

/// All environments that may be alive.
#[derive(Default)]
struct Pool {
    busy: Vec<Arc<Environment>>,
    /// The most recently used last.
    idle: Vec<Arc<Environment>>,
    stopped: bool,
}

impl Function {
    /// A function without environments yet.
    pub fn new(spec: FunctionSpec, host: Host) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(spec.concurrency));
        Arc::new(Self {
            spec,
            host,
            slots,
            pool: Mutex::default(),
            usage: Mutex::default(),
            stopped: watch::Sender::new(false),
        })
    }

    /// What the function was made from.
    pub fn spec(&self) -> &FunctionSpec {
        &self.spec
    }

    /// Its ARN, without a qualifier.
    pub fn arn(&self) -> String {
        self.host.function_arn(&self.spec.name)
    }

    /// Invokes the function as a synchronous caller does: fails with `Throttled` if all
    /// environments are at work.
    pub async fn invoke(self: &Arc<Self>, payload: Bytes) -> Result<Bytes, InvokeError> {
        if self.is_stopped() {
            return Err(self.throttled());
        }
        match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(slot) => self.run(slot, payload).await,
            Err(TryAcquireError::Closed) => Err(self.ended()),
            Err(TryAcquireError::NoPermits) => Err(self.throttled()),
        }
    }

    /// Invokes the function once an environment is free, as an event source does. Fails with `Throttled` only while its reserved
    /// concurrency is 0.
    pub async fn invoke_when_free(self: &Arc<Self>, payload: Bytes) -> Result<Bytes, InvokeError> {
        if self.is_stopped() {
            return Err(self.throttled());
        }
        match Arc::clone(&self.slots).acquire_owned().await {
            Ok(slot) => self.run(slot, payload).await,
            Err(_closed) => Err(self.ended()),
        }
    }

    /// Sets its reserved concurrency to 0, so that every invocation is throttled, or takes that back.
    pub fn stop(&self, stopped: bool) {
        self.stopped.send_replace(stopped);
    }

    /// Whether its reserved concurrency is 0.
    pub fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Waits until its reserved concurrency is not 0.
    pub(super) async fn resumed(&self) {
        // The sender lives as long as this.
        let _ = self.stopped.subscribe().wait_for(|stopped| !stopped).await;
    }

    pub fn environments(&self) -> usize {
        lock(&self.pool).all().filter(|environment| environment.alive()).count()
    }

    /// The processes of the environments that are alive.
    pub fn pids(&self) -> Vec<u32> {
        lock(&self.pool).all().filter(|environment| environment.alive()).map(|environment| environment.pid()).collect()
    }

    /// What invocations took that have ended.
    pub fn usage(&self) -> Usage {
        *lock(&self.usage)
    }

    /// The size of its log, in bytes.
    pub fn logged(&self) -> u64 {
        std::fs::metadata(Log::path(&self.host.log_dir, &self.spec.name)).map_or(0, |log| log.len())
    }

    /// Sends SIGKILL to an environment, a busy one if there is one. False if there is none.
    pub fn kill_one(&self) -> bool {
        lock(&self.pool).all().any(|environment| environment.kill())
    }

    /// Sends SIGKILL to the environment that signs with `access_key`. False if it is not alive here.
    pub fn kill_environment(&self, access_key: &str) -> bool {
        lock(&self.pool).all().any(|environment| environment.access_key() == access_key && environment.kill())
    }

    /// Kills all environments, waits until no process is left, and refuses invocations from now on.
    pub async fn shutdown(&self) {
        let idle = {
            let mut pool = lock(&self.pool);
            pool.stopped = true;
            for environment in pool.all() {
                environment.kill();
            }
            mem::take(&mut pool.idle)
        };
        for environment in idle {
            environment.end().await; // killed above: waits until it is reaped
        }
        // Each invocation under way sees its environment end, and gives its slot back.
        let all = u32::try_from(self.spec.concurrency).unwrap_or(u32::MAX);
        drop(self.slots.acquire_many(all).await);
        self.slots.close();
    }

    async fn run(self: &Arc<Self>, slot: OwnedSemaphorePermit, payload: Bytes) -> Result<Bytes, InvokeError> {
        let function = Arc::clone(self);
        let run = background(async move {
            let start = Instant::now();
            let outcome = function.deliver(payload).await;
            {
                let mut usage = lock(&function.usage);
                usage.invocations += 1;
                usage.errors += u64::from(outcome.is_err());
                usage.busy += start.elapsed();
            }
            drop(slot);
            outcome
        });
        run.await.unwrap_or_else(|_| Err(self.ended()))
    }

    async fn deliver(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        while let Some(environment) = self.take_idle()? {
            let deadline = Instant::now() + self.spec.timeout;
            let outcome = environment.invoke_until(payload.clone(), deadline).await;
            let ended_before = matches!(outcome, Err(InvokeError::Exited { .. })) && environment.unfetched();
            self.put_back(&environment, outcome.as_ref().err()).await;
            if !ended_before {
                return outcome;
            }
        }
        let (environment, deadline) = self.start().await?;
        let outcome = environment.invoke_until(payload, deadline).await;
        self.put_back(&environment, outcome.as_ref().err()).await;
        outcome
    }

    /// The idle environment used last, now busy.
    fn take_idle(&self) -> Result<Option<Arc<Environment>>, InvokeError> {
        let mut pool = lock(&self.pool);
        if pool.stopped {
            return Err(self.ended());
        }
        pool.idle.retain(|environment| environment.alive());
        let environment = pool.idle.pop();
        pool.busy.extend(environment.clone());
        Ok(environment)
    }

    /// A new environment, now busy, and when its first event must be answered. A failed start is
    /// repeated once, on the function's own time.
    async fn start(&self) -> Result<(Arc<Environment>, Instant), InvokeError> {
        let first = self.launch().await?;
        let Err(error) = first.ready(INIT_LIMIT).await else {
            return Ok((first, Instant::now() + self.spec.timeout));
        };
        self.put_back(&first, Some(&error)).await;

        let deadline = Instant::now() + self.spec.timeout;
        let second = self.launch().await?;
        if let Err(error) = second.ready(self.spec.timeout).await {
            self.put_back(&second, Some(&error)).await;
            return Err(error);
        }
        Ok((second, deadline))
    }

    async fn launch(&self) -> Result<Arc<Environment>, InvokeError> {
        let environment = Arc::new(Environment::start(&self.spec, &self.host).await?);
        let stopped = {
            let mut pool = lock(&self.pool);
            if !pool.stopped {
                pool.busy.push(Arc::clone(&environment));
            }
            pool.stopped
        };
        if stopped {
            environment.end().await;
            return Err(self.ended());
        }
        Ok(environment)
    }

    /// Ends a busy environment's turn: it is idle, or gone after any failure but the function's own.
    async fn put_back(&self, environment: &Arc<Environment>, failure: Option<&InvokeError>) {
        match failure {
            None | Some(InvokeError::FunctionError { .. } | InvokeError::ResponseTooLarge { .. }) => {}
            Some(
                error @ (InvokeError::Timeout { .. }
                | InvokeError::Exited { .. }
                | InvokeError::InitError { .. }
                | InvokeError::Throttled { .. }
                | InvokeError::MissingBinary { .. }
                | InvokeError::Start { .. }
                | InvokeError::Stopped { .. }),
            ) => {
                environment.log_fault(error);
                environment.kill();
            }
        }
        let kept = {
            let mut pool = lock(&self.pool);
            pool.busy.retain(|busy| !Arc::ptr_eq(busy, environment));
            let keep = environment.alive() && !pool.stopped;
            if keep {
                pool.idle.push(Arc::clone(environment));
            }
            keep
        };
        if !kept {
            environment.end().await;
        }
    }

    fn throttled(&self) -> InvokeError {
        lock(&self.usage).throttles += 1;
        InvokeError::Throttled { function: self.spec.name.clone() }
    }

    fn ended(&self) -> InvokeError {
        InvokeError::Stopped { function: self.spec.name.clone() }
    }
}

impl Pool {
    /// The busy ones first, and the most recently used first among the idle.
    fn all(&self) -> impl Iterator<Item = &Arc<Environment>> {
        self.busy.iter().chain(self.idle.iter().rev())
    }
}
