//! The whole stack: AWS, gateway, functions, HTTP API, pollers, schedules, controls, wired by template.yaml.

mod cloud;
mod delegated;
mod error;
mod folder;
mod functions;
mod listen;
mod triggers;

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::Method;
use local_aws::{ACCOUNT, Clients, Embedded, Gateway};
use local_base::{background, web::Web};
use secrecy::SecretString;
use serde_json::Value;
use tokio::{
    task::{AbortHandle, JoinHandle},
    time::timeout,
};

pub use self::{
    cloud::{Cloud, CloudOptions},
    error::StackError,
    folder::{Folder, FolderError},
    functions::{endpoints, host, spec},
};
use self::{
    listen::{listen, listen_any},
    triggers::Triggers,
};
use crate::{
    bootstraps::Bootstraps,
    control::Control,
    front::Front,
    lambda::{Function, Host},
    schedule::Timer,
    template::{Context, Template},
};

/// How long [`Stack::until`] waits at most for a call before it checks again.
const LOOK: Duration = Duration::from_millis(200);
/// How long an AWS that is said to be running may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Options {
    pub template: PathBuf,
    /// Where logs, events and the environment file go.
    pub folder: Folder,
    /// The HTTP API's port; 0 for any.
    pub port: u16,
    pub overrides: Vec<(String, String)>,
    /// See [`Context::own`]; `AllowedOrigins` is added.
    pub own: Vec<(String, String)>,
    /// Secrets to store, by their names without prefix.
    pub secrets: Vec<(&'static str, Value)>,
    /// An AWS that is already running, in place of the embedded one.
    pub aws_endpoint: Option<String>,
    /// The functions' binaries.
    pub bootstraps: Bootstraps,
    /// Where the rights that functions use are recorded; see [`Ledger`](local_aws::rights::Ledger).
    pub ledger: Option<PathBuf>,
}

pub struct Stack {
    pub url: String,
    /// Where the controls answer.
    pub control_url: String,
    /// Where AWS answers.
    pub aws_url: String,
    /// Clients that the gateway does not restrict.
    pub clients: Clients,
    pub template: Arc<Template>,
    /// The gateway to AWS, with its faults and counts.
    pub gateway: Arc<Gateway>,
    /// What the functions share, to start an environment beside theirs.
    pub host: Host,
    /// The functions, in the template's order.
    pub functions: Vec<Arc<Function>>,
    /// The embedded services; none with an AWS that is already running.
    pub embedded: Option<Embedded>,
    pub timers: Vec<Timer>,
    pub session_key: SecretString,
    /// Its lock is held as long as the stack is.
    pub folder: Folder,
    tasks: Vec<AbortHandle>,
}

/// What was waited for did not happen.
#[derive(Debug, thiserror::Error)]
#[error("it did not happen within {0:?}")]
pub struct Waited(Duration);

impl Stack {
    /// Finds what would keep the stack from starting, before anything is built: a port in use, a broken template, an
    /// AWS that does not answer.
    pub async fn check(
        template: &Path,
        overrides: &[(String, String)],
        port: u16,
        aws_endpoint: Option<&str>,
    ) -> Result<(), StackError> {
        listen(port).await?;
        if let Some(url) = aws_endpoint {
            // Any answer will do: a service refuses a request without an action.
            let answer = timeout(ANSWER, Web::new().call(Method::GET, url, &[], "")).await;
            let reason = match answer {
                Ok(answered) => answered.err().map(|error| cause(&error)),
                Err(_) => Some(format!("no answer within {} seconds", ANSWER.as_secs())),
            };
            reason.map_or(Ok(()), |reason| Err(StackError::Endpoint { url: url.to_owned(), reason }))?;
        }
        // A parameter that is right when deployed, such as a key of another account, may be of no use here.
        Template::load(template, overrides, &Context::nowhere())?;
        Ok(())
    }

    pub async fn start(mut options: Options) -> Result<Self, StackError> {
        options.folder.empty()?;
        let (log_dir, events) = (options.folder.logs(), options.folder.events());
        let front = listen(options.port).await?;
        let port = front.local_addr().map_err(|source| StackError::Port { port: options.port, source })?.port();
        let (control_url, control) = listen_any().await?;
        let url = format!("http://localhost:{port}");
        options.folder.serves(&url)?;

        let cloud = CloudOptions {
            overrides: &options.overrides,
            own: &own(&options, &url),
            secrets: &options.secrets,
            aws_endpoint: options.aws_endpoint.as_deref(),
            events: &events,
            api_url: &url,
            ledger: options.ledger.as_deref(),
        };
        let cloud = Cloud::start(&options.template, cloud).await?;
        let Cloud { url: aws_url, template, gateway, clients, embedded, .. } = cloud;
        let mut tasks = vec![cloud.served];

        options.bootstraps.check(template.functions.iter().map(|declared| declared.binary.as_str()))?;
        let host = host(log_dir, cloud.access_keys);
        let function = |declared| Function::new(spec(declared, &options.bootstraps, endpoints(&aws_url)), host.clone());
        let functions: Vec<_> = template.functions.iter().map(function).collect();
        let killed = functions.clone();
        gateway.set_kill(move |access_key| {
            // Only one of them has the environment.
            let _ = killed.iter().any(|function| function.kill_environment(access_key));
        });

        let clock = embedded.as_ref().map(|embedded| embedded.sqs.clock()).unwrap_or_default();
        let Triggers { timers, pollers } = Triggers::new(&template, &functions, &host, &aws_url, &clock)?;
        tasks.extend(pollers.iter().cloned().map(|poller| background(poller.run())));
        tasks.extend(timers.iter().cloned().map(|timer| background(timer.run())));
        let http = Front::new(&template, &functions, format!("localhost:{port}"), ACCOUNT.into())?;
        let requests = http.requests();
        tasks.push(background(http.serve(front)));
        let controls = Control {
            functions: functions.clone(),
            timers: timers.clone(),
            pollers,
            gateway: Arc::clone(&gateway),
            sqs: embedded.as_ref().map(|embedded| embedded.sqs.clone()),
            requests,
            api_id: template.api_id.clone(),
            monitoring: template.monitoring.clone(),
        };
        tasks.push(background(controls.serve(control)));
        Ok(Self {
            url,
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
            folder: options.folder,
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

    /// Waits until `check` finds something. It checks again whenever a call of a function or a poller to AWS ends, and every 200 ms
    /// for what happens without a call: a line of a log, the end of a process.
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

/// What is at the bottom of an error, in words.
fn cause(error: &dyn Error) -> String {
    let mut bottom = error;
    while let Some(source) = bottom.source() {
        bottom = source;
    }
    bottom.to_string()
}

/// The parameters that the stack itself sets: those given, and its own address among the allowed origins.
fn own(options: &Options, url: &str) -> Vec<(String, String)> {
    let given = options.overrides.iter().rev().find(|(name, _)| name == "AllowedOrigins");
    let origins = format!("{} {url}", given.map_or("", |(_, origins)| origins));
    let origins = ("AllowedOrigins".to_owned(), origins.trim().to_owned());
    std::iter::once(origins).chain(options.own.iter().cloned()).collect()
}
