//! Functions and what triggers them: routes, queues, schedules.

mod properties;

use std::{collections::BTreeMap, time::Duration};

use local_aws::{iam::Role, resources::Queue};
use serde_yaml_ng::Value as Yaml;

use self::properties::{DestinationType, HttpApiEvent, OnFailure, Properties, ScheduleEvent, SqsEvent};
use super::{
    document::{Kind, Resource, key, mapping},
    error::TemplateError,
    model::{Function, Mapping, Route, Schedule},
    resolve::{Location, Resolver, STACK_NAME},
};

/// Properties without effect on what a function sees while it runs; `Events` and `FunctionName` are read apart.
const DEPLOYED_ONLY: &[&str] = &[
    "Architectures",
    "AutoPublishAlias",
    "AutoPublishAliasAllProperties",
    "CodeSigningConfigArn",
    "DeploymentPreference",
    "Description",
    "EphemeralStorage",
    "Events",
    "FunctionName",
    "Handler",
    "KmsKeyArn",
    "PropagateTags",
    "RecursiveLoop",
    "Runtime",
    "RuntimeManagementConfig",
    "SnapStart",
    "Tags",
    "Tracing",
    "VersionDescription",
];

/// All functions, with the statements of their roles. `queues` and `roles` are those of the same template.
pub(super) fn read(
    resolver: &Resolver,
    queues: &[Queue],
    roles: &BTreeMap<String, Role>,
) -> Result<Vec<Function>, TemplateError> {
    resolver
        .resources(Kind::Function)?
        .into_iter()
        .map(|resource| function(resolver, resource, queues, roles))
        .collect()
}

