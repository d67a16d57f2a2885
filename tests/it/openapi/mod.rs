//! docs/openapi.json is made of the route table and of the descriptions in docs/openapi: each route has one, with exactly its
//! names.

mod description;
mod document;

use std::{collections::BTreeSet, fs, path::PathBuf};

use domain::UserId;
use platform::runtime::http::route::ROUTES;
use serde_json::{Value, json};

use self::{description::Descriptions, document::Document};

/// The variable that has the test write the file.
const WRITE: &str = "WRITE_OPENAPI";

fn file() -> PathBuf {
    local_runtime::bootstraps::root().join("docs/openapi.json")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the caller of the tests chooses")]
fn the_description_of_the_api_has_every_route_with_its_names_and_is_current() {
    let (document, wrong) = Document::of(ROUTES, &Descriptions::read());
    assert!(wrong.is_empty(), "docs/openapi and ROUTES differ:\n{}", wrong.join("\n"));
    let made = serde_json::to_value(&document).unwrap();
    if std::env::var_os(WRITE).is_some() {
        fs::write(file(), serde_json::to_string_pretty(&document).unwrap() + "\n").unwrap();
    }
    let text = fs::read_to_string(file()).unwrap_or_default();
    let current = serde_json::from_str::<Value>(&text).is_ok_and(|written| written == made);
    assert!(current, "docs/openapi.json is not current. Write it: {WRITE}=1 cargo test -p tests --test it openapi::");
}

#[test]
fn the_fields_of_an_action_are_those_that_it_reads() {
    let descriptions = Descriptions::read();
    let user = UserId::parse("ada").unwrap();
    for provider in providers::REGISTRY.iter() {
        let spec = provider.spec();
        for action in spec.actions {
            let operation = &descriptions.operations[&format!("POST /actions/{}/{action}", spec.id)];
            let schema = &descriptions.schemas[operation.body.as_ref().unwrap()];
            let problem = provider.action(action, &json!({ "surprise": 1 }), &user).unwrap_err();
            let unknown = problem.fields.iter().find(|field| field.field == "surprise").unwrap();
            let known: BTreeSet<_> = unknown.message.split('"').skip(3).step_by(2).map(str::to_owned).collect();
            let described: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(described, known, "{} {action}", spec.id);
        }
    }
}

#[test]
fn a_route_without_a_description_or_with_other_names_is_reported() {
    let mut descriptions = Descriptions::read();
    let records = descriptions.operations.get_mut("GET /integrations/{provider}/records").unwrap();
    records.parameters.remove("stream");
    records.parameters.insert("streams".to_owned(), records.parameters["limit"].clone());
    let health = descriptions.operations.remove("GET /health").unwrap();
    descriptions.operations.insert("GET /healthy".to_owned(), health);
    descriptions.operations.remove("POST /actions/slack/post_message").unwrap();
    let request = descriptions.schemas.get_mut("SyncRequest").unwrap();
    request["properties"].as_object_mut().unwrap().remove("type").unwrap();
    let (_, wrong) = Document::of(ROUTES, &descriptions);
    let expected = [
        "GET /health has no description: add it to a file of docs/openapi",
        "GET /healthy is described and no route",
        "GET /integrations/{provider}/records: the parameter \"stream\" has no description",
        "GET /integrations/{provider}/records: the parameter \"streams\" is described and not declared",
        "POST /actions/slack/post_message has no description: add it to a file of docs/openapi",
        "POST /integrations/{provider}/sync: the fields are {\"account\", \"type\"}, described are {\"account\"}",
    ];
    assert_eq!(wrong, expected);
}
