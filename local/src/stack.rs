//! The whole stack: AWS, gateway, functions, HTTP API, pollers, schedules, controls, wired by template.yaml.

mod cloud;
mod delegated;
mod environment;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinHandle},
    time::timeout,
};

pub use self::{
    cloud::{Cloud, CloudOptions},
    environment::line,
};
use crate::{
    aws::{Clients, Embedded, EmbeddedError, Gateway, Service, clients::POLLER_KEY, provision::ProvisionError},
    bootstraps::{Bootstraps, BuildError},
    control::Control,
    front::{Front, RouteError},
    lambda::{AccessKeys, Asynchronous, Function, FunctionSpec, Host, background},
    mapping::Poller,
    rights::LedgerError,
    sandbox::{Apps, Sandbox},
    schedule::{ScheduleError, Timer},
    settings::{WrongSettings, check, nowhere},
    template::{self, Template, TemplateError},
};

/// The region everything believes to be in.
pub const REGION: &str = "us-east-1";
/// The account everything belongs to.
pub const ACCOUNT: &str = "000000000000";
/// The provider-side account of the local apps: theirs are the events that name none.
pub const LOCAL_ACCOUNT: &str = "acct_local";
/// Execution environments per function, unless the template reserves fewer.
const ENVIRONMENTS: usize = 64;

/// How long [`Stack::until`] waits at most for a call before it looks again.
const LOOK: Duration = Duration::from_millis(200);

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The template.
    pub template: PathBuf,
    /// Where logs, events and the environment file go.
    pub directory: PathBuf,
    /// The HTTP API's port; 0 for any.
    pub port: u16,
    /// Parameters of the template.
    pub overrides: Vec<(String, String)>,
    /// An AWS that is already running, in place of the embedded one.
    pub aws_endpoint: Option<String>,
    /// Where calls to providers lead instead of to the sandbox, as `INTERTIE_URL_REWRITES` has it.
    pub rewrites: String,
    /// The functions' binaries.
    pub bootstraps: Bootstraps,
    /// Where the rights that functions use are recorded; see [`Ledger`](crate::rights::Ledger).
    pub ledger: Option<PathBuf>,
}

/// A running stack.
pub struct Stack {
    /// Where the HTTP API answers.
    pub url: String,
    /// Where the controls answer.
    pub control_url: String,
    /// Where AWS answers.
    pub aws_url: String,
    /// Clients that look from outside.
    pub clients: Clients,
    /// The template in force.
    pub template: Arc<Template>,
    /// The way to AWS, with its faults and counts.
    pub gateway: Arc<Gateway>,
    /// What the functions share: for an environment beside theirs.
    pub host: Host,
    /// The functions, in the template's order.
    pub functions: Vec<Arc<Function>>,
    /// The embedded services, unless AWS is the user's own.
    pub embedded: Option<Embedded>,
    /// The providers in small.
    pub sandbox: Sandbox,
    /// The apps, as the providers know them.
    pub apps: Apps,
    /// The schedules.
    pub timers: Vec<Timer>,
    /// What signs sessions.
    pub session_key: SecretString,
    /// What signs webhooks, by app.
    pub webhook_secrets: BTreeMap<&'static str, SecretString>,
    directory: PathBuf,
    tasks: Vec<AbortHandle>,
}

