//! The input of typed actions, read field by field, and how an action goes on.

use domain::{Problem, Request, Sentence, call::Unreadable, error::Field, webhook::json::escaped_len};
use serde_json::{Value, json};

use crate::stream::following;

/// How large a list's result may be, in bytes as they stand in the answer: a Lambda may answer 6 MiB in all, and the result is a
/// text of JSON inside JSON there.
const MAX_RESULT: u64 = 6 * 1024 * 1024 - 64 * 1024;

/// How an action goes on.
#[derive(Debug)]
pub enum Step {
    /// A further call, whose answer the action gets.
    Call(Box<Request>),
    /// This is its result.
    Done(Value),
}

/// The most characters of an unknown field's name that the answer repeats.
const MAX_ECHO: usize = 64;

/// Reads the fields of an action's input, collects what is wrong with them, and refuses every field that was not read.
#[derive(Debug)]
pub struct Fields<'a> {
    input: &'a Value,
    /// What precedes a field's name in an error: empty, or `attachments[0].`.
    prefix: String,
    read: Vec<&'static str>,
    wrong: Vec<Field>,
}

impl<'a> Fields<'a> {
    /// The fields of `input`.
    pub fn of(input: &'a Value) -> Self {
        Self::within(input, String::new())
    }

    fn within(input: &'a Value, prefix: String) -> Self {
        let mut fields = Self { input, prefix, read: Vec::new(), wrong: Vec::new() };
        if !input.is_object() {
            let field =
                if fields.prefix.is_empty() { "body".into() } else { fields.prefix.trim_end_matches('.').to_owned() };
            fields.wrong.push(Field { field: field.into(), message: "This must be an object.".into() });
        }
        fields
    }

    /// The value of a field; null counts as absent.
    fn value(&mut self, field: &'static str) -> Option<&'a Value> {
        if !self.read.contains(&field) {
            self.read.push(field);
        }
        self.input.get(field).filter(|value| !value.is_null())
    }

    /// A text that must be there, and must be more than white space.
    pub fn text(&mut self, field: &'static str) -> &'a str {
        match self.value(field) {
            Some(Value::String(text)) if !text.trim().is_empty() => text,
            None => self.fail(field, "This is missing."),
            Some(Value::String(_)) => self.fail(field, "This may not be empty."),
            Some(_) => self.fail(field, "This must be a text."),
        }
    }

    /// A text that may be left out.
    pub fn optional_text(&mut self, field: &'static str) -> Option<&'a str> {
        self.value(field)?;
        Some(self.text(field)).filter(|text| !text.is_empty())
    }

    /// A text that must be there, and may be empty.
    pub fn any_text(&mut self, field: &'static str) -> &'a str {
        match self.value(field) {
            Some(Value::String(text)) => text,
            None => self.fail(field, "This is missing."),
            Some(_) => self.fail(field, "This must be a text."),
        }
    }

    /// A text or a list of texts, none if the field is left out.
    pub fn texts(&mut self, field: &'static str) -> Vec<&'a str> {
        let texts: Option<Vec<_>> = match self.value(field) {
            None => return Vec::new(),
            Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
            Some(value) => value.as_str().map(|text| vec![text]),
        };
        texts.unwrap_or_else(|| {
            self.fail(field, "This must be a text or a list of texts.");
            Vec::new()
        })
    }

    /// A list that may be left out.
    pub fn optional_list(&mut self, field: &'static str) -> Option<&'a Value> {
        let list = self.value(field)?;
        if !list.is_array() {
            self.fail(field, "This must be a list.");
        }
        Some(list).filter(|list| list.is_array())
    }

    /// A list of objects that may be left out. What [`Fields::join`] is not given is not checked.
    pub fn objects(&mut self, field: &'static str) -> Vec<Self> {
        let list = self.optional_list(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let prefix = &self.prefix;
        list.iter().enumerate().map(|(at, item)| Self::within(item, format!("{prefix}{field}[{at}]."))).collect()
    }

    /// Yes or no; may be left out.
    pub fn optional_flag(&mut self, field: &'static str) -> Option<bool> {
        let flag = self.value(field)?.as_bool();
        if flag.is_none() {
            self.fail(field, "This must be true or false.");
        }
        flag
    }

    /// Notes that a field is wrong.
    pub fn fail(&mut self, field: &'static str, message: impl Into<Sentence>) -> &'a str {
        let field = if self.prefix.is_empty() { field.into() } else { format!("{}{field}", self.prefix).into() };
        self.wrong.push(Field { field, message: message.into() });
        ""
    }

    /// Whether a field was found wrong.
    pub fn is_wrong(&self, field: &str) -> bool {
        self.wrong.iter().any(|wrong| wrong.field == field)
    }

    /// Adds what is wrong with an object of a list.
    pub fn join(&mut self, object: Self) {
        self.wrong.extend(object.all_wrong());
    }

    /// Everything that is wrong, if anything is.
    pub fn check(self) -> Result<(), Problem> {
        let wrong = self.all_wrong();
        if wrong.is_empty() { Ok(()) } else { Err(Problem::fields(wrong)) }
    }

    fn all_wrong(self) -> Vec<Field> {
        let Self { input, prefix, read, mut wrong } = self;
        let known: Vec<_> = read.iter().map(|name| format!("\"{name}\"")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let names = input.as_object().into_iter().flat_map(|fields| fields.keys());
        for name in names.filter(|name| !read.contains(&name.as_str())) {
            let name: String = name.chars().take(MAX_ECHO).collect();
            let message = format!("There is no field \"{name}\" here. Known: {known}.").into();
            wrong.push(Field { field: format!("{prefix}{name}").into(), message });
        }
        wrong
    }
}

/// Goes on with an action that lists pages: keeps the `items` of this one and calls for the page marked `next`, or is done
/// with all of them under `name`. `complete` in the result says whether they are all: not if there are more than `most` pages
/// or more than fits into an answer.
pub(crate) fn gather(
    gathered: &mut Value,
    (name, items): (&str, Vec<Value>),
    next: Option<String>,
    most: u64,
    call: impl FnOnce(&str) -> Result<Request, Unreadable>,
) -> Result<Step, Unreadable> {
    if !gathered.is_object() {
        *gathered = json!({ "name": name, "items": [], "mark": null, "pages": 0, "bytes": 0 });
    }
    let next = following(next, gathered["mark"].as_str())?;
    let pages = gathered["pages"].as_u64().unwrap_or_default() + 1;
    let (mut bytes, mut fits) = (gathered["bytes"].as_u64().unwrap_or_default(), true);
    if let Some(all) = gathered["items"].as_array_mut() {
        for item in items {
            bytes += escaped_len(&item.to_string()) as u64 + 1;
            fits = bytes <= MAX_RESULT;
            if !fits {
                break;
            }
            all.push(item);
        }
    }
    match next {
        Some(mark) if fits && pages < most => {
            let request = call(&mark)?;
            gathered["mark"] = mark.into();
            gathered["pages"] = pages.into();
            gathered["bytes"] = bytes.into();
            Ok(Step::Call(Box::new(request)))
        }
        next => Ok(Step::Done(json!({ name: gathered["items"].take(), "complete": fits && next.is_none() }))),
    }
}

/// The result of an action that lists pages and can't go on, such as for want of time: what it has, not `complete`. None if it
/// has no page yet, or lists none.
pub fn so_far(gathered: &mut Value) -> Option<Value> {
    let name = gathered.get("name")?.as_str()?.to_owned();
    (gathered["pages"].as_u64()? > 0).then(|| json!({ name: gathered["items"].take(), "complete": false }))
}

#[cfg(test)]
mod tests;
