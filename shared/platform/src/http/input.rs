//! What a request carries: JSON from programs, forms from pages.

use domain::{Problem, error::Kind};
use lambda_http::http::header;
use serde_json::{Map, Value};

use super::Call;

/// The body of a request as fields.
#[derive(Clone)]
pub struct Input {
    /// The fields; those of a form are texts.
    pub fields: Value,
    /// Whether it came from a page, which is answered by leading back to it.
    pub form: bool,
}

/// Fields can be keys and tokens.
impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("form", &self.form).finish_non_exhaustive()
    }
}

impl Input {
    /// Reads the body. None at all is an empty object.
    pub fn of(call: &Call<'_>) -> Result<Self, Problem> {
        let body: &[u8] = call.request.body().as_ref();
        let content_type = call.request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if content_type.is_some_and(|it| it.starts_with("application/x-www-form-urlencoded")) {
            let pairs = form_urlencoded::parse(body);
            let fields: Map<_, _> = pairs.map(|(name, value)| (name.into_owned(), Value::from(value))).collect();
            return Ok(Self { fields: Value::Object(fields), form: true });
        }
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { fields: Value::Object(Map::new()), form: false });
        }
        let fields: Option<Value> = serde_json::from_slice(body).ok();
        let fields = fields.filter(Value::is_object).ok_or_else(|| {
            let message = "The body is not a JSON object.";
            Problem::new(Kind::MalformedRequest, message, "Send a JSON object, with content-type application/json.")
        })?;
        Ok(Self { fields, form: false })
    }

    /// A field that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    /// A field that says yes.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.fields.get(name), Some(Value::Bool(true))) || matches!(self.text(name), Some("true" | "on"))
    }
}
