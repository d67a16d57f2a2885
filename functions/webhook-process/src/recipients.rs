//! The integrations that the events of a batch are for: looked up once for each account, however many events name it.
//!
//! *Invariant:* [`Recipient`] decides which of the integrations found an event is for; nothing else here, or later, decides it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use domain::{Candidate, Lookup, ProviderId, Reached, Recipient};
use platform::{AwsError, base::lock::lock, stores::integrations::Integrations};
use tokio::sync::OnceCell;

/// The integrations that a batch has found, by provider and lookup.
#[derive(Debug)]
pub(crate) struct Recipients {
    integrations: Integrations,
    found: Mutex<HashMap<(&'static ProviderId, Lookup), Lookups>>,
}

type Lookups = Arc<OnceCell<Vec<Candidate>>>;

impl Recipients {
    pub(crate) fn new(integrations: Integrations) -> Self {
        Self { integrations, found: Mutex::default() }
    }

    /// The integrations of a provider that a recipient stands for.
    pub(crate) async fn reached(
        &self,
        provider: &'static ProviderId,
        recipient: &Recipient,
    ) -> Result<Reached, AwsError> {
        let Some(lookup) = &recipient.lookup else { return Ok(recipient.among(Vec::new())) };
        let found = {
            let mut all = lock(&self.found);
            Arc::clone(all.entry((provider, lookup.clone())).or_default())
        };
        // A lookup that fails is made again by the next event that needs it.
        let found = found.get_or_try_init(|| self.integrations.find(provider, lookup)).await?;
        Ok(recipient.among(found.clone()))
    }

    /// Forgets what was found: it may be out of date by the next batch.
    pub(crate) fn forget(&self) {
        lock(&self.found).clear();
    }
}
