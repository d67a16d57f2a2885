//! Reads template.yaml, so that what runs locally is what deploys: functions, triggers, rights, queues and tables
//! all come from here.
//!
//! *Invariant:* nothing is guessed. A part of the template that this reader does not understand is an error which
//! names its place; what is passed over because it matters only when deployed stands in a `DEPLOYED_ONLY` list.

mod context;
mod document;
mod error;
mod functions;
mod model;
mod names;
mod parameters;
mod resolve;
mod roles;
mod rules;
mod storage;

use std::{collections::BTreeMap, fs, path::Path};

use local_aws::{iam::Role, resources::Resources};
use serde::Deserialize;
use serde_yaml_ng::Value as Yaml;

pub use self::{
    context::Context,
    error::{ParameterProblem, TemplateError},
    model::{Cors, Function, Mapping, Monitoring, Route, Schedule},
};
use self::{
    document::{Document, Kind, Resource, key},
    parameters::{Parameters, text},
    resolve::{Location, Resolver},
};

/// Properties of the HTTP API that don't change how it answers.
const API_DEPLOYED_ONLY: &[&str] =
    &["AccessLogSettings", "DefaultRouteSettings", "Description", "FailOnWarnings", "Name", "PropagateTags", "Tags"];

#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Values of all parameters; lists joined by commas.
    pub parameters: BTreeMap<String, String>,
    pub functions: Vec<Function>,
    /// Roles that no function has.
    pub other_roles: Vec<Role>,
    /// What the HTTP API answers to other origins, if any are allowed.
    pub cors: Option<Cors>,
    pub resources: Resources,
    /// Alarms, dashboards, metric filters and saved queries.
    pub monitoring: Vec<Monitoring>,
    /// The id of the HTTP API, by which AWS counts its requests.
    pub api_id: Option<String>,
    /// Without those that only a deployed stack can give, such as the address of the HTTP API.
    pub outputs: BTreeMap<String, String>,
}

impl Template {
    /// Reads the template at `path`. `overrides` are parameters by name, as `sam deploy --parameter-overrides` takes them.
    pub fn load(path: &Path, overrides: &[(String, String)], context: &Context) -> Result<Self, TemplateError> {
        let text =
            fs::read_to_string(path).map_err(|source| TemplateError::Unreadable { file: path.to_owned(), source })?;
        Self::parse(&text, overrides, context)
    }

    /// Reads a template from its text; see [`Self::load`].
    pub fn parse(text: &str, overrides: &[(String, String)], context: &Context) -> Result<Self, TemplateError> {
        let document = Document::parse(text)?;
        let (mut parameters, problems) = checked(&document, overrides, context)?;
        if !problems.is_empty() {
            return Err(TemplateError::Parameters(problems));
        }
        for (name, value) in context.own.iter().filter(|(name, _)| document.parameters.contains_key(name.as_str())) {
            parameters.insert(name.clone(), value.as_str().into());
        }
        let resolver = Resolver { document: &document, parameters: &parameters, context };
        for name in document.conditions.keys() {
            resolver.condition(key(name, "Conditions")?, &Location::new("Conditions"))?;
        }
        let queues = storage::queues(&resolver)?;
        let mut roles = roles::read(&resolver)?;
        let functions = functions::read(&resolver, &queues, &roles)?;
        roles.retain(|arn, _| functions.iter().all(|function| function.role != *arn));
        Ok(Self {
            functions,
            other_roles: roles.into_values().collect(),
            cors: cors(&resolver)?,
            resources: Resources {
                queues,
                tables: storage::tables(&resolver)?,
                secrets: storage::secrets(&resolver)?,
                keys: storage::keys(&resolver)?,
                buses: storage::buses(&resolver)?,
            },
            monitoring: monitoring(&resolver)?,
            api_id: api_id(&resolver)?,
            outputs: outputs(&resolver)?,
            parameters: as_text(&parameters),
        })
    }

