//! What is written about the API by hand: the files of docs/openapi.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;
use serde_json::Value;

/// All files together.
#[derive(Default)]
pub(super) struct Descriptions {
    /// Name and description, in the order of the files.
    pub(super) tags: Vec<Tag>,
    /// What parameters of these names mean where an operation says nothing else.
    pub(super) parameters: BTreeMap<String, Parameter>,
    /// By method and path, such as `GET /health`.
    pub(super) operations: BTreeMap<String, Operation>,
    /// JSON Schemas by name.
    pub(super) schemas: BTreeMap<String, Value>,
    /// The tag of each operation.
    pub(super) tagged: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tag: Option<Tag>,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    operations: BTreeMap<String, Operation>,
    #[serde(default)]
    schemas: BTreeMap<String, Value>,
}

#[derive(Deserialize, Clone, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tag {
    pub(super) name: String,
    description: String,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameter {
    pub(super) schema: Value,
    pub(super) description: String,
}

/// What is said of one method of one path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) summary: String,
    pub(super) description: Option<String>,
    pub(super) caller: Caller,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, Parameter>,
    /// Request headers that it reads, by the names of shared parameters.
    #[serde(default)]
    pub(super) headers: Vec<String>,
    /// The schema of the body.
    pub(super) body: Option<String>,
    /// Whether pages of the application send it as a form. Those of the status page are known by their CSRF token.
    #[serde(default)]
    pub(super) form: bool,
    /// Whether the body is whatever its sender chose.
    #[serde(default)]
    pub(super) any_body: bool,
    /// By status, or `default`.
    pub(super) answers: BTreeMap<String, Answer>,
    /// Statuses of problems besides those that follow from the route.
    #[serde(default)]
    pub(super) problems: Vec<u16>,
}

/// Which credential a call needs.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Caller {
    /// No session is needed.
    None,
    /// A Bearer token, or the cookie of a browser.
    Session,
    /// A Bearer token.
    Program,
    /// Both, of an administrator.
    Admin,
    /// A Bearer token of an administrator.
    AdminProgram,
}

/// An answer that is no problem of the common form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) description: String,
    /// The schema of its JSON.
    pub(super) schema: Option<String>,
    /// Whether it is plain text.
    #[serde(default)]
    pub(super) text: bool,
    /// Whether its body is whatever the provider chose.
    #[serde(default)]
    pub(super) any: bool,
    /// The types of its body, if it is neither.
    #[serde(default)]
    pub(super) content: Vec<String>,
    /// Its headers besides `Location`, with their descriptions.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
}

impl Descriptions {
    pub(super) fn read() -> Self {
        let folder = local_runtime::bootstraps::root().join("docs/openapi");
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut all = Self::default();
        for path in files {
            let text = fs::read_to_string(&path).unwrap();
            let read = serde_yaml_ng::from_str(&text);
            let file: File = read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            if let Some(tag) = &file.tag {
                all.tagged.extend(file.operations.keys().map(|key| (key.clone(), tag.name.clone())));
            }
            all.tags.extend(file.tag);
            all.parameters.extend(file.parameters);
            all.operations.extend(file.operations);
            all.schemas.extend(file.schemas);
        }
        all
    }
}
