//! Access keys and the functions that sign with them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use local_base::lock;

/// The function of each access key. Every environment signs its AWS calls with a key of its own, so that the gateway can tell the
/// caller. A key stays known after its environment ended: a call may still be on its way.
#[derive(Clone, Debug, Default)]
pub struct AccessKeys(Arc<Mutex<HashMap<String, String>>>);

impl AccessKeys {
    /// The name of the function that was given `access_key`.
    pub fn owner_of(&self, access_key: &str) -> Option<String> {
        lock(&self.0).get(access_key).cloned()
    }

    /// Lets `function` sign with `access_key` from now on.
    pub fn register(&self, access_key: &str, function: &str) {
        lock(&self.0).insert(access_key.to_owned(), function.to_owned());
    }
}
