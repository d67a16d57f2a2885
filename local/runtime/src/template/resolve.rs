//! Turns `Ref`, `Fn::Sub`, `Fn::GetAtt`, `Fn::FindInMap` and `Fn::If` (on parameters) into values.
//!
//! *Invariant:* what comes out holds no function call; whatever is not understood is an error that names its place.

use std::fmt::{Display, Write as _};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_yaml_ng::{Mapping, Value as Yaml};

use super::{
    context::Context,
    document::{Document, Kind, Resource, calls, key},
    error::TemplateError,
    parameters::{Parameters, text},
};

/// `AWS::StackName` of the local run, and the prefix of resources that the template leaves unnamed.
pub(super) const STACK_NAME: &str = "local";

/// How many references may lead from one to the next; beyond it they are taken for a cycle.
const LONGEST_CHAIN: u8 = 16;

/// A place in the template, and how many references were followed to get there.
#[derive(Clone)]
pub(super) struct Location {
    pub(super) path: String,
    followed: u8,
}

impl Location {
    pub(super) fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), followed: 0 }
    }

    pub(super) fn child(&self, name: impl Display) -> Self {
        Self { path: format!("{}.{name}", self.path), followed: self.followed }
    }

    /// The place that a reference leads to from here.
    pub(super) fn follow(&self, path: String) -> Result<Self, TemplateError> {
        if self.followed == LONGEST_CHAIN {
            return Err(TemplateError::Circular { path });
        }
        Ok(Self { path, followed: self.followed + 1 })
    }

    pub(super) fn malformed(&self, expected: &'static str) -> TemplateError {
        TemplateError::Malformed { path: self.path.clone(), expected }
    }
}

/// A template together with the parameters and the place it runs in.
pub(super) struct Resolver<'a> {
    pub(super) document: &'a Document,
    pub(super) parameters: &'a Parameters,
    pub(super) context: &'a Context,
}

