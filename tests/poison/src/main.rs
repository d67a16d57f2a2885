//! `webhook-process` with one handler more, which panics: proves on a bootstrap as deployed that a panic stays with its own
//! message.

use std::process::ExitCode;

use platform::{
    Aws,
    aws::Patience,
    base::{config, telemetry},
    runtime::bootstrap,
};
use webhook_process::{Config, EventHandler, HandlerError, HandlerInput, Process};

/// The event whose handler panics.
const POISON: &str = "evt_poison";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let function = async {
        let config = config::load(Config::read)?;
        let table = [EventHandler::new("stripe", "customer.updated", |input| Box::pin(panics_on_poison(input)))];
        let function = Process::new(&Aws::from_env(Patience::QUEUE)?, &config, providers::REGISTRY, table)?;
        bootstrap::serve(|event| function.handle(event)).await
    };
    bootstrap::run(function).await
}

#[expect(clippy::unused_async, reason = "a handler is async; this one waits for nothing")]
#[expect(clippy::panic, reason = "the panic is what is tested")]
async fn panics_on_poison(input: HandlerInput<'_>) -> Result<(), HandlerError> {
    if *input.event.id() == POISON { panic!("poisoned") } else { Ok(()) }
}
