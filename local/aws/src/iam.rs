//! IAM policies and their evaluation. The gateway asks [`allows`] before each AWS call of a function, so that a missing right shows
//! here and not first in production.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The name of its function without prefix, or the logical id of a role that no function has.
    pub name: String,
    pub statements: Vec<Statement>,
}

/// One statement of a role's inline policies, read and written as IAM has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Statement {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    pub effect: Effect,
    #[serde(rename = "Action", deserialize_with = "one_or_many")]
    pub actions: Vec<String>,
    #[serde(rename = "Resource", deserialize_with = "one_or_many")]
    pub resources: Vec<String>,
    /// Its `StringEquals`: the values that each condition key may have. Other operators are not understood.
    #[serde(default, deserialize_with = "string_equals", serialize_with = "as_string_equals")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: BTreeMap<String, Vec<String>>,
}

/// The condition keys of one call with their values, such as `kms:EncryptionContext:purpose`.
pub type Facts = BTreeMap<String, String>;

/// The effect of a matching statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Effect {
    Allow,
    Deny,
}

/// Whether `action` (`sqs:SendMessage`) on `resource` (an ARN) is allowed in a call with these facts.
///
/// As in IAM, nothing is allowed unless stated and an explicit Deny wins. A condition on a key that the call lacks is not met.
pub fn allows(statements: &[Statement], action: &str, resource: &str, facts: &Facts) -> bool {
    let states = |effect: Effect| {
        statements.iter().any(|statement| statement.effect == effect && statement.matches(action, resource, facts))
    };
    states(Effect::Allow) && !states(Effect::Deny)
}

impl Statement {
    fn matches(&self, action: &str, resource: &str, facts: &Facts) -> bool {
        self.actions.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase()))
            && self.resources.iter().any(|pattern| matches(pattern, resource))
            && self.condition.iter().all(|(key, allowed)| facts.get(key).is_some_and(|fact| allowed.contains(fact)))
    }
}

/// IAM lets a list of one be written without its brackets.
pub fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    let many = if let Value::Array(many) = value { many } else { vec![value] };
    many.into_iter().map(|one| serde_json::from_value(one).map_err(serde::de::Error::custom)).collect()
}

fn string_equals<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "PascalCase")]
    struct Condition {
        string_equals: BTreeMap<String, Values>,
    }
    #[derive(Deserialize)]
    struct Values(#[serde(deserialize_with = "one_or_many")] Vec<String>);

    let condition = Condition::deserialize(deserializer)?;
    Ok(condition.string_equals.into_iter().map(|(key, values)| (key, values.0)).collect())
}

fn as_string_equals<S: Serializer>(
    condition: &BTreeMap<String, Vec<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    json!({ "StringEquals": condition }).serialize(serializer)
}

/// Matches `*` (any text, also none) and `?` (one character). ARNs are ASCII, so bytes are characters.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // After the last `*`: where the pattern goes on, and how much of the text the star has left for it.
    let mut star = None;
    while let Some(&byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, t));
            }
            Some(&wanted) if wanted == b'?' || wanted == byte => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((after, from)) = star else { return false };
                (p, t) = (after, from + 1);
                star = Some((after, t));
            }
        }
    }
    pattern.iter().skip(p).all(|&rest| rest == b'*')
}
