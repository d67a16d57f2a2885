//! What a caller sends: the parameters of the query, and a body of JSON from programs or of a form from pages.
//!
//! *Invariant:* a name that the route does not declare, or that stands there twice, is refused before anything is done.

use std::{borrow::Cow, collections::BTreeSet, fmt, ops::RangeInclusive};

use crate::runtime::http::route::Names;
use domain::{
    Problem,
    error::{Field, Kind},
};
use lambda_http::{RequestExt as _, http::header};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::call::Call;

/// The largest body of JSON or form that is taken, in bytes. Only actions carry more, such as attachments: they may be as large as
/// an event.
const MAX_BODY: usize = 256 * 1024;
/// The most characters of an unknown name that the answer repeats.
const MAX_ECHO: usize = 64;

/// The body of a request as fields.
#[derive(Clone)]
pub struct Input {
    /// Those of a form are texts.
    fields: Map<String, Value>,
    /// Whether it came from a page, which is answered by leading back to it.
    pub form: bool,
}

/// Fields can be keys and tokens.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("form", &self.form).finish_non_exhaustive()
    }
}

impl Input {
    /// Reads the body. None at all is an empty object.
    pub fn of(call: &Call<'_>) -> Result<Self, Problem> {
        let body: &[u8] = call.request.body().as_ref();
        if body.len() > MAX_BODY && !call.path().starts_with("/actions/") {
            let message = "The body is larger than anything that is taken here.";
            return Err(Problem::new(Kind::TooLarge, message, format!("Send at most {} KB.", MAX_BODY / 1024)));
        }
        let content_type = call.request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let form = content_type.is_some_and(|it| it.starts_with("application/x-www-form-urlencoded"));
        let pairs = if form {
            let pairs = form_urlencoded::parse(body);
            pairs.map(|(name, value)| (name.into_owned(), Value::from(value))).collect()
        } else if body.iter().all(u8::is_ascii_whitespace) {
            Vec::new()
        } else {
            let pairs: Result<Pairs, _> = serde_json::from_slice(body);
            let Pairs(pairs) = pairs.map_err(|_| {
                let message = "The body is not a JSON object.";
                Problem::new(Kind::MalformedRequest, message, "Send a JSON object, with content-type application/json.")
            })?;
            pairs
        };
        let mut fields = Map::new();
        for (name, value) in pairs {
            if fields.contains_key(&name) {
                let name = clipped(&name);
                let message = format!("The body has the field \"{name}\" more than once.");
                return Err(Problem::field(name, message));
            }
            fields.insert(name, value);
        }
        Ok(Self { fields, form })
    }

    /// A field that is a text. What a form leaves empty is absent.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if self.form && text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Problem::field(name, format!("\"{name}\" must be a text."))),
        }
    }

    /// A field that is true or false; in a form, the text of it, or what a ticked box sends.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, Problem> {
        match (self.fields.get(name), self.form) {
            (None | Some(Value::Null), _) => Ok(None),
            (Some(Value::Bool(flag)), _) => Ok(Some(*flag)),
            (Some(Value::String(text)), true) if text.is_empty() => Ok(None),
            (Some(Value::String(text)), true) if text == "on" => Ok(Some(true)),
            (Some(Value::String(text)), true) => flag(name, text).map(Some),
            (Some(_), _) => Err(not_a_flag(name)),
        }
    }

    /// A field that is a whole number in this range.
    pub fn number(&self, name: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        let number = match self.fields.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value.as_u64().filter(|number| range.contains(number)),
        };
        let wrong = || format!("\"{name}\" must be a whole number from {} to {}.", range.start(), range.end());
        number.map(Some).ok_or_else(|| Problem::field(name, wrong()))
    }

    /// All fields, for an action.
    pub fn into_fields(self) -> Value {
        Value::Object(self.fields)
    }
}

impl Call<'_> {
    /// Refuses, all at once and by name, what the route does not declare and what it has more than once.
    pub fn check(&self) -> Result<(), Problem> {
        let Some(route) = self.route else { return Ok(()) };
        let mut wrong = Vec::new();
        if let (Names::Only(known), Some(query)) = (route.query, self.request.query_string_parameters_ref()) {
            let names: BTreeSet<&str> = query.iter().map(|(name, _)| name).collect();
            wrong.extend(unknown("parameter", names.iter().copied(), known));
            for name in known.iter().filter(|name| query.all(name).is_some_and(|all| all.len() > 1)) {
                let message = format!("The query has \"{name}\" more than once.").into();
                wrong.push(Field { field: (*name).into(), message });
            }
        }
        if let Names::Only(known) = route.body {
            let input = Input::of(self)?;
            wrong.extend(unknown("field", input.fields.keys().map(String::as_str), known));
        }
        if wrong.is_empty() { Ok(()) } else { Err(Problem::fields(wrong)) }
    }

    /// A parameter of the query that is true or false.
    pub fn query_flag(&self, name: &'static str) -> Result<Option<bool>, Problem> {
        self.query(name).map(|text| flag(name, text)).transpose()
    }

    /// What the query or the body says, for a name that may stand in either: `body` is what stands in the body.
    pub fn either<T>(name: &'static str, query: Option<T>, body: Option<T>) -> Result<Option<T>, Problem> {
        if query.is_some() && body.is_some() {
            return Err(Problem::field(name, format!("\"{name}\" stands in the query and in the body.")));
        }
        Ok(query.or(body))
    }
}

fn flag(name: &'static str, text: &str) -> Result<bool, Problem> {
    text.parse().map_err(|_| not_a_flag(name))
}

fn not_a_flag(name: &'static str) -> Problem {
    Problem::field(name, format!("\"{name}\" must be true or false."))
}

/// Those of `names` that are not `known`, each with a sentence that names it and the known ones.
fn unknown<'n>(what: &str, names: impl Iterator<Item = &'n str>, known: &[&str]) -> Vec<Field> {
    let names = names.filter(|name| !known.contains(name)).map(clipped);
    let all: Vec<_> = known.iter().map(|name| format!("\"{name}\"")).collect();
    let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let message = |name: &str| format!("There is no {what} \"{name}\" here. Known: {all}.").into();
    names.map(|name| Field { message: message(&name), field: Cow::Owned(name) }).collect()
}

/// As much of a name that a caller made up as an answer repeats.
pub fn clipped(name: &str) -> String {
    name.chars().take(MAX_ECHO).collect()
}

/// The fields of a JSON object as they stand there: a map would keep the last of two with one name, and tell nothing.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests;
