//! The account's name, read again: a name can change, and pushes may name the account by it.

use domain::{
    Integration,
    integration::spell::{Spell, Task},
    messages::message::{Cause, SyncMessage},
    sync::SyncJob,
};
use jiff::SignedDuration;
use platform::{
    AwsError,
    base::clock,
    client::{CallContext, CallError},
    runtime::consumer::Attempt,
};
use providers::Provider;
use serde_json::Value;

use crate::SyncWorker;

/// How often it is stored that a name is still the same.
const STORED: SignedDuration = SignedDuration::from_hours(24);

impl SyncWorker {
    /// Asks the service for the name, if it is due, and stores it. A provider that does not tell it stops no sync.
    pub(crate) async fn name(
        &self,
        provider: &dyn Provider,
        integration: &Integration,
        message: &SyncMessage,
        attempt: &Attempt,
    ) -> Result<(), AwsError> {
        let spec = provider.spec();
        let Some(service) = spec.identity.service.as_ref().filter(|_| is_due(integration, message)) else {
            return Ok(());
        };
        let (api, request) = (spec.provider_api(), spec.get(service.path, ""));
        let context = CallContext::integration(&api, &integration.key, &attempt.id, attempt.deadline);
        let name = match self.client.call(&context, &request).await {
            Ok(reply) => {
                let answer = reply.json::<Value>().unwrap_or_default();
                answer.pointer(service.name).and_then(Value::as_str).map(str::to_owned)
            }
            // The sync meets it, too, and tells it.
            Err(CallError::Aws(_)) => return Ok(()),
            Err(error @ (CallError::Failed(..) | CallError::Corrupt(_) | CallError::NotConnected)) => {
                let (reason, detail) = error.diagnosis(spec.name).into_parts();
                tracing::info!(reason = reason.name(), detail, "the account's name was not read");
                None
            }
        };
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| integration.account_name.clone());
        let address = spec.identity.address(&name);
        let same = name == integration.account_name && address == integration.address;
        if same && message.cause == Cause::Due && clock::now().duration_since(integration.named_at) < STORED {
            return Ok(());
        }
        let named = Integration { account_name: name, address, named_at: clock::now(), ..integration.clone() };
        self.integrations.rename(&named).await
    }
}

/// A sync that the schedule or a caller asks for reads the name, while syncs work. A push that arrived named the account as it is known here.
fn is_due(integration: &Integration, message: &SyncMessage) -> bool {
    let reads = matches!(message.r#type, SyncJob::Full | SyncJob::Incremental) && message.stage.is_first();
    // Connecting has read it, or an earlier attempt at this message.
    let asked = message.cause == Cause::Asked && message.asked_at > integration.named_at;
    // What a provider refuses to sync it is not asked for besides.
    let syncs = |spell: &Spell| spell.failing.contains(&Task::Syncs);
    let scheduled = message.cause == Cause::Due && !integration.spells.current.as_ref().is_some_and(syncs);
    reads && (asked || scheduled)
}
