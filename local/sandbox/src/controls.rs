//! The calls of an emulator's controls, with the fields of their bodies. Anything else is refused by name, so that a misspelt order
//! does not pass for one that was carried out.

use http::{Method, StatusCode};
use serde_json::Value;

/// One call: its method, its path with `*` for a part, and the fields of its body, in groups.
pub(super) struct Control(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static [&'static [&'static str]],
);

/// The calls that every emulator has. Their bodies are types.
pub(super) const SHARED: &[Control] = &[
    Control("GET", "calls", &[]),
    Control("DELETE", "calls", &[]),
    Control("GET", "deliveries", &[]),
    Control("DELETE", "deliveries", &[]),
    Control("GET", "deliveries/under_way", &[]),
    Control("POST", "deliveries/hold", &[&["hold"]]),
    Control("POST", "deliveries/lose", &[&["chance"]]),
    Control("POST", "deliveries/take", &[]),
    Control("GET", "faults", &[]),
    Control("POST", "faults", &[&["match", "effect", "times", "chance"]]),
    Control("DELETE", "faults", &[]),
    Control("POST", "limit", &[&["match", "per_second", "burst"]]),
    Control("DELETE", "limit", &[]),
    Control("POST", "between_pages", &[&["match", "then"]]),
    Control("DELETE", "between_pages", &[]),
];

/// The calls that every emulator with OAuth has.
pub(super) const GRANTS: &[Control] = &[
    Control("GET", "grants", &[]),
    Control("GET", "secrets", &[]),
    Control("POST", "grants/revoke", &[&["account"]]),
    Control("POST", "tokens/expire", &[&["account"]]),
    Control("POST", "tokens/life", &[&["seconds"]]),
    Control("POST", "tokens/renewable", &[&["renewable"]]),
];

type Is = fn(&Value) -> bool;

/// What a value must be, for names that mean the same in all calls.
const TYPES: &[(&str, &str, Is)] = &[
    ("account", "a text", Value::is_string),
    ("calendar", "true or false", Value::is_boolean),
    ("calendar_id", "a text", Value::is_string),
    ("blocked", "true or false", Value::is_boolean),
    ("channels", "a number", Value::is_u64),
    ("claims", "an object", Value::is_object),
    ("data", "an object", Value::is_object),
    ("destination", "a text", Value::is_string),
    ("event", "an object", Value::is_object),
    ("floor", "a number", Value::is_u64),
    ("history_id", "a text", Value::is_string),
    ("key", "a text", Value::is_string),
    ("ids", "a list", Value::is_array),
    ("invalid", "true or false", Value::is_boolean),
    ("kind", "a text", Value::is_string),
    ("labelIds", "a list", Value::is_array),
    ("livemode", "true or false", Value::is_boolean),
    ("mail", "true or false", Value::is_boolean),
    ("renewable", "true or false", Value::is_boolean),
    ("seconds", "a number", Value::is_i64),
    ("silent", "true or false", Value::is_boolean),
    ("team", "a text", Value::is_string),
    ("users", "a number", Value::is_u64),
    ("whole", "true or false", Value::is_boolean),
];

/// Why an order is not carried out: the status and a sentence.
pub(super) type Refused = (StatusCode, String);

/// Refuses a call that none of these is, fields that it does not have, and values of another type.
pub(super) fn check<'c>(
    mut known: impl Iterator<Item = &'c Control>,
    method: &Method,
    path: &[&str],
    body: &Value,
) -> Result<(), Refused> {
    let Some(Control(.., groups)) = known.find(|control| control.is(method, path)) else {
        let name = format!("{method} /_admin/{}", path.join("/"));
        return Err((StatusCode::NOT_FOUND, format!("there is no {name}")));
    };
    let Some(fields) = body.as_object() else {
        return Err((StatusCode::UNPROCESSABLE_ENTITY, "the body must be an object".to_owned()));
    };
    for (name, value) in fields {
        if !groups.iter().any(|group| group.contains(&name.as_str())) {
            let all = groups.concat().join(", ");
            let words =
                format!("there is no field {name:?} here; known: {}", if all.is_empty() { "none" } else { &all });
            return Err((StatusCode::UNPROCESSABLE_ENTITY, words));
        }
        let wrong = TYPES.iter().find(|(of, _, is)| of == name && !value.is_null() && !is(value));
        if let Some((_, what, _)) = wrong {
            return Err((StatusCode::UNPROCESSABLE_ENTITY, format!("{name:?} must be {what}")));
        }
    }
    Ok(())
}

impl Control {
    pub(super) fn is(&self, method: &Method, path: &[&str]) -> bool {
        let parts: Vec<_> = self.1.split('/').collect();
        let same = |(part, is): (&&str, &&str)| *part == "*" || part == is;
        method == self.0 && parts.len() == path.len() && parts.iter().zip(path).all(same)
    }
}
