//! The input of typed actions, read field by field, and how an action goes on.

use domain::{Problem, Request, call::Unreadable, error::Field};
use serde_json::{Value, json};

use crate::stream::following;

/// How an action goes on.
#[derive(Debug)]
pub enum Step {
    /// Another call.
    Call(Box<Request>),
    /// This is its result.
    Done(Value),
}

/// Reads the fields of an action's input and collects what is wrong with them.
#[derive(Debug)]
pub struct Fields<'a> {
    input: &'a Value,
    wrong: Vec<Field>,
}

impl<'a> Fields<'a> {
    /// The fields of `input`.
    pub fn of(input: &'a Value) -> Self {
        let wrong = if input.is_object() {
            Vec::new()
        } else {
            vec![Field { field: "".into(), message: "The body must be an object.".to_owned() }]
        };
        Self { input, wrong }
    }

    /// A text that must be there.
    pub fn text(&mut self, field: &'static str) -> &'a str {
        match self.input.get(field) {
            Some(Value::String(text)) if !text.trim().is_empty() => text,
            None | Some(Value::Null) => self.fail(field, "This is missing."),
            Some(Value::String(_)) => self.fail(field, "This may not be empty."),
            Some(_) => self.fail(field, "This must be a text."),
        }
    }

    /// A text that may be left out.
    pub fn optional_text(&mut self, field: &'static str) -> Option<&'a str> {
        match self.input.get(field) {
            None | Some(Value::Null) => None,
            Some(_) => Some(self.text(field)).filter(|text| !text.is_empty()),
        }
    }

    /// A list that may be left out.
    pub fn optional_list(&mut self, field: &'static str) -> Option<&'a Value> {
        match self.input.get(field) {
            None | Some(Value::Null) => None,
            Some(list @ Value::Array(_)) => Some(list),
            Some(_) => {
                self.fail(field, "This must be a list.");
                None
            }
        }
    }

    /// Yes or no; may be left out.
    pub fn optional_flag(&mut self, field: &'static str) -> Option<bool> {
        match self.input.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(_) => {
                self.fail(field, "This must be true or false.");
                None
            }
        }
    }

    /// Notes that a field is wrong.
    pub fn fail(&mut self, field: &'static str, message: &str) -> &'a str {
        self.wrong.push(Field { field: field.into(), message: message.to_owned() });
        ""
    }

    /// Everything that is wrong, if anything is.
    pub fn check(self) -> Result<(), Problem> {
        if self.wrong.is_empty() { Ok(()) } else { Err(Problem::fields(self.wrong)) }
    }
}

/// Goes on with an action that lists pages: keeps the `items` of this one and calls for the page marked `next`, or is done
/// with all of them under `name`. `complete` in the result tells whether there were more than `most` pages.
pub(crate) fn gather(
    gathered: &mut Value,
    (name, items): (&str, Vec<Value>),
    next: Option<String>,
    most: u64,
    call: impl FnOnce(&str) -> Result<Request, Unreadable>,
) -> Result<Step, Unreadable> {
    if !gathered.is_object() {
        *gathered = json!({ "items": [], "mark": null, "pages": 0 });
    }
    let next = following(next, gathered["mark"].as_str())?;
    let pages = gathered["pages"].as_u64().unwrap_or_default() + 1;
    if let Some(all) = gathered["items"].as_array_mut() {
        all.extend(items);
    }
    match next {
        Some(mark) if pages < most => {
            let request = call(&mark)?;
            gathered["mark"] = mark.into();
            gathered["pages"] = pages.into();
            Ok(Step::Call(Box::new(request)))
        }
        next => Ok(Step::Done(json!({ name: gathered["items"].take(), "complete": next.is_none() }))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let input = json!({"a": 1, "b": "", "d": {}, "e": "x"});
        let mut fields = Fields::of(&input);
        fields.text("a");
        fields.text("b");
        fields.text("c");
        fields.optional_list("d");
        assert_eq!(fields.optional_text("e"), Some("x"));
        assert_eq!(fields.optional_flag("f"), None);
        let problem = fields.check().unwrap_err();
        assert_eq!(problem.fields.iter().map(|it| &*it.field).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }
    #[test]
    fn pages_are_gathered_until_the_last_or_the_limit_and_a_loop_ends() {
        let mut gathered = Value::Null;
        let mut step = |item: u8, next: Option<&str>| {
            let call = |mark: &str| Ok(Request::get("/x", format!("https://x/{mark}")));
            gather(&mut gathered, ("all", vec![item.into()]), next.map(str::to_owned), 3, call)
        };
        assert!(matches!(step(1, Some("a")), Ok(Step::Call(request)) if request.url == "https://x/a"));
        assert_eq!(step(2, Some("a")).unwrap_err(), Unreadable("a page that follows itself"));
        assert!(matches!(step(2, Some("b")), Ok(Step::Call(_))));
        let Ok(Step::Done(result)) = step(3, Some("c")) else { panic!("over the limit") };
        assert_eq!(result, json!({"all": [1, 2, 3], "complete": false}));
        let done = gather(&mut Value::Null, ("all", vec![]), None, 3, |_| Err(Unreadable("never called")));
        assert!(matches!(done, Ok(Step::Done(result)) if result == json!({"all": [], "complete": true})));
    }
}
