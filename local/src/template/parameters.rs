//! The template's parameters: overrides over defaults, each checked against its own declaration.
//!
//! `AllowedPattern` is left to the deployment: it is a Java regular expression, and what passes through it
//! here is the developer's own input.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Number, Value};
use serde_yaml_ng::Mapping;

use super::{document::key, error::TemplateError, resolve::text};

/// Parameter values by name; a Number as a JSON number, a list as an array of strings.
pub(super) type Parameters = BTreeMap<String, Value>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Declaration {
    r#type: Type,
    default: Option<Value>,
    allowed_values: Option<Vec<Value>>,
    min_value: Option<f64>,
    max_value: Option<f64>,
    min_length: Option<usize>,
    max_length: Option<usize>,
}

#[derive(Clone, Copy, Deserialize)]
enum Type {
    String,
    Number,
    CommaDelimitedList,
}

/// Values for all `declared` parameters. A name given twice in `overrides` takes its last value.
pub(super) fn read(declared: &Mapping, overrides: &[(String, String)]) -> Result<Parameters, TemplateError> {
    if let Some((name, _)) = overrides.iter().find(|(name, _)| !declared.contains_key(name.as_str())) {
        let known: Vec<_> = declared.keys().filter_map(|name| name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(TemplateError::UnknownParameter { name: name.clone(), known });
    }
    let mut parameters = Parameters::new();
    for (name, declaration) in declared {
        let name = key(name, "Parameters")?;
        let declaration: Declaration = serde_json::to_value(declaration)
            .and_then(serde_json::from_value)
            .map_err(|source| TemplateError::Properties { path: format!("Parameters.{name}"), source })?;
        let given = overrides.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let value = given
            .or_else(|| declaration.default.as_ref().and_then(text))
            .ok_or_else(|| TemplateError::MissingParameter { name: name.to_owned() })?;
        let typed = declaration.check(&value).map_err(|rule| TemplateError::ParameterValue {
            name: name.to_owned(),
            value,
            rule,
        })?;
        parameters.insert(name.to_owned(), typed);
    }
    Ok(parameters)
}

impl Declaration {
    /// The value in its type, or the rule that it breaks.
    fn check(&self, value: &str) -> Result<Value, String> {
        match self.r#type {
            Type::String => {
                self.check_length(value)?;
                self.check_allowed(value)?;
                Ok(Value::from(value))
            }
            Type::Number => {
                self.check_allowed(value)?;
                self.number(value).map(Value::Number)
            }
            Type::CommaDelimitedList => {
                let items: Vec<_> = value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
                items.iter().try_for_each(|item| self.check_allowed(item))?;
                Ok(Value::from(items))
            }
        }
    }

    fn check_allowed(&self, value: &str) -> Result<(), String> {
        let Some(allowed) = &self.allowed_values else { return Ok(()) };
        let allowed: Vec<_> = allowed.iter().filter_map(text).collect();
        if allowed.iter().any(|allowed| allowed == value) {
            return Ok(());
        }
        Err(format!("one of {}", allowed.join(", ")))
    }

    fn check_length(&self, value: &str) -> Result<(), String> {
        let length = value.chars().count();
        match (self.min_length, self.max_length) {
            (Some(least), _) if length < least => Err(format!("at least {least} characters long")),
            (_, Some(most)) if length > most => Err(format!("at most {most} characters long")),
            _ => Ok(()),
        }
    }

    fn number(&self, value: &str) -> Result<Number, String> {
        let number: Number = value.parse().map_err(|_| "a number".to_owned())?;
        let float = number.as_f64().ok_or_else(|| "a number".to_owned())?;
        match (self.min_value, self.max_value) {
            (Some(least), _) if float < least => Err(format!("at least {least}")),
            (_, Some(most)) if float > most => Err(format!("at most {most}")),
            _ => Ok(number),
        }
    }
}
