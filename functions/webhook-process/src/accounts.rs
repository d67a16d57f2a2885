//! The integrations that the events of a batch are for: looked up once for each account, however many events name it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::{IntegrationKey, Lookup};
use platform::AwsError;
use tokio::sync::OnceCell;

/// The integrations that were found, by provider and what they were looked up by.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Mutex<HashMap<(&'static str, Lookup), Found>>);

type Found = Arc<OnceCell<Vec<IntegrationKey>>>;

impl Accounts {
    /// The integrations of a lookup: what `read` finds, or what another message of the batch found.
    pub(crate) async fn get(
        &self,
        of: (&'static str, Lookup),
        read: impl Future<Output = Result<Vec<IntegrationKey>, AwsError>>,
    ) -> Result<Vec<IntegrationKey>, AwsError> {
        let found = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(of).or_default())
        };
        // Whoever fails leaves it to the next.
        found.get_or_try_init(|| read).await.cloned()
    }

    /// The batch is over: what was found may be old by the next.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
