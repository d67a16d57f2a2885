//! A bootstrap with two providers more: `webhook-ingest` or `webhook-process`, as its name tells.

mod vendor;

use lambda_runtime::{Error, run, service_fn};
use platform::{Aws, aws::Patience, config, http, telemetry};
use providers::{REGISTRY, Registry};

use self::vendor::VENDORS;

fn registry() -> Registry {
    Registry(REGISTRY.iter().chain(VENDORS).collect::<Vec<_>>().leak())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let name = config::load(|env| env.text("AWS_LAMBDA_FUNCTION_NAME"))?;
    match name {
        name if name.ends_with("-webhook-ingest") => {
            let config = config::load(webhook_ingest::Config::read)?;
            let function = webhook_ingest::Ingest::new(&Aws::from_env(Patience::REQUEST)?, &config, registry()).await;
            http::run(|request| function.handle(request)).await
        }
        name if name.ends_with("-webhook-process") => {
            let config = config::load(webhook_process::Config::read)?;
            let function = webhook_process::Process::new(&Aws::from_env(Patience::QUEUE)?, &config, registry(), [])?;
            run(service_fn(|event| function.handle(event))).await
        }
        name => Err(format!("{name} takes no webhooks").into()),
    }
}
