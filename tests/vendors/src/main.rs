//! A bootstrap with two providers more: `webhook-ingest` or `webhook-process`, as its name tells.

mod vendor;

use std::process::ExitCode;

use platform::{
    Aws,
    aws::Patience,
    base::{config, telemetry},
    runtime::{
        bootstrap::{self, StartError, serve},
        http,
    },
};
use providers::{REGISTRY, Registry};

use self::vendor::VENDORS;

fn registry() -> Registry {
    Registry(REGISTRY.iter().chain(VENDORS).collect::<Vec<_>>().leak())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    bootstrap::run(function()).await
}

async fn function() -> Result<(), StartError> {
    let name = config::load(|env| env.text("AWS_LAMBDA_FUNCTION_NAME"))?;
    match name {
        name if name.ends_with("-webhook-ingest") => {
            let config = config::load(webhook_ingest::Config::read)?;
            let function = webhook_ingest::Ingest::new(&Aws::from_env(Patience::REQUEST)?, &config, registry()).await?;
            http::run(|request| function.handle(request)).await
        }
        name if name.ends_with("-webhook-process") => {
            let config = config::load(webhook_process::Config::read)?;
            let function = webhook_process::Process::new(&Aws::from_env(Patience::QUEUE)?, &config, registry(), [])?;
            serve(|event| function.handle(event)).await
        }
        name => Err(StartError::new("UnknownFunction", format!("{name} takes no webhooks"))),
    }
}
