//! `cargo local`.

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser as _;
use http::Method;
use local_base::{
    terminal::{Failed, complain, say},
    web::Web,
};
use local_bench::Emulator;
use local_cli::{
    arguments::{Check, Cli, Command, Deliveries, Fire, Place, Providers, Replay, Run, Sign, Token},
    bundle::{Bundle, Options},
    environment::line,
    forward::Subscriber,
    joined::Joined,
    operator,
    report::Report,
    rights, settings,
    sign::{sign, sign_as},
    story,
};
use local_runtime::{
    bootstraps::{self, Bootstraps, BuildError, Profile},
    stack::Folder,
};
use local_sandbox::{Apps, Sandbox};
use secrecy::ExposeSecret as _;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        None => run(cli.run).await,
        Some(Command::Sign(options)) => sign_file(options).await,
        Some(Command::Token(options)) => token(options).await,
        Some(Command::Fire(options)) => fire(options).await,
        Some(Command::Deliveries(options)) => deliveries(options).await,
        Some(Command::Replay(options)) => replay(options).await,
        Some(Command::Check(options)) => Ok(check(options)),
        Some(Command::Rights(options)) => match rights::run(&options) {
            Ok(true) => Ok(ExitCode::SUCCESS),
            Ok(false) => Ok(ExitCode::FAILURE),
            Err(error) => Err(error.into()),
        },
        Some(Command::Bench(options)) => local_bench::run(&options, &Apps::local().secrets(), slack)
            .await
            .map(|()| ExitCode::SUCCESS)
            .map_err(Into::into),
        Some(Command::Sandbox(options)) => providers_alone(&options).await,
    };
    outcome.unwrap_or_else(|error| {
        complain(&format!("cargo local: {error}"));
        ExitCode::FAILURE
    })
}

type Outcome = Result<ExitCode, Box<dyn Error>>;

async fn run(run: Run) -> Outcome {
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let mut stack = None;
    // Ctrl-C ends everything at any time, a build or the story included.
    let outcome = tokio::select! {
        () = &mut stop => Ok(None),
        outcome = serve(&run, &mut stack) => outcome.map(Some),
    };
    if matches!(outcome, Ok(Some(_))) && !run.once {
        stop.await;
    }
    if let Some(stack) = stack {
        stack.shutdown().await;
    }
    Ok(match outcome? {
        Some(report) if report.ok || !run.once => ExitCode::SUCCESS,
        Some(_) | None => ExitCode::FAILURE,
    })
}

/// Starts the stack into `running`, plays the story, and prints how to join.
async fn serve(run: &Run, running: &mut Option<Bundle>) -> Result<Report, Box<dyn Error>> {
    let root = bootstraps::root();
    let folder = Folder::lock(&path(&run.folder)?)?;
    let template = root.join("template.yaml");
    let aws_endpoint = run.aws_endpoint.as_deref();
    Bundle::check(&template, &run.parameter_overrides, &rewrites(), run.port, aws_endpoint).await?;
    let bootstraps = chosen(run, &root).await?;
    say("Starting the stack of template.yaml …");
    let stack = running.insert(
        Bundle::start(Options {
            template,
            folder,
            port: run.port,
            overrides: run.parameter_overrides.clone(),
            aws_endpoint: run.aws_endpoint.clone(),
            events_to: run.events_to.clone().map(Subscriber::new),
            rewrites: rewrites(),
            bootstraps,
            ledger: None,
        })
        .await?,
    );
    let (functions, queues, tables) =
        (stack.functions.len(), stack.template.resources.queues.len(), stack.template.resources.tables.len());
    say(&format!("  {functions} functions, {queues} queues, {tables} tables; HTTP API at {}", stack.url));
    stack.write_env()?;
    let mut report = Report::new();
    if !run.no_story {
        say("The story:");
        story::play(stack, &mut report).await;
        if report.ok {
            say("Every step held.");
        } else {
            say(&format!("A step did not hold; the functions' logs are in {}.", stack.folder.logs().display()));
        }
    }
    if let Some(file) = &run.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if !run.once {
        let session = stack.session(story::USER, Some("admin"), Duration::from_hours(8)).unwrap_or_default();
        say(&format!("Status page, signed in: {}/settings/integrations?session={session}", stack.url));
        say(&format!("To join from another terminal: set -a; . '{}'; set +a", stack.folder.env_file().display()));
        if let (Some(url), Some(subscriber)) = (&run.events_to, &stack.events_to) {
            let secret = subscriber.secret.expose_secret();
            say(&format!("Each event of the bus is posted to {url}, signed with {secret} (INTERTIE_EVENTS_SECRET)"));
        }
        if run.print_env {
            stack.environment_lines().iter().for_each(|line| say(line));
        }
        say("Ctrl-C stops everything.");
    }
    Ok(report)
}

/// The bootstraps that `run` names, or else newly built ones.
async fn chosen(run: &Run, root: &Path) -> Result<Bootstraps, Box<dyn Error>> {
    let mut all = match &run.bootstraps {
        Some(folder) => Bootstraps::ready_made(folder)?,
        None => {
            say("Building the functions …");
            Bootstraps::build(root, Profile::Dev, &[]).await?
        }
    };
    for (function, file) in &run.bootstrap {
        all = all.with(function, file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))?);
    }
    Ok(all)
}