impl Resolver<'_> {
    /// The value without its function calls; `None` for `AWS::NoValue`, which removes the property it stands for.
    pub(super) fn resolve(&self, value: &Yaml, at: &Location) -> Result<Option<Value>, TemplateError> {
        match value {
            Yaml::Tagged(tagged) => self.call(&long_name(&tagged.tag.to_string()), &tagged.value, at),
            Yaml::Mapping(mapping) if calls(mapping) => {
                let (name, argument) =
                    single(mapping).ok_or_else(|| at.malformed("one function call, with nothing beside it"))?;
                self.call(key(name, &at.path)?, argument, at)
            }
            Yaml::Mapping(mapping) => self.properties(mapping, &[], at).map(|map| Some(Value::Object(map))),
            Yaml::Sequence(items) => {
                let items = items.iter().enumerate().map(|(i, item)| self.resolve(item, &at.child(i)).transpose());
                Ok(Some(Value::Array(items.flatten().collect::<Result<_, _>>()?)))
            }
            Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::String(_) => serde_json::to_value(value)
                .map(Some)
                .map_err(|source| TemplateError::Properties { path: at.path.clone(), source }),
        }
    }

    /// Reads properties into `T`, which should refuse those it does not know.
    ///
    /// `skipped` names the properties that matter only when deployed; they are not even resolved.
    pub(super) fn read<T>(&self, properties: &Mapping, skipped: &[&str], at: &Location) -> Result<T, TemplateError>
    where
        T: DeserializeOwned,
    {
        let properties = self.properties(properties, skipped, at)?;
        serde_json::from_value(Value::Object(properties.clone())).map_err(|source| {
            let culprit = culprit::<T>(&properties, &source.to_string());
            let path = culprit.map_or_else(|| at.path.clone(), |name| at.child(name).path);
            TemplateError::Properties { path, source }
        })
    }

    /// Resolves each property but the `skipped`; see [`Self::read`].
    pub(super) fn properties(
        &self,
        properties: &Mapping,
        skipped: &[&str],
        at: &Location,
    ) -> Result<Map<String, Value>, TemplateError> {
        let mut resolved = Map::new();
        for (name, value) in properties {
            let name = key(name, &at.path)?;
            if skipped.contains(&name) {
                continue;
            }
            if let Some(value) = self.resolve(value, &at.child(name))? {
                resolved.insert(name.to_owned(), value);
            }
        }
        Ok(resolved)
    }

    /// The resources of one kind that no condition leaves out, in the template's order.
    pub(super) fn resources(&self, kind: Kind) -> Result<Vec<&Resource>, TemplateError> {
        let mut resources = Vec::new();
        for resource in self.document.resources.iter().filter(|resource| resource.kind == kind) {
            if self.exists(resource, &Location::new("Resources"))? {
                resources.push(resource);
            }
        }
        Ok(resources)
    }

    /// Whether the resource's condition holds.
    pub(super) fn exists(&self, resource: &Resource, at: &Location) -> Result<bool, TemplateError> {
        let Some(condition) = &resource.condition else { return Ok(true) };
        self.condition(condition, &at.follow(format!("Resources.{}.Condition", resource.id))?)
    }

    /// Whether the named condition holds.
    pub(super) fn condition(&self, name: &str, at: &Location) -> Result<bool, TemplateError> {
        let Some(condition) = self.document.conditions.get(name) else {
            return Err(TemplateError::UnknownCondition { path: at.path.clone(), name: name.to_owned() });
        };
        self.holds(condition, &at.follow(format!("Conditions.{name}"))?)
    }

    pub(super) fn holds(&self, condition: &Yaml, at: &Location) -> Result<bool, TemplateError> {
        let (name, argument) = if let Yaml::Tagged(tagged) = condition {
            (long_name(&tagged.tag.to_string()), &tagged.value)
        } else if let Some((name, argument)) = condition.as_mapping().and_then(single) {
            (key(name, &at.path)?.to_owned(), argument)
        } else {
            return Err(at.malformed("a condition, such as `!Equals [!Ref Name, value]`"));
        };
        if name == "Condition" {
            let expected = "the name of a condition";
            return self.condition(argument.as_str().ok_or_else(|| at.malformed(expected))?, at);
        }
        let operands = argument.as_sequence().map(Vec::as_slice).unwrap_or_default();
        match (name.as_str(), operands) {
            ("Fn::Equals", [left, right]) => Ok(self.comparable(left, at)? == self.comparable(right, at)?),
            ("Fn::Not", [operand]) => Ok(!self.holds(operand, at)?),
            ("Fn::And", [_, _, ..]) => {
                operands.iter().try_fold(true, |all, operand| Ok(all & self.holds(operand, at)?))
            }
            ("Fn::Or", [_, _, ..]) => {
                operands.iter().try_fold(false, |any, operand| Ok(any | self.holds(operand, at)?))
            }
            ("Fn::Equals", _) => Err(at.malformed("Fn::Equals of two values")),
            ("Fn::Not" | "Fn::And" | "Fn::Or", _) => Err(at.malformed("Fn::Not of one, Fn::And or Fn::Or of several")),
            _ => Err(TemplateError::UnknownFunction { path: at.path.clone(), function: name }),
        }
    }

    /// CloudFormation compares as text.
    fn comparable(&self, value: &Yaml, at: &Location) -> Result<String, TemplateError> {
        let value = self.resolve(value, at)?;
        value.as_ref().and_then(text).ok_or_else(|| at.malformed("a comparison of plain values"))
    }

    fn call(&self, name: &str, argument: &Yaml, at: &Location) -> Result<Option<Value>, TemplateError> {
        match name {
            "Ref" => self.reference(argument.as_str().ok_or_else(|| at.malformed("Ref of one name"))?, at),
            "Fn::GetAtt" => {
                let parts = match argument.as_sequence().map(Vec::as_slice) {
                    Some([id, attribute]) => id.as_str().zip(attribute.as_str()),
                    _ => argument.as_str().and_then(|text| text.split_once('.')),
                };
                let (id, attribute) =
                    parts.ok_or_else(|| at.malformed("Fn::GetAtt of a resource and its attribute"))?;
                self.attribute(id, attribute, at).map(Some)
            }
            "Fn::Sub" => {
                let expected = "Fn::Sub of one text, or of a list of one text and its own names with their values";
                let (text, own) = match argument.as_sequence().map(Vec::as_slice) {
                    Some([text, Yaml::Mapping(own)]) => (text.as_str(), self.properties(own, &[], at)?),
                    _ => (argument.as_str(), Map::new()),
                };
                self.substitute(text.ok_or_else(|| at.malformed(expected))?, &own, at).map(Some)
            }
            "Fn::FindInMap" => {
                let expected = "Fn::FindInMap of three keys that Mappings has, each text or a Ref to a parameter";
                let found = argument.as_sequence().filter(|keys| keys.len() == 3).and_then(|keys| {
                    keys.iter().try_fold(Yaml::Mapping(self.document.mappings.clone()), |map, key| {
                        let key = self.comparable(key, at).ok()?;
                        map.get(key).cloned()
                    })
                });
                self.resolve(&found.ok_or_else(|| at.malformed(expected))?, at)
            }
            "Fn::If" => match argument.as_sequence().map(Vec::as_slice) {
                Some([Yaml::String(condition), then, otherwise]) => {
                    self.resolve(if self.condition(condition, at)? { then } else { otherwise }, at)
                }
                _ => Err(at.malformed("Fn::If of a condition's name and two values")),
            },
            _ => Err(TemplateError::UnknownFunction { path: at.path.clone(), function: name.to_owned() }),
        }
    }

    /// `own` are names that stand for a value in this text alone.
    fn substitute(&self, template: &str, own: &Map<String, Value>, at: &Location) -> Result<Value, TemplateError> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').ok_or_else(|| at.malformed("Fn::Sub whose every `${` has its `}`"))?;
            filled.push_str(before);
            if let Some(literal) = name.strip_prefix('!') {
                // Writing to a String can't fail.
                let _ = write!(filled, "${{{literal}}}");
            } else {
                let value = match (own.get(name), name.split_once('.')) {
                    (Some(value), _) => Some(value.clone()),
                    (None, Some((id, attribute))) => Some(self.attribute(id, attribute, at)?),
                    (None, None) => self.reference(name, at)?,
                };
                let value = value.as_ref().and_then(text);
                filled.push_str(&value.ok_or_else(|| at.malformed("Fn::Sub of plain values, not lists"))?);
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(Value::from(filled))
    }
}

/// The property that `error` is about: the one without which something else would be wrong, or nothing.
fn culprit<'a, T: DeserializeOwned>(properties: &'a Map<String, Value>, error: &str) -> Option<&'a String> {
    properties.keys().find(|name| {
        let mut others = properties.clone();
        others.remove(*name);
        match serde_json::from_value::<T>(Value::Object(others)) {
            Ok(_) => true,
            // What is missing stays missing, whatever else is left out.
            Err(other) => !error.starts_with("missing field") && other.to_string() != error,
        }
    })
}

/// The only entry of a mapping that has one.
fn single(mapping: &Mapping) -> Option<(&Yaml, &Yaml)> {
    mapping.iter().next().filter(|_| mapping.len() == 1)
}

/// `!Sub` and `!Ref` as they are written in the long form.
pub(super) fn long_name(tag: &str) -> String {
    match tag.trim_start_matches('!') {
        name @ ("Ref" | "Condition") => name.to_owned(),
        name => format!("Fn::{name}"),
    }
}
