//! Why a template can't be run locally. Each message names the place in the template and what to do about it.

use std::{io, path::PathBuf};

/// Why template.yaml can't be read or run by `cargo local`.
///
/// `path` is the place in the template, written as `Resources.WebhookIngest.Properties.Timeout`.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file can't be opened or is not text.
    #[error("cannot read {}: {source}; run this in the repository, whose root holds template.yaml", file.display())]
    Unreadable {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A YAML syntax error, or a key that appears twice; carries the line and column.
    #[error("the template is not valid YAML: {0}; correct it there")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// A part is missing or has another form than CloudFormation asks for.
    #[error("{path} must be {expected}")]
    Malformed { path: String, expected: &'static str },
    /// A CloudFormation function outside the small set that is resolved here.
    #[error(
        "{path}: {function} is not understood by cargo local; use Fn::Sub, Ref, Fn::GetAtt, Fn::FindInMap or Fn::If, \
         in Conditions Fn::Equals, Fn::Not, Fn::And or Fn::Or"
    )]
    UnknownFunction { path: String, function: String },
    /// A name that is neither a parameter nor a resource nor a known pseudo-parameter.
    #[error("{path}: `{name}` is no parameter, resource or known pseudo-parameter; correct the name or declare it")]
    UnknownName { path: String, name: String },
    /// `Fn::GetAtt` of something the resource's type does not have.
    #[error("{path}: cargo local does not know `{attribute}` of {kind}; correct it, or add it to template/names.rs")]
    UnknownAttribute { path: String, attribute: String, kind: String },
    /// A reference to what exists only once deployed, such as the ARN of a topic.
    #[error("{path}: `{name}` has a value only once deployed; take it from a parameter, which cargo local can set")]
    OnlyDeployed { path: String, name: String },
    /// A reference to a resource that its `Condition` leaves out.
    #[error("{path}: `{name}` is left out by its condition; put the reference behind the same condition with Fn::If")]
    LeftOut { path: String, name: String },
    /// A condition that the template does not declare.
    #[error("{path}: there is no condition `{name}`; declare it under Conditions")]
    UnknownCondition { path: String, name: String },
    /// A chain of references that never ends.
    #[error("{path}: its references lead back to itself; break the cycle")]
    Circular { path: String },
    /// A resource type that is neither run here nor known to matter only when deployed.
    #[error("{path}: cargo local does not know {kind}; teach it to template/document.rs, or list it as DEPLOYED_ONLY")]
    UnknownType { path: String, kind: String },
    /// Properties that are missing, of the wrong type, or not understood.
    #[error("{path}: {source}; cargo local runs only what it understands")]
    Properties {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    /// A function without a role that the template spells out.
    #[error(
        "{path}: set `Role: !GetAtt SomeRole.Arn`, with its statements inline in an AWS::IAM::Role; \
         cargo local enforces exactly those and does not understand SAM's Policies or generated roles"
    )]
    Role { path: String },
    /// It can't be told which binary is the function's bootstrap.
    #[error("{path}: names no binary; set Metadata.BuildProperties.Binary, or end CodeUri in the binary's name")]
    Binary { path: String },
    /// An ARN that must name a queue of this template and does not.
    #[error("{path}: {arn} is no queue of this template; use `!GetAtt SomeQueue.Arn`")]
    NoSuchQueue { path: String, arn: String },
    /// An alias of a key from outside.
    #[error("{path}: {key} is no key of this template; use `!Ref SomeKey`")]
    NoSuchKey { path: String, key: String },
    /// A combination that Lambda refuses when it creates the event source mapping.
    #[error("{path}: Lambda refuses this mapping: {rule}; change the one or the other")]
    Mapping { path: String, rule: String },
    /// Text that must be JSON, such as a schedule's input, and is not.
    #[error("{path}: not the JSON it must be: {source}; correct the text")]
    Json {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    /// An `AllowedPattern` that is no regular expression, or one that only Java knows.
    #[error("{path}.AllowedPattern: {source}; write it so that Java and cargo local read it the same way")]
    Pattern {
        path: String,
        #[source]
        source: regex_lite::Error,
    },
    /// Parameters that the template refuses.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Parameters(Vec<ParameterProblem>),
}

/// One thing that is wrong with the parameters of a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterProblem {
    /// `--parameter-overrides` names a parameter that the template does not have.
    #[error("the template has no parameter `{name}`; it has {known}")]
    Unknown { name: String, known: String },
    /// A parameter without default that was not given.
    #[error("parameter {name} has no default; pass `--parameter-overrides {name}=…`")]
    Missing { name: String },
    /// A value that the parameter's own declaration refuses.
    #[error("parameter {name} is `{value}` but must be {rule}; change it in --parameter-overrides or its Default")]
    Value { name: String, value: String, rule: String },
    /// An assertion under `Rules` that does not hold.
    #[error("{description} (rule {rule} of the template)")]
    Rule { rule: String, description: String },
}
