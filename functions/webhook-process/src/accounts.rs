//! The integrations that the events of a batch are for: looked up once for each account, however many events name it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use domain::{IntegrationKey, Lookup};
use platform::{AwsError, base::lock::lock};
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
            let mut all = lock(&self.0);
            Arc::clone(all.entry(of).or_default())
        };
        // A lookup that fails is left to the next message.
        found.get_or_try_init(|| read).await.cloned()
    }

    /// The batch is over: what was found may be old by the next.
    pub(crate) fn forget(&self) {
        lock(&self.0).clear();
    }
}
