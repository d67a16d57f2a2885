//! What `Ref` and `Fn::GetAtt` give: names, URLs and ARNs as AWS would form them for the local account.

use serde_json::Value;

use super::{
    document::{Kind, Resource},
    error::TemplateError,
    resolve::{Location, Resolver, STACK_NAME},
};

impl Resolver<'_> {
    /// `Ref`: a parameter's value, a pseudo-parameter or a resource's identity.
    pub(super) fn reference(&self, name: &str, at: &Location) -> Result<Option<Value>, TemplateError> {
        if let Some(value) = self.parameters.get(name) {
            return Ok(Some(value.clone()));
        }
        let pseudo = match name {
            "AWS::NoValue" => return Ok(None),
            "AWS::Region" => &self.context.region,
            "AWS::AccountId" => &self.context.account,
            "AWS::Partition" => "aws",
            "AWS::StackName" => STACK_NAME,
            "AWS::URLSuffix" => "amazonaws.com",
            id => return self.value_of(id, None, at).map(Some),
        };
        Ok(Some(Value::from(pseudo)))
    }

    /// `Fn::GetAtt`.
    pub(super) fn attribute(&self, id: &str, attribute: &str, at: &Location) -> Result<Value, TemplateError> {
        self.value_of(id, Some(attribute), at)
    }

    /// The resource's own name, or one made of its logical id as CloudFormation does.
    pub(super) fn name(&self, resource: &Resource, at: &Location) -> Result<String, TemplateError> {
        let at = at.follow(format!("{}.{}", resource.path(), resource.name_property))?;
        let name = match resource.properties.get(resource.name_property) {
            Some(name) => self.resolve(name, &at)?,
            None => None,
        };
        match name {
            None => Ok(format!("{STACK_NAME}-{}", resource.id)),
            Some(Value::String(name)) => Ok(name),
            Some(_) => Err(at.malformed("text")),
        }
    }

    /// The ARN of a resource of the local account.
    pub(super) fn arn(&self, resource: &Resource, at: &Location) -> Result<String, TemplateError> {
        let name = || self.name(resource, at);
        Ok(match resource.kind {
            Kind::Function => self.regional("lambda", &format!("function:{}", name()?)),
            Kind::Queue => self.regional("sqs", &name()?),
            Kind::Table => self.regional("dynamodb", &format!("table/{}", name()?)),
            // Secrets Manager appends six random characters of its own.
            Kind::Secret => self.regional("secretsmanager", &format!("secret:{}-000000", name()?)),
            Kind::Key => self.regional("kms", &format!("key/{}", resource.id)),
            Kind::Bus => self.regional("events", &format!("event-bus/{}", name()?)),
            Kind::LogGroup => self.regional("logs", &format!("log-group:{}:*", name()?)),
            Kind::Role => format!("arn:aws:iam::{}:role/{}", self.context.account, name()?),
            Kind::Alias | Kind::HttpApi | Kind::Monitoring | Kind::DeployedOnly => {
                return Err(only_deployed(&resource.id, at));
            }
        })
    }

    /// The URL under which the local SQS serves a queue.
    pub(super) fn queue_url(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.context.sqs_base.trim_end_matches('/'), self.context.account)
    }

    /// The id in the ARN of a key, if it is one of the local account.
    pub(super) fn key_id<'a>(&self, arn: &'a str) -> Option<&'a str> {
        arn.strip_prefix(&self.regional("kms", "key/"))
    }

    fn regional(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.context.region, self.context.account)
    }

    fn value_of(&self, id: &str, attribute: Option<&str>, at: &Location) -> Result<Value, TemplateError> {
        let Some(resource) = self.document.resource(id) else {
            return Err(TemplateError::UnknownName { path: at.path.clone(), name: id.to_owned() });
        };
        if !self.exists(resource, at)? {
            return Err(TemplateError::LeftOut { path: at.path.clone(), name: id.to_owned() });
        }
        let value = match (resource.kind, attribute) {
            (Kind::HttpApi, Some("ApiEndpoint")) => self.context.api_url.clone(),
            // There is one API here, whose id is its name.
            (
                Kind::HttpApi | Kind::Function | Kind::Table | Kind::Alias | Kind::Bus | Kind::Role | Kind::LogGroup,
                None,
            )
            | (Kind::Queue, Some("QueueName"))
            | (Kind::Bus, Some("Name")) => self.name(resource, at)?,
            (Kind::HttpApi | Kind::Monitoring | Kind::DeployedOnly, _) | (Kind::Table, Some("StreamArn")) => {
                return Err(only_deployed(&attribute.map_or(id.to_owned(), |it| format!("{id}.{it}")), at));
            }
            (Kind::Key, None | Some("KeyId")) => id.to_owned(),
            (Kind::Queue, None | Some("QueueUrl")) => self.queue_url(&self.name(resource, at)?),
            (Kind::Secret, None | Some("Id"))
            | (
                Kind::Function | Kind::Queue | Kind::Table | Kind::Key | Kind::Bus | Kind::Role | Kind::LogGroup,
                Some("Arn"),
            ) => self.arn(resource, at)?,
            (_, _) => {
                let attribute = attribute.unwrap_or("Ref").to_owned();
                return Err(TemplateError::UnknownAttribute {
                    path: at.path.clone(),
                    attribute,
                    kind: resource.written.clone(),
                });
            }
        };
        Ok(Value::from(value))
    }
}

fn only_deployed(name: &str, at: &Location) -> TemplateError {
    TemplateError::OnlyDeployed { path: at.path.clone(), name: name.to_owned() }
}
