//! Whose the accounts of a batch are: asked once, however many events of it are theirs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::IntegrationKey;
use platform::AwsError;
use tokio::sync::OnceCell;

/// The integrations of accounts, by `provider#account`.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Mutex<HashMap<String, Found>>);

type Found = Arc<OnceCell<Vec<IntegrationKey>>>;

impl Accounts {
    /// The integrations of an account: what `read` finds, or what another message of the batch found.
    pub(crate) async fn get(
        &self,
        account: String,
        read: impl Future<Output = Result<Vec<IntegrationKey>, AwsError>>,
    ) -> Result<Vec<IntegrationKey>, AwsError> {
        let found = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(account).or_default())
        };
        // Whoever fails leaves it to the next.
        found.get_or_try_init(|| read).await.cloned()
    }

    /// The batch is over: what was found may be old by the next.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
