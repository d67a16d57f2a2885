//! Roles with inline policies.

use std::collections::BTreeMap;

use local_aws::iam::{Role, Statement, one_or_many};
use serde::Deserialize;

use super::{
    document::Kind,
    error::TemplateError,
    resolve::{Location, Resolver},
};

/// Properties of a role that say nothing about what it may do.
const DEPLOYED_ONLY: &[&str] =
    &["AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "PermissionsBoundary", "RoleName", "Tags"];

/// Each role, by its ARN. One with managed policies is an error: what those allow is not known here.
pub(super) fn read(resolver: &Resolver) -> Result<BTreeMap<String, Role>, TemplateError> {
    let mut roles = BTreeMap::new();
    for resource in resolver.resources(Kind::Role)? {
        let at = Location::new(resource.path());
        let role: RoleProperties = resolver.read(&resource.properties, DEPLOYED_ONLY, &at)?;
        let statements = role.policies.into_iter().flat_map(|policy| policy.policy_document.statement).collect();
        roles.insert(resolver.arn(resource, &at)?, Role { name: resource.id.clone(), statements });
    }
    Ok(roles)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RoleProperties {
    #[serde(default)]
    policies: Vec<Policy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    policy_document: PolicyDocument,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyDocument {
    #[serde(deserialize_with = "one_or_many")]
    statement: Vec<Statement>,
}