    /// Every role, with the statements of its inline policies.
    pub fn roles(&self) -> Vec<Role> {
        let of_functions = self
            .functions
            .iter()
            .map(|function| Role { name: function.binary.clone(), statements: function.statements.clone() });
        of_functions.chain(self.other_roles.iter().cloned()).collect()
    }

    /// The values that the parameters of a template's text have with these overrides, and all that the template has against them.
    pub fn parameters(
        text: &str,
        overrides: &[(String, String)],
        context: &Context,
    ) -> Result<(BTreeMap<String, String>, Vec<ParameterProblem>), TemplateError> {
        let (parameters, problems) = checked(&Document::parse(text)?, overrides, context)?;
        Ok((as_text(&parameters), problems))
    }
}

/// The parameters, and what their declarations and the template's `Rules` have against them.
fn checked(
    document: &Document,
    overrides: &[(String, String)],
    context: &Context,
) -> Result<(Parameters, Vec<ParameterProblem>), TemplateError> {
    let (parameters, mut problems) = parameters::read(&document.parameters, overrides)?;
    // A rule over a parameter without a value says nothing.
    if problems.iter().all(|problem| !matches!(problem, ParameterProblem::Missing { .. })) {
        problems.extend(rules::broken(&Resolver { document, parameters: &parameters, context })?);
    }
    Ok((parameters, problems))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ApiProperties {
    cors_configuration: Option<Cors>,
}

fn cors(resolver: &Resolver) -> Result<Option<Cors>, TemplateError> {
    match resolver.resources(Kind::HttpApi)?.as_slice() {
        [] => Ok(None),
        [api] => {
            let api: ApiProperties = resolver.read(&api.properties, API_DEPLOYED_ONLY, &Location::new(api.path()))?;
            Ok(api.cors_configuration)
        }
        _ => Err(Location::new("Resources").malformed("a mapping with at most one HTTP API; cargo local serves one")),
    }
}

fn api_id(resolver: &Resolver) -> Result<Option<String>, TemplateError> {
    let apis = resolver.resources(Kind::HttpApi)?;
    apis.first().map(|api| resolver.name(api, &Location::new(api.path()))).transpose()
}

fn monitoring(resolver: &Resolver) -> Result<Vec<Monitoring>, TemplateError> {
    let resolved = |resource: &Resource| {
        let properties = resolver.properties(&resource.properties, &[], &Location::new(resource.path()))?;
        Ok(Monitoring { logical_id: resource.id.clone(), kind: resource.written.clone(), properties })
    };
    resolver.resources(Kind::Monitoring)?.into_iter().map(resolved).collect()
}

fn outputs(resolver: &Resolver) -> Result<BTreeMap<String, String>, TemplateError> {
    let mut outputs = BTreeMap::new();
    for (name, output) in &resolver.document.outputs {
        let name = key(name, "Outputs")?;
        let at = Location::new(format!("Outputs.{name}"));
        if let Some(condition) = output.get("Condition").and_then(Yaml::as_str)
            && !resolver.condition(condition, &at)?
        {
            continue;
        }
        let value = output.get("Value").ok_or_else(|| at.malformed("an output with a Value"))?;
        match resolver.resolve(value, &at) {
            Ok(value) => {
                let value =
                    value.as_ref().and_then(text).ok_or_else(|| at.malformed("an output whose Value is plain"))?;
                outputs.insert(name.to_owned(), value);
            }
            Err(TemplateError::OnlyDeployed { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(outputs)
}

fn as_text(parameters: &Parameters) -> BTreeMap<String, String> {
    let flat = |value: &serde_json::Value| match value.as_array() {
        Some(items) => items.iter().filter_map(text).collect::<Vec<_>>().join(","),
        None => text(value).unwrap_or_default(),
    };
    parameters.iter().map(|(name, value)| (name.clone(), flat(value))).collect()
}

#[cfg(test)]
mod tests;
