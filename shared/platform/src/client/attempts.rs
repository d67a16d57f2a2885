//! Credentials that attempts have read, so that an attempt with many calls opens its credential once.
//!
//! *Invariant:* a credential is good for the attempt that read it: another attempt may find that the integration was
//! disconnected.

use std::sync::{Arc, Mutex};

use crate::{base::lock::lock, client::context::StoredCredential, stores::credentials::Credential};

/// The most credentials that are remembered: more than the attempts of an invocation.
const MAX: usize = 64;

/// The credentials, the oldest first.
#[derive(Debug, Default)]
pub(super) struct AttemptCredentials(Mutex<Vec<Entry>>);

#[derive(Debug)]
struct Entry {
    holder: String,
    credential: Arc<Credential>,
}

impl Entry {
    fn is(&self, stored: StoredCredential<'_>) -> bool {
        let credential = &self.credential;
        self.holder == stored.holder && credential.name == *stored.name && credential.integration == *stored.integration
    }
}

impl AttemptCredentials {
    /// The credential that the attempt has read before.
    pub(super) fn get(&self, stored: StoredCredential<'_>) -> Option<Arc<Credential>> {
        let all = lock(&self.0);
        all.iter().find(|entry| entry.is(stored)).map(|entry| Arc::clone(&entry.credential))
    }

    /// Remembers a credential in place of the one that the attempt has read before.
    pub(super) fn put(&self, stored: StoredCredential<'_>, credential: &Arc<Credential>) {
        let mut all = lock(&self.0);
        all.retain(|entry| !entry.is(stored));
        if all.len() >= MAX {
            all.remove(0);
        }
        all.push(Entry { holder: stored.holder.to_owned(), credential: Arc::clone(credential) });
    }
}