/// Starts the emulators for a bench of syncs.
async fn slack() -> Result<Emulator, Failed> {
    let apps = Apps::local();
    let sandbox = Sandbox::start(&apps).await.map_err(Failed::from)?;
    Ok(Emulator {
        url: sandbox.url("slack").to_owned(),
        rewrites: rewrites_to(&sandbox),
        secrets: apps.secrets(),
        running: Box::new(sandbox),
    })
}

/// What leads calls to the emulators, as `INTERTIE_URL_REWRITES` has it.
fn rewrites_to(sandbox: &Sandbox) -> String {
    sandbox.rewrites().into_iter().map(|(from, to)| format!("{from}={to}")).collect::<Vec<_>>().join(" ")
}

/// Serves the providers until a signal, and prints what a stack elsewhere needs to know of them: where they are, the rewrites that
/// lead there, and each app's secret as Secrets Manager holds it.
async fn providers_alone(options: &Providers) -> Outcome {
    let stop = stop_signal()?;
    let apps = Apps::local();
    let sandbox = Sandbox::start(&apps).await?;
    sandbox.deliver_to(&options.webhooks_to);
    let rewrites = rewrites_to(&sandbox);
    let secrets = apps
        .secrets()
        .into_iter()
        .map(|(name, value)| (format!("INTERTIE_SECRET_{}", name.to_uppercase()), value.to_string()));
    for (name, value) in
        sandbox.variables().into_iter().chain([("INTERTIE_URL_REWRITES".to_owned(), rewrites)]).chain(secrets)
    {
        say(&line(&name, &value));
    }
    say("# Ctrl-C stops the providers.");
    stop.await;
    Ok(ExitCode::SUCCESS)
}

/// Problems are the command's result, so that they go to standard output.
fn check(options: Check) -> ExitCode {
    let template = options.template.unwrap_or_else(|| bootstraps::root().join("template.yaml"));
    match settings::check(&template, &options.parameter_overrides, &rewrites()) {
        Ok(()) => {
            say("ok");
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            wrong.0.iter().for_each(|problem| say(problem));
            ExitCode::FAILURE
        }
    }
}

/// The rewrites of the environment; those for what they cover win over the sandbox's.
#[expect(clippy::disallowed_methods, reason = "the documented way to lead calls elsewhere")]
fn rewrites() -> String {
    std::env::var("INTERTIE_URL_REWRITES").unwrap_or_default()
}

/// Resolves on Ctrl-C or SIGTERM.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn path(folder: &Place) -> Result<PathBuf, BuildError> {
    match &folder.directory {
        Some(directory) => Ok(directory.clone()),
        None => Ok(bootstraps::target_folder()?.join("local")),
    }
}

fn joined(folder: &Place) -> Result<Joined, Box<dyn Error>> {
    Ok(Joined::of(&path(folder)?)?)
}

async fn sign_file(options: Sign) -> Outcome {
    let file = &options.file;
    let body = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let headers = match providers::REGISTRY.find(&options.provider).map(providers::Provider::spec) {
        Some(spec) => {
            let joined = joined(&options.folder)?;
            let (app, owner) = (joined.app(spec.secret).await?, joined.integration(&spec.id).await?);
            sign_as(spec.id.as_str(), &body, &app, owner.as_ref(), platform::base::clock::now())?
        }
        // `sign` names the known ones.
        None => sign(&options.provider, &body, &String::new().into(), platform::base::clock::now())?,
    };
    if let Some(url) = options.send {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let response = Web::new().call(Method::POST, &url, &headers, body).await?;
        say(&format!("{} {}", response.status(), String::from_utf8_lossy(response.body())));
        return Ok(if response.status().is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    match options.curl {
        Some(url) => {
            let headers: Vec<_> = headers.iter().map(|(name, value)| format!("-H '{name}: {value}'")).collect();
            say(&format!("curl -i {} --data-binary @'{}' '{url}'", headers.join(" "), file.display()));
        }
        None => headers.iter().for_each(|(name, value)| say(&format!("{name}: {value}"))),
    }
    Ok(ExitCode::SUCCESS)
}

async fn token(options: Token) -> Outcome {
    let key = joined(&options.folder)?.session_key().await?;
    let expires_at = platform::base::clock::now() + Duration::from_secs(options.ttl);
    let token = platform::runtime::session::mint(&key, &options.user, options.role.as_deref(), expires_at);
    say(&token.ok_or("the session key is not Base64")?);
    Ok(ExitCode::SUCCESS)
}

async fn deliveries(options: Deliveries) -> Outcome {
    let lines = operator::deliveries(&joined(&options.folder)?, &options).await?;
    for line in &lines {
        say(line);
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(options: Replay) -> Outcome {
    operator::replay(&joined(&options.folder)?, &options).await?;
    say("replayed");
    Ok(ExitCode::SUCCESS)
}

async fn fire(Fire { folder, schedule }: Fire) -> Outcome {
    let joined = joined(&folder)?;
    let url = format!("{}/schedules/{schedule}/fire", joined.variable("INTERTIE_CONTROL_URL")?);
    let response = Web::new().call(Method::POST, &url, &[], "").await?;
    say(String::from_utf8_lossy(response.body()).trim_end());
    Ok(if response.status().is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