/// Why a stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] WrongSettings),
    /// A port is taken.
    #[error("port {port} can't be used: {source}; stop what uses it, or choose another with --port N (0 = any)")]
    Port {
        /// Which.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The record of used rights.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The embedded AWS.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// A resource.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// A route.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A function's role lacks what Lambda itself needs for it.
    #[error("template.yaml: the role of {function} lacks {action} on {queue}, which {purpose} needs")]
    Lacking {
        /// Whose role.
        function: String,
        /// The right.
        action: &'static str,
        /// On what.
        queue: String,
        /// For what, such as `its event-source mapping`.
        purpose: &'static str,
    },
    /// A secret could not be stored or read.
    #[error("a secret: {0}")]
    Secret(String),
    /// A bootstrap.
    #[error(transparent)]
    Bootstrap(#[from] BuildError),
}

/// Nothing came of waiting.
#[derive(Debug, thiserror::Error)]
#[error("nothing came of it within {0:?}")]
pub struct Waited(Duration);

impl Stack {
    /// Finds what would keep the stack from starting, before anything is built: a broken template, wrong settings, a
    /// port in use.
    pub async fn check(
        template: &Path,
        overrides: &[(String, String)],
        rewrites: &str,
        port: u16,
    ) -> Result<(), StackError> {
        listen(port).await?;
        check(template, overrides, rewrites)?;
        // What may be deployed, such as a key from elsewhere, may still be nothing to run here.
        Template::load(template, overrides, &nowhere())?;
        Ok(())
    }

    /// Starts everything.
    pub async fn start(options: Options) -> Result<Self, StackError> {
        check(&options.template, &options.overrides, &options.rewrites)?;
        let log_dir = options.directory.join("logs");
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| StackError::File { path, source }
        };
        // The logs are of this run; an earlier one's would be looked into for nothing.
        let _ = std::fs::remove_dir_all(&log_dir);
        std::fs::create_dir_all(&log_dir).map_err(file(&log_dir))?;
        let events = options.directory.join("events.jsonl");
        std::fs::write(&events, "").map_err(file(&events))?;

        let front = listen(options.port).await?;
        let port = front.local_addr().map_err(|source| StackError::Port { port: options.port, source })?.port();
        let (control_url, control) = listen_any().await?;

        let url = format!("http://localhost:{port}");
        let apps = Apps::local();
        let sandbox = Sandbox::start(apps.clone()).await.map_err(|source| StackError::Port { port: 0, source })?;
        sandbox.deliver_to(&url);
        let given =
            |name| options.overrides.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        // The stack's own address is always among the allowed origins.
        let origins = format!("{} {url}", given("AllowedOrigins").unwrap_or_default());
        let mut own = vec![("AllowedOrigins".to_owned(), origins.trim().to_owned())];
        if given("UrlRewrites").is_none() {
            own.push(("UrlRewrites".to_owned(), rewrites(&options.rewrites, &sandbox)));
        }
        let aws_endpoint = options.aws_endpoint.as_deref();
        let ledger = options.ledger.as_deref();
        let overrides = &options.overrides;
        let place = CloudOptions { overrides, own: &own, aws_endpoint, events: &events, api_url: &url, ledger };
        let cloud = Cloud::start(&options.template, place, &apps).await?;
        let Cloud { url: aws_url, template, gateway, clients, embedded, .. } = cloud;
        let mut tasks = vec![cloud.served];

        options.bootstraps.check(template.functions.iter().map(|declared| declared.binary.as_str()))?;
        let host = host(log_dir, cloud.access_keys);
        let function = |declared| Function::new(spec(declared, &options.bootstraps, endpoints(&aws_url)), host.clone());
        let functions: Vec<_> = template.functions.iter().map(function).collect();
        gateway.know(functions.clone());

        let mut timers = Vec::new();
        let pollers = Clients::new(&aws_url, REGION, POLLER_KEY);
        for (declared, function) in template.functions.iter().zip(&functions) {
            let clock = embedded.as_ref().map(|embedded| embedded.sqs.clock()).unwrap_or_default();
            let destination = delegated::destination(declared, &template.queues, &host, &aws_url)?;
            let retries = declared.retries;
            let asynchronous = Asynchronous { function: Arc::clone(function), retries, destination, clock };
            let asynchronous = Arc::new(asynchronous);
            for schedule in &declared.schedules {
                timers.push(Timer::new(schedule, &asynchronous)?);
            }
            for mapping in &declared.mappings {
                delegated::mapped(declared, &mapping.queue_arn)?;
                for queue in template.queues.iter().filter(|queue| queue.arn == mapping.queue_arn) {
                    let pollers = Poller::all(&pollers, queue, mapping, REGION, function);
                    tasks.extend(pollers.into_iter().map(|poller| background(poller.run())));
                }
            }
        }
        tasks.extend(timers.iter().cloned().map(|timer| background(timer.run())));
        let http = Front::new(&template, &functions, format!("localhost:{port}"), ACCOUNT.into())?;
        tasks.push(background(http.serve(front)));
        let controls = Control {
            functions: functions.clone(),
            timers: timers.clone(),
            gateway: Arc::clone(&gateway),
            sqs: embedded.as_ref().map(|embedded| embedded.sqs.clone()),
        };
        tasks.push(background(controls.serve(control)));
        Ok(Self {
            url,
            sandbox,
            apps,
            control_url,
            aws_url,
            clients,
            template,
            gateway,
            host,
            functions,
            embedded,
            timers,
            session_key: cloud.session_key,
            webhook_secrets: cloud.webhook_secrets,
            directory: options.directory,
            tasks: tasks.iter().map(JoinHandle::abort_handle).collect(),
        })
    }

    /// Stops everything and waits until no process is left.
    pub async fn shutdown(self) {
        for task in &self.tasks {
            task.abort();
        }
        for function in &self.functions {
            function.shutdown().await;
        }
        // It may never have been written.
        let _ = std::fs::remove_file(self.env_file());
    }

    /// Every secret of the stack, for looking where it must not be.
    pub fn secrets(&self) -> Vec<String> {
        let apps = [&self.apps.slack, &self.apps.stripe, &self.apps.google];
        let of_apps = apps.into_iter().flat_map(|app| [&app.client_secret, &app.webhook_secret]);
        of_apps.chain([&self.session_key]).map(|secret| secret.expose_secret().to_owned()).collect()
    }

    /// The function of this name without prefix.
    pub fn function(&self, name: &str) -> Option<&Arc<Function>> {
        self.functions.iter().find(|function| function.spec().name.ends_with(&format!("-{name}")))
    }

    /// The table of this name without prefix.
    pub fn table(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix())
    }

    /// The value of the parameter `Prefix`.
    pub fn prefix(&self) -> &str {
        self.template.parameters.get("Prefix").map_or("intertie", String::as_str)
    }

    /// The folder with logs and events.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where [`write_env`](Self::write_env) writes.
    pub fn env_file(&self) -> PathBuf {
        self.directory.join("env")
    }

    /// A session token of `user_id`.
    pub fn session(&self, user_id: &str, role: Option<&str>, life: Duration) -> Option<String> {
        platform::runtime::session::mint(&self.session_key, user_id, role, crate::lambda::now() + life)
    }

    /// Waits for what `check` looks for. It looks again whenever a function or a poller had an answer from AWS, and every
    /// 200 ms for what comes without a call: a line of a log, the end of a process.
    pub async fn until<T>(&self, limit: Duration, mut check: impl AsyncFnMut() -> Option<T>) -> Result<T, Waited> {
        let mut activity = self.gateway.activity();
        let found = async {
            loop {
                activity.mark_unchanged();
                if let Some(found) = check().await {
                    return Some(found);
                }
                if let Ok(ended) = timeout(LOOK, activity.changed()).await {
                    ended.ok()?;
                }
            }
        };
        timeout(limit, found).await.ok().flatten().ok_or(Waited(limit))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Where functions run.
pub(crate) fn host(log_dir: PathBuf, access_keys: AccessKeys) -> Host {
    Host { region: REGION.into(), account: ACCOUNT.into(), log_dir, access_keys }
}

/// A function as the template declares it, with its bootstrap here.
pub(crate) fn spec(
    declared: &template::Function,
    bootstraps: &Bootstraps,
    endpoints: BTreeMap<String, String>,
) -> FunctionSpec {
    let reserved = declared.reserved_concurrency.and_then(|count| usize::try_from(count).ok());
    FunctionSpec {
        name: declared.name.clone(),
        binary: bootstraps.path(&declared.binary),
        arguments: Vec::new(),
        memory_mb: declared.memory_mb,
        timeout: declared.timeout,
        environment: declared.environment.clone(),
        concurrency: reserved.unwrap_or(ENVIRONMENTS),
        log_level: declared.log_level.clone(),
        endpoints,
    }
}

/// The given rewrites, and the sandbox's for all that they do not cover.
fn rewrites(given: &str, sandbox: &Sandbox) -> String {
    let covered =
        |from: &str| given.split_whitespace().any(|pair| from.starts_with(pair.split('=').next().unwrap_or(pair)));
    let own =
        sandbox.rewrites().into_iter().filter(|(from, _)| !covered(from)).map(|(from, to)| format!("{from}={to}"));
    std::iter::once(given.to_owned()).filter(|given| !given.is_empty()).chain(own).collect::<Vec<_>>().join(" ")
}

fn endpoints(aws_url: &str) -> BTreeMap<String, String> {
    Service::ALL.into_iter().map(|service| (service.endpoint_variable().to_owned(), aws_url.to_owned())).collect()
}

async fn listen(port: u16) -> Result<TcpListener, StackError> {
    TcpListener::bind(("127.0.0.1", port)).await.map_err(|source| StackError::Port { port, source })
}

async fn listen_any() -> Result<(String, TcpListener), StackError> {
    let listener = listen(0).await?;
    let address = listener.local_addr().map_err(|source| StackError::Port { port: 0, source })?;
    Ok((format!("http://{address}"), listener))
}
