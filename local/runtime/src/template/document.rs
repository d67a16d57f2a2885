//! The template as written: sections and resources, `Globals` already merged, nothing resolved yet.
//!
//! *Invariant:* every resource is of a type that `cargo local` runs or knows to matter only when deployed.

use serde_yaml_ng::{Mapping, Value};

use super::error::TemplateError;

/// Types without any effect on what a function sees while it runs. They are not resolved.
const DEPLOYED_ONLY: &[&str] = &[
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::AppConfig::Application",
    "AWS::AppConfig::ConfigurationProfile",
    "AWS::AppConfig::HostedConfigurationVersion",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::Events::Archive",
    "AWS::Events::EventBusPolicy",
    "AWS::Lambda::Permission",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SecretsManager::ResourcePolicy",
];

/// What a resource is to the local run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Function,
    HttpApi,
    Queue,
    Table,
    Secret,
    Key,
    Alias,
    Bus,
    Role,
    LogGroup,
    /// Alarms and what else shows how a deployed stack is: resolved, but not run.
    Monitoring,
    DeployedOnly,
}

/// The types that are resolved, each with the property that names the resource.
const RUN: &[(&str, Kind, &str)] = &[
    ("AWS::CloudWatch::Alarm", Kind::Monitoring, "AlarmName"),
    ("AWS::CloudWatch::Dashboard", Kind::Monitoring, "DashboardName"),
    ("AWS::DynamoDB::Table", Kind::Table, "TableName"),
    ("AWS::Events::EventBus", Kind::Bus, "Name"),
    ("AWS::IAM::Role", Kind::Role, "RoleName"),
    ("AWS::KMS::Alias", Kind::Alias, "AliasName"),
    ("AWS::KMS::Key", Kind::Key, "KeyId"),
    ("AWS::Logs::LogGroup", Kind::LogGroup, "LogGroupName"),
    ("AWS::Logs::MetricFilter", Kind::Monitoring, "FilterName"),
    ("AWS::Logs::QueryDefinition", Kind::Monitoring, "Name"),
    ("AWS::SQS::Queue", Kind::Queue, "QueueName"),
    ("AWS::SecretsManager::Secret", Kind::Secret, "Name"),
    ("AWS::Serverless::Function", Kind::Function, "FunctionName"),
    ("AWS::Serverless::HttpApi", Kind::HttpApi, "Name"),
];

pub(super) struct Resource {
    pub(super) id: String,
    /// As written, such as `AWS::SQS::Queue`.
    pub(super) written: String,
    pub(super) kind: Kind,
    /// The property that names resources of this type.
    pub(super) name_property: &'static str,
    pub(super) condition: Option<String>,
    /// With the matching section of `Globals` merged in.
    pub(super) properties: Mapping,
    pub(super) metadata: Mapping,
}

impl Resource {
    /// Where its properties stand in the template.
    pub(super) fn path(&self) -> String {
        format!("Resources.{}.Properties", self.id)
    }
}

/// The sections of a template, in its order.
pub(super) struct Document {
    pub(super) parameters: Mapping,
    pub(super) mappings: Mapping,
    pub(super) rules: Mapping,
    pub(super) conditions: Mapping,
    pub(super) resources: Vec<Resource>,
    pub(super) outputs: Mapping,
}

impl Document {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let root: Value = serde_yaml_ng::from_str(text)?;
        let root = mapping(Some(&root), "the template")?;
        let globals = mapping(root.get("Globals"), "Globals")?;
        let resources = mapping(root.get("Resources"), "Resources")?;
        if resources.is_empty() {
            let expected = "a mapping of resources, and is missing or empty; is this the SAM template?";
            return Err(TemplateError::Malformed { path: "Resources".to_owned(), expected });
        }
        Ok(Self {
            parameters: mapping(root.get("Parameters"), "Parameters")?,
            mappings: mapping(root.get("Mappings"), "Mappings")?,
            rules: mapping(root.get("Rules"), "Rules")?,
            conditions: mapping(root.get("Conditions"), "Conditions")?,
            resources: resources
                .iter()
                .map(|(id, body)| resource(key(id, "Resources")?, body, &globals))
                .collect::<Result<_, _>>()?,
            outputs: mapping(root.get("Outputs"), "Outputs")?,
        })
    }

    pub(super) fn resource(&self, id: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.id == id)
    }
}

/// A mapping's key, which in a template is always text.
pub(super) fn key<'a>(key: &'a Value, path: &str) -> Result<&'a str, TemplateError> {
    let expected = "a mapping whose keys are text";
    key.as_str().ok_or_else(|| TemplateError::Malformed { path: path.to_owned(), expected })
}

/// A mapping that may be left out.
pub(super) fn mapping(value: Option<&Value>, path: &str) -> Result<Mapping, TemplateError> {
    match value {
        None => Ok(Mapping::new()),
        Some(value) if value.is_null() => Ok(Mapping::new()),
        // `as_mapping` would look through a tag.
        Some(Value::Mapping(mapping)) => Ok(mapping.clone()),
        Some(_) => Err(TemplateError::Malformed { path: path.to_owned(), expected: "a mapping" }),
    }
}

fn resource(id: &str, body: &Value, globals: &Mapping) -> Result<Resource, TemplateError> {
    let path = format!("Resources.{id}");
    let body = mapping(Some(body), &path)?;
    let Some(written) = body.get("Type").and_then(Value::as_str) else {
        return Err(TemplateError::Malformed { path, expected: "a resource with a Type" });
    };
    let known = RUN.iter().find(|(name, ..)| *name == written).map(|&(_, kind, property)| (kind, property));
    let deployed_only = DEPLOYED_ONLY.contains(&written).then_some((Kind::DeployedOnly, "Name"));
    let Some((kind, name_property)) = known.or(deployed_only) else {
        return Err(TemplateError::UnknownType { path, kind: written.to_owned() });
    };
    let own = mapping(body.get("Properties"), &format!("{path}.Properties"))?;
    let shared = written.strip_prefix("AWS::Serverless::").and_then(|section| globals.get(section));
    let mut properties = mapping(shared, "Globals")?;
    merge(&mut properties, own);
    Ok(Resource {
        written: written.to_owned(),
        kind,
        name_property,
        condition: body.get("Condition").and_then(Value::as_str).map(str::to_owned),
        properties,
        metadata: mapping(body.get("Metadata"), &format!("{path}.Metadata"))?,
        id: id.to_owned(),
    })
}

/// As SAM merges `Globals`: mappings key by key, lists one after the other, anything else is replaced.
fn merge(shared: &mut Mapping, own: Mapping) {
    for (name, value) in own {
        match (shared.get_mut(&name), value) {
            (Some(Value::Mapping(shared)), Value::Mapping(own)) if !calls(shared) && !calls(&own) => merge(shared, own),
            (Some(Value::Sequence(shared)), Value::Sequence(own)) => shared.extend(own),
            (_, value) => {
                shared.insert(name, value);
            }
        }
    }
}

/// Whether this is a function call in its long form, such as `{Ref: Prefix}`.
pub(super) fn calls(mapping: &Mapping) -> bool {
    mapping.keys().filter_map(Value::as_str).any(|name| name == "Ref" || name.starts_with("Fn::"))
}
