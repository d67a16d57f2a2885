//! What roles grant, right by right.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    authorise::Right,
    iam::{Effect, Facts, Role, Statement, matches},
};

/// One action on one resource that a role allows, and under which facts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    pub holder: String,
    /// As IAM names it, such as `sqs:SendMessage`.
    pub action: String,
    /// An ARN, or a pattern of ARNs as the role has it.
    pub resource: String,
    /// One value of each condition key.
    pub facts: Facts,
}

impl Grant {
    pub fn all(roles: &[Role]) -> BTreeSet<Self> {
        roles.iter().flat_map(|role| Self::of(&role.name, &role.statements)).collect()
    }

    fn of(holder: &str, statements: &[Statement]) -> BTreeSet<Self> {
        let allowing = statements.iter().filter(|statement| statement.effect == Effect::Allow);
        let mut all = BTreeSet::new();
        for statement in allowing {
            for facts in possible(statement) {
                for (action, resource) in pairs(&statement.actions, &statement.resources) {
                    let (action, resource, facts) = (action.clone(), resource.clone(), facts.clone());
                    all.insert(Self { holder: holder.to_owned(), action, resource, facts });
                }
            }
        }
        all
    }

    /// Whether it is what grants `right`.
    pub(super) fn covers(&self, right: &Right) -> bool {
        matches(&self.action, &right.action)
            && matches(&self.resource, &right.resource)
            && self.facts.iter().all(|(key, value)| right.facts.get(key) == Some(value))
    }
}

/// Each choice of one value for each condition key.
fn possible(statement: &Statement) -> Vec<Facts> {
    let mut all = vec![Facts::new()];
    for (key, values) in &statement.condition {
        let with = |(facts, value): (&Facts, &String)| {
            let mut facts = facts.clone();
            facts.insert(key.clone(), value.clone());
            facts
        };
        all = pairs(&all, values).map(with).collect();
    }
    all
}

fn pairs<'a, A, B>(all: &'a [A], with: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    all.iter().flat_map(move |a| with.iter().map(move |b| (a, b)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_statement_is_as_many_grants_as_it_has_actions_resources_and_facts_and_each_covers_its_own_calls() {
        let statement = json!({
            "Effect": "Allow", "Action": ["kms:Decrypt", "kms:ReEncryptFrom"], "Resource": ["arn:a", "arn:b"],
            "Condition": { "StringEquals": { "purpose": ["credential", "webhook_secret"], "app": "intertie" } },
        });
        let all = Grant::of("a", &[serde_json::from_value(statement).unwrap()]);
        assert_eq!(all.len(), 8, "{all:?}");
        let right = |purpose: &str| {
            let facts = [("purpose", purpose), ("app", "intertie"), ("user", "ada")];
            let facts = facts.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            Right { action: "kms:Decrypt".into(), resource: "arn:b".into(), facts }
        };
        let covering: Vec<_> = all.iter().filter(|grant| grant.covers(&right("credential"))).collect();
        assert_eq!(covering.len(), 1, "{covering:?}");
        assert_eq!((covering[0].resource.as_str(), &*covering[0].facts["purpose"]), ("arn:b", "credential"));
        assert!(!all.iter().any(|grant| grant.covers(&right("other"))));
    }
}
