//! `Rules`: what parameters must be together, checked before anything is created.
//!
//! *Invariant:* only what CloudFormation allows there is evaluated: rule functions, over `Ref` of parameters
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-rules.html>, read in November
//! 2026). Of those functions cargo local knows `Fn::And`, `Fn::Or`, `Fn::Not` and `Fn::Equals`.

use serde_yaml_ng::Value as Yaml;

use super::{
    document::{key, mapping},
    error::{ParameterProblem, TemplateError},
    resolve::{Location, Resolver, long_name},
};

pub(super) fn broken(resolver: &Resolver) -> Result<Vec<ParameterProblem>, TemplateError> {
    let mut broken = Vec::new();
    for (name, rule) in &resolver.document.rules {
        let name = key(name, "Rules")?;
        let at = Location::new(format!("Rules.{name}"));
        let rule = mapping(Some(rule), &at.path)?;
        if let Some(condition) = rule.get("RuleCondition")
            && !holds(resolver, condition, &at.child("RuleCondition"))?
        {
            continue;
        }
        let assertions = rule.get("Assertions").and_then(Yaml::as_sequence);
        for (number, assertion) in assertions.ok_or_else(|| at.malformed("a rule with Assertions"))?.iter().enumerate()
        {
            let at = at.child("Assertions").child(number);
            let assert = assertion.get("Assert").ok_or_else(|| at.malformed("an assertion with an Assert"))?;
            if !holds(resolver, assert, &at.child("Assert"))? {
                let description = assertion.get("AssertDescription").and_then(Yaml::as_str);
                let description = description.unwrap_or("an assertion does not hold").to_owned();
                broken.push(ParameterProblem::Rule { rule: name.to_owned(), description });
            }
        }
    }
    Ok(broken)
}

fn holds(resolver: &Resolver, assertion: &Yaml, at: &Location) -> Result<bool, TemplateError> {
    only_rule_functions(resolver, assertion, at)?;
    resolver.holds(assertion, at)
}

fn only_rule_functions(resolver: &Resolver, value: &Yaml, at: &Location) -> Result<(), TemplateError> {
    let check = |name: &str, argument: &Yaml| match name {
        "Ref" if argument.as_str().is_some_and(|name| resolver.parameters.contains_key(name)) => Ok(()),
        "Ref" => Err(at.malformed("a rule over parameters")),
        "Fn::And" | "Fn::Or" | "Fn::Not" | "Fn::Equals" => only_rule_functions(resolver, argument, at),
        _ => Err(TemplateError::UnknownFunction { path: at.path.clone(), function: name.to_owned() }),
    };
    match value {
        Yaml::Tagged(tagged) => check(&long_name(&tagged.tag.to_string()), &tagged.value),
        Yaml::Mapping(mapping) => mapping.iter().try_for_each(|(name, argument)| check(key(name, &at.path)?, argument)),
        Yaml::Sequence(items) => items.iter().try_for_each(|item| only_rule_functions(resolver, item, at)),
        Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::String(_) => Ok(()),
    }
}
