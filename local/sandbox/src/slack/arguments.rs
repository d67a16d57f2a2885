//! What every method is given: its caller, and its arguments.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::call::{Call, Reply};

/// The token of a call, and its workspace.
pub(super) struct Caller {
    pub(super) token: String,
    pub(super) team: &'static str,
    pub(super) kind: &'static str,
    pub(super) scopes: Vec<String>,
}

/// Arguments, by query, form or JSON.
pub(super) struct Arguments(Map<String, Value>);

impl Caller {
    /// The refusal, if the scope is not granted.
    pub(super) fn lacks(&self, needed: &str) -> Option<Reply> {
        if self.scopes.iter().any(|scope| scope == needed) {
            return None;
        }
        let provided = self.scopes.join(",");
        let body = json!({ "ok": false, "error": "missing_scope", "needed": needed, "provided": provided });
        Some(Reply::json(StatusCode::OK, &body))
    }
}

impl Arguments {
    /// None if the body claims to be JSON and is not an object.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let form = call.form().unwrap_or_default();
        let pairs = call.query.pairs().chain(form.pairs());
        let mut all: Map<_, _> = pairs.map(|(name, value)| (name.to_owned(), value.into())).collect();
        if call.form().is_none() && !call.body.is_empty() {
            all.extend(call.json()?.as_object()?.clone());
        }
        Some(Self(all))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, name: &str) -> Option<Result<usize, ()>> {
        let value = self.0.get(name)?;
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        Some(number.or_else(|| value.as_str()?.parse().ok()).ok_or(()))
    }

    /// A list: JSON in a JSON body, and in a form, where it is a text. An error is any other value.
    pub(super) fn list(&self, name: &str) -> Option<Result<Value, ()>> {
        let value = self.0.get(name)?;
        let value = value.as_str().map_or_else(|| value.clone(), |text| serde_json::from_str(text).unwrap_or_default());
        Some(if value.is_array() { Ok(value) } else { Err(()) })
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value == true || value == "true" || value == "1")
    }
}
