//! What every action must hold to.

use serde_json::{Value, json};

use super::{answers::nonsense, check, limits};
use crate::*;

#[test]
fn actions_name_what_is_wrong_and_survive_nonsense() {
    for provider in REGISTRY.iter() {
        let spec = provider.spec();
        for action in spec.actions {
            for input in [json!({}), json!(null), json!([]), json!("x")] {
                match provider.action(action, &input, &"user-1".parse().unwrap()) {
                    Ok(request) => {
                        assert!(input.is_object(), "{} {action} took {input}", spec.id);
                        check(provider, &request);
                    }
                    Err(problem) => assert!(!problem.fields.is_empty(), "{} {action}: {problem:?}", spec.id),
                }
            }
            for answer in nonsense() {
                if let Ok(Step::Done(result)) = provider.action_step(action, &json!({}), &mut Value::Null, &answer) {
                    assert!(result.is_object(), "{} {action}: {result}", spec.id);
                }
            }
        }
        assert!(
            provider.action("no such action", &json!({}), &"user-1".parse().unwrap()).is_err()
                || spec.actions.len() == 1
        );
    }
}

#[test]
fn actions_refuse_by_name_what_they_do_not_know_and_what_is_of_another_type() {
    for (id, action, input) in limits::INPUTS {
        let provider = REGISTRY.find(id).unwrap();
        let input: Value = serde_json::from_str(input).unwrap();
        let wrong = |field: &str, value: Value| {
            let mut input = input.clone();
            input[field] = value;
            let problem = provider.action(action, &input, &"user-1".parse().unwrap()).err();
            let fields = problem.unwrap_or_else(|| panic!("{id}/{action} took {input}")).fields;
            assert_eq!(fields.iter().map(|it| &*it.field).collect::<Vec<_>>(), [field], "{id}/{action} {input}");
        };
        wrong("unknown", json!("x"));
        for field in input.as_object().unwrap().keys() {
            for value in [json!({}), json!(7), json!([7]), json!(""), json!(null)] {
                wrong(field, value);
            }
        }
    }
}