fn function(
    resolver: &Resolver,
    resource: &Resource,
    queues: &[Queue],
    roles: &BTreeMap<String, Role>,
) -> Result<Function, TemplateError> {
    let at = Location::new(resource.path());
    let unclear = || TemplateError::Role { path: at.path.clone() };
    if resource.properties.contains_key("Policies") {
        return Err(unclear());
    }
    let properties: Properties = resolver.read(&resource.properties, DEPLOYED_ONLY, &at)?;
    let role = properties.role.ok_or_else(unclear)?;
    let statements = roles.get(&role).ok_or_else(unclear)?.statements.clone();
    let on_failure = properties.event_invoke_config.destination_config.on_failure;
    let on_failure = on_failure.map(|OnFailure { r#type: DestinationType::Sqs, destination }| destination);
    if let Some(arn) = on_failure.iter().find(|arn| queues.iter().all(|queue| queue.arn != **arn)) {
        return Err(TemplateError::NoSuchQueue { path: at.child("EventInvokeConfig").path, arn: arn.clone() });
    }
    let mut function = Function {
        logical_id: resource.id.clone(),
        name: resolver.name(resource, &at)?,
        arn: resolver.arn(resource, &at)?,
        binary: binary(resource, &properties.code_uri)?,
        memory_mb: properties.memory_size,
        timeout: Duration::from_secs(properties.timeout),
        environment: properties.environment.variables,
        role,
        statements,
        routes: Vec::new(),
        mappings: Vec::new(),
        schedules: Vec::new(),
        log_format: properties.logging_config.log_format.unwrap_or_else(|| "Text".to_owned()),
        log_level: properties.logging_config.application_log_level.unwrap_or_else(|| "INFO".to_owned()),
        reserved_concurrency: properties.reserved_concurrent_executions,
        retries: properties.event_invoke_config.maximum_retry_attempts,
        on_failure,
    };
    let at = at.child("Events");
    for (name, event) in mapping(resource.properties.get("Events"), &at.path)? {
        let name = key(&name, &at.path)?;
        add_trigger(resolver, &mut function, name, &event, queues, &at.child(name))?;
    }
    Ok(function)
}

fn add_trigger(
    resolver: &Resolver,
    function: &mut Function,
    name: &str,
    event: &Yaml,
    queues: &[Queue],
    at: &Location,
) -> Result<(), TemplateError> {
    let properties = mapping(event.get("Properties"), &at.path)?;
    match event.get("Type").and_then(Yaml::as_str) {
        Some("HttpApi") => {
            let event: HttpApiEvent = resolver.read(&properties, &["ApiId"], at)?;
            function.routes.push(match (event.method, event.path) {
                (None, None) => Route { method: "ANY".to_owned(), path: "$default".to_owned() },
                (Some(method), Some(path)) => Route { method: method.to_ascii_uppercase(), path },
                (Some(_), None) | (None, Some(_)) => {
                    return Err(at.malformed("a route with both Method and Path, or with neither for $default"));
                }
            });
        }
        Some("SQS") => {
            let event: SqsEvent = resolver.read(&properties, &[], at)?;
            if event.enabled {
                function.mappings.push(event.mapping(function.timeout, queues, at)?);
            }
        }
        Some("Schedule") => {
            // EventBridge can't fail to hand over an event here.
            let deployed_only = ["DeadLetterConfig", "Description", "RetryPolicy"];
            let event: ScheduleEvent = resolver.read(&properties, &deployed_only, at)?;
            if event.enabled {
                function.schedules.push(Schedule {
                    name: event.name.unwrap_or_else(|| format!("{STACK_NAME}-{}{name}", function.logical_id)),
                    expression: event.schedule,
                    input: serde_json::from_str(&event.input)
                        .map_err(|source| TemplateError::Json { path: format!("{}.Input", at.path), source })?,
                });
            }
        }
        _ => return Err(at.malformed("an event of Type HttpApi, SQS or Schedule; cargo local knows no others")),
    }
    Ok(())
}

impl SqsEvent {
    /// Checked as Lambda does when it creates the mapping.
    fn mapping(self, timeout: Duration, queues: &[Queue], at: &Location) -> Result<Mapping, TemplateError> {
        let Some(queue) = queues.iter().find(|queue| queue.arn == self.queue) else {
            return Err(TemplateError::NoSuchQueue { path: at.path.clone(), arn: self.queue });
        };
        let visibility =
            queue.attributes.get("VisibilityTimeout").and_then(|seconds| seconds.parse().ok()).unwrap_or(30);
        let rule = if visibility < timeout.as_secs() {
            format!(
                "the visibility timeout of {} ({visibility} s) is below the function's ({} s)",
                queue.name,
                timeout.as_secs()
            )
        } else if !(1..=10_000).contains(&self.batch_size) {
            format!("BatchSize is {}, not 1 to 10000", self.batch_size)
        } else if self.batch_size > 10 && self.maximum_batching_window_in_seconds == 0 {
            "BatchSize over 10 needs MaximumBatchingWindowInSeconds".to_owned()
        } else if self.scaling_config.maximum_concurrency.is_some_and(|most| !(2..=1000).contains(&most)) {
            "MaximumConcurrency is not 2 to 1000".to_owned()
        } else {
            return Ok(Mapping {
                queue_arn: self.queue,
                batch_size: self.batch_size,
                window: Duration::from_secs(self.maximum_batching_window_in_seconds),
                max_concurrency: self.scaling_config.maximum_concurrency,
                partial: self.function_response_types.iter().any(|kind| kind == "ReportBatchItemFailures"),
            });
        };
        Err(TemplateError::Mapping { path: at.path.clone(), rule })
    }
}

/// As cargo-lambda's build method finds it, else by the folder's name.
fn binary(resource: &Resource, code_uri: &str) -> Result<String, TemplateError> {
    let built = resource.metadata.get("BuildProperties").and_then(|build| build.get("Binary")).and_then(Yaml::as_str);
    let folder = code_uri.trim_end_matches('/').rsplit('/').next();
    built
        .or(folder)
        .filter(|name| !name.is_empty() && *name != "." && *name != "..")
        .map(str::to_owned)
        .ok_or_else(|| TemplateError::Binary { path: format!("Resources.{}", resource.id) })
}
