//! One refresh of a credential at a time in this process: the others wait, and find its result in the table.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{base::lock::lock, client::context::StoredCredential};

/// The refreshes under way.
#[derive(Debug, Default)]
pub(super) struct Flights(std::sync::Mutex<HashMap<String, Arc<Mutex<()>>>>);

impl Flights {
    /// Waits until no other call of this process refreshes the credential, and keeps it so while the guard lives.
    pub(super) async fn board(&self, stored: StoredCredential<'_>) -> OwnedMutexGuard<()> {
        let flight = {
            let mut all = lock(&self.0);
            all.retain(|_, flight| Arc::strong_count(flight) > 1);
            Arc::clone(all.entry(format!("{}#{}", stored.integration.id(), stored.name)).or_default())
        };
        flight.lock_owned().await
    }
}
