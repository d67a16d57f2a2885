//! The template's parameters: overrides over defaults, each checked against its own declaration.
//!
//! *Invariant:* all problems are found, not the first one only; a value is used only if there is none.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::{Number, Value};
use serde_yaml_ng::Mapping;

use super::{
    document::key,
    error::{ParameterProblem, TemplateError},
};

/// Parameter values by name; a Number as a JSON number, a list as an array of strings.
pub(super) type Parameters = BTreeMap<String, Value>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Declaration {
    r#type: Type,
    default: Option<Value>,
    allowed_pattern: Option<String>,
    allowed_values: Option<Vec<Value>>,
    constraint_description: Option<String>,
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

/// Values for the `declared` parameters, and what is wrong with them. A name given twice in `overrides` takes its last value; a
/// value that its declaration refuses stands as the text that it is.
pub(super) fn read(
    declared: &Mapping,
    overrides: &[(String, String)],
) -> Result<(Parameters, Vec<ParameterProblem>), TemplateError> {
    let mut parameters = Parameters::new();
    let mut problems = unknown(declared, overrides);
    for (name, declaration) in declared {
        let name = key(name, "Parameters")?;
        let path = || format!("Parameters.{name}");
        let declaration: Declaration = serde_json::to_value(declaration)
            .and_then(serde_json::from_value)
            .map_err(|source| TemplateError::Properties { path: path(), source })?;
        let pattern = declaration.pattern().map_err(|source| TemplateError::Pattern { path: path(), source })?;
        let given = overrides.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let Some(value) = given.or_else(|| declaration.default.as_ref().and_then(text)) else {
            problems.push(ParameterProblem::Missing { name: name.to_owned() });
            continue;
        };
        let typed = match declaration.check(&value, pattern.as_ref()) {
            Ok(typed) => typed,
            Err(rule) => {
                let description =
                    declaration.constraint_description.map(|words| words.trim_end_matches('.').to_owned());
                let parts = [Some(rule).filter(|rule| !rule.is_empty()), description];
                let rule = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
                problems.push(ParameterProblem::Value { name: name.to_owned(), value: value.clone(), rule });
                Value::from(value)
            }
        };
        parameters.insert(name.to_owned(), typed);
    }
    Ok((parameters, problems))
}

fn unknown(declared: &Mapping, overrides: &[(String, String)]) -> Vec<ParameterProblem> {
    let known: Vec<_> = declared.keys().filter_map(|name| name.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let unknown = overrides.iter().filter(|(name, _)| !declared.contains_key(name.as_str()));
    unknown.map(|(name, _)| ParameterProblem::Unknown { name: name.clone(), known: known.clone() }).collect()
}

impl Declaration {
    /// `AllowedPattern` matches the whole value, and each value of a list
    /// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html>, read in November
    /// 2026). CloudFormation takes Java's syntax; what only Java knows is an error here.
    fn pattern(&self) -> Result<Option<Regex>, regex_lite::Error> {
        self.allowed_pattern.as_ref().map(|pattern| Regex::new(&format!(r"\A(?:{pattern})\z"))).transpose()
    }

    /// The value in its type, or the rule that it breaks.
    fn check(&self, value: &str, pattern: Option<&Regex>) -> Result<Value, String> {
        match self.r#type {
            Type::String => {
                self.check_length(value)?;
                self.check_allowed(value)?;
                self.check_pattern(value, pattern)?;
                Ok(Value::from(value))
            }
            Type::Number => {
                self.check_allowed(value)?;
                self.number(value).map(Value::Number)
            }
            Type::CommaDelimitedList => {
                let items: Vec<_> = value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
                items.iter().try_for_each(|item| {
                    self.check_allowed(item)?;
                    self.check_pattern(item, pattern)
                })?;
                Ok(Value::from(items))
            }
        }
    }

    fn check_pattern(&self, value: &str, pattern: Option<&Regex>) -> Result<(), String> {
        match (pattern, &self.allowed_pattern) {
            (Some(pattern), Some(written)) if !pattern.is_match(value) => {
                // The template's own words, where it has some: a pattern says little to people.
                Err(if self.constraint_description.is_some() {
                    String::new()
                } else {
                    format!("of the form {written}")
                })
            }
            _ => Ok(()),
        }
    }

    fn check_allowed(&self, value: &str) -> Result<(), String> {
        let Some(allowed) = &self.allowed_values else { return Ok(()) };
        let allowed: Vec<_> = allowed.iter().filter_map(text).collect();
        if allowed.iter().any(|allowed| allowed == value) {
            Ok(())
        } else {
            Err(format!("one of {}", allowed.join(", ")))
        }
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

/// A plain value as text, as CloudFormation writes it; `None` for lists, mappings and null.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
