//! Calls of a provider's own API, by path.

use domain::{Request, call::segment};

use crate::Spec;

impl Spec {
    /// A call that reads `path`, relative to the API's base; `{id}` in it stands for `id`. The path names the call in logs.
    pub fn get(&self, path: &'static str, id: &str) -> Request {
        Request::get(path, self.url(path, id))
    }

    /// A call that changes something at `path`, likewise.
    pub fn post(&self, path: &'static str, id: &str) -> Request {
        Request::post(path, self.url(path, id))
    }

    fn url(&self, path: &str, id: &str) -> String {
        format!("{}{}", self.api.base, path.replace("{id}", &segment(id)))
    }
}
