//! The making of the document. What follows from a route (its names, the problems that the rules of all routes lead to) is taken
//! from the table and written nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use platform::runtime::http::route::{CSRF, Exempt, Names, Route};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::description::{Answer, Caller, Descriptions, Operation, Tag};

/// What each status of a problem is called, and means.
const PROBLEMS: [(u16, &str, &str); 12] = [
    (400, "Malformed", "The request can't be read."),
    (401, "Unauthenticated", "There is no valid session."),
    (403, "Forbidden", "The session, the page or the grant does not allow this."),
    (404, "NotFound", "There is no such thing for the caller."),
    (409, "Conflict", "Not connected, to be connected again, or contradicting something that exists."),
    (410, "Gone", "It was there, and is kept no longer."),
    (413, "TooLarge", "The body is larger than 256 KB."),
    (422, "Invalid", "A mistake in the request, or the provider refuses it. `fields` names what is wrong."),
    (429, "TooMany", "The provider, or API Gateway, asks to wait."),
    (500, "Internal", "A fault of this stack."),
    (502, "ProviderDown", "The provider does not answer."),
    (503, "Unavailable", "API Gateway can't reach the function."),
];

/// The document of `OpenAPI` 3.1.
#[derive(Serialize)]
pub(super) struct Document {
    openapi: &'static str,
    info: Value,
    servers: Value,
    tags: Vec<Tag>,
    paths: BTreeMap<String, BTreeMap<String, Value>>,
    components: Value,
}

impl Document {
    /// The document of these routes, and what keeps it from being one.
    pub(super) fn of(routes: &'static [Route], descriptions: &Descriptions) -> (Self, Vec<String>) {
        let mut wrong = BTreeSet::new();
        let mut paths: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
        let mut described: BTreeSet<_> = descriptions.operations.keys().cloned().collect();
        for (route, path) in routes.iter().flat_map(concrete) {
            let key = format!("{} {path}", route.method);
            described.remove(&key);
            let Some(operation) = descriptions.operations.get(&key) else {
                wrong.insert(format!("{key} has no description: add it to a file of docs/openapi"));
                continue;
            };
            let made = Making { key: &key, route, path: &path, operation, descriptions };
            for method in route.methods().iter().map(|method| method.to_lowercase()) {
                let item = made.operation(&method, &mut wrong);
                paths.entry(path.replace("+}", "}")).or_default().insert(method, item);
            }
        }
        wrong.extend(described.iter().map(|key| format!("{key} is described and no route")));
        let components = components(descriptions, &json!(paths).to_string());
        let document = Self {
            openapi: "3.1.0",
            info: json!({
                "title": "Intertie",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "The integration layer between an application and third-party APIs",
                "description": "All routes are in `docs/http.md`. Unknown parameters and fields are refused by name. \
                    Where a browser asks (`Accept: text/html`), problems are pages.",
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            }),
            servers: json!([{ "url": "/" }]),
            tags: descriptions.tags.clone(),
            paths,
            components,
        };
        (document, wrong.into_iter().collect())
    }
}

/// The paths of a route: one for each action, else its own.
fn concrete(route: &'static Route) -> Vec<(&'static Route, String)> {
    if route.body != Names::OfAction {
        return vec![(route, route.path.to_owned())];
    }
    let specs = providers::REGISTRY.iter().map(providers::Provider::spec);
    let path = |id: &str, action: &str| route.path.replace("{provider}", id).replace("{action}", action);
    specs.flat_map(|spec| spec.actions.iter().map(move |action| (route, path(spec.id.as_str(), action)))).collect()
}

/// One operation in the making.
struct Making<'a> {
    key: &'a str,
    route: &'static Route,
    path: &'a str,
    operation: &'a Operation,
    descriptions: &'a Descriptions,
}

impl Making<'_> {
    fn operation(&self, method: &str, wrong: &mut BTreeSet<String>) -> Value {
        let operation = self.operation;
        let id = if self.route.method == "ANY" { format!("{}_{method}", operation.id) } else { operation.id.clone() };
        let mut made = json!({ "operationId": id, "summary": operation.summary, "responses": self.answers() });
        made["tags"] = json!(self.descriptions.tagged.get(self.key).into_iter().collect::<Vec<_>>());
        made["security"] = match operation.caller {
            Caller::None => json!([]),
            Caller::Session | Caller::Admin => json!([{ "bearer": [] }, { "cookie": [] }]),
            Caller::Program | Caller::AdminProgram => json!([{ "bearer": [] }]),
        };
        if let Some(description) = &operation.description {
            made["description"] = description.trim().into();
        }
        let parameters = self.parameters(wrong);
        if !parameters.is_empty() {
            made["parameters"] = parameters.into();
        }
        if let Some(body) = self.body(wrong)
            && !["get", "head"].contains(&method)
        {
            made["requestBody"] = body;
        }
        made
    }

    fn parameters(&self, wrong: &mut BTreeSet<String>) -> Vec<Value> {
        let own = &self.operation.parameters;
        let in_path: Vec<_> = self.path.split('/').filter_map(|part| part.strip_prefix('{')).collect();
        let in_path: Vec<_> = in_path.into_iter().map(|name| name.trim_end_matches(['+', '}'])).collect();
        let declared: Vec<_> = match self.route.query {
            Names::Only(names) => names.to_vec(),
            Names::Any(_) | Names::OfAction => own.keys().map(String::as_str).collect(),
        };
        for name in own.keys().filter(|name| !declared.contains(&name.as_str()) && !in_path.contains(&name.as_str())) {
            wrong.insert(format!("{}: the parameter {name:?} is described and not declared", self.key));
        }
        let headers = self.operation.headers.iter().map(String::as_str);
        let all = in_path.into_iter().map(|name| ("path", name));
        let all =
            all.chain(declared.into_iter().map(|name| ("query", name))).chain(headers.map(|name| ("header", name)));
        let mut parameters = Vec::new();
        for (place, name) in all {
            // What a path and a query both name is another thing.
            let own = own.get(name).filter(|_| place == "query");
            let Some(parameter) = own.or_else(|| self.descriptions.parameters.get(name)) else {
                wrong.insert(format!("{}: the parameter {name:?} has no description", self.key));
                continue;
            };
            parameters.push(json!({
                "name": name,
                "in": place,
                "required": place == "path",
                "description": parameter.description,
                "schema": parameter.schema,
            }));
        }
        parameters
    }

    fn body(&self, wrong: &mut BTreeSet<String>) -> Option<Value> {
        if self.operation.any_body {
            return Some(json!({ "content": { "*/*": {} } }));
        }
        let name = self.operation.body.as_ref();
        let schema = name.and_then(|name| self.descriptions.schemas.get(name));
        let described: BTreeSet<_> =
            schema.and_then(|it| it["properties"].as_object()).into_iter().flat_map(Map::keys).collect();
        let has_csrf = match self.route.body {
            Names::Only(fields) => {
                let fields: BTreeSet<_> =
                    fields.iter().map(|name| (*name).to_owned()).filter(|name| name != CSRF).collect();
                if !fields.iter().eq(described.iter().copied()) {
                    wrong.insert(format!("{}: the fields are {fields:?}, described are {described:?}", self.key));
                }
                matches!(self.route.body, Names::Only(fields) if fields.contains(&CSRF))
            }
            // A test of their own compares them with what the action reads.
            Names::OfAction | Names::Any(_) => false,
        };
        let (name, schema) = (name?, schema?);
        let mut content =
            json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{name}") } } });
        if has_csrf || self.operation.form {
            let mut form = schema.clone();
            without_nulls(&mut form);
            if has_csrf {
                let what = "The token of the form, which requests with the cookie need.";
                form["properties"][CSRF] = json!({ "type": "string", "description": what });
            }
            content["application/x-www-form-urlencoded"] = json!({ "schema": form });
        }
        let required = schema.get("required").is_some();
        Some(json!({ "required": required, "content": content }))
    }

    fn answers(&self) -> Value {
        let described = self.operation.answers.iter().map(|(status, it)| (status.clone(), answer(status, it)));
        let mut answers: Map<_, _> = described.collect();
        for status in self.problems() {
            let name = PROBLEMS.iter().find(|(known, ..)| *known == status).unwrap_or_else(|| panic!("{status}")).1;
            answers.entry(status.to_string()).or_insert(json!({ "$ref": format!("#/components/responses/{name}") }));
        }
        answers.into()
    }

    /// The statuses of problems, with those that follow from the rules for all routes.
    fn problems(&self) -> BTreeSet<u16> {
        let mut all: BTreeSet<_> = self.operation.problems.iter().copied().collect();
        let exempt = match self.route.query {
            Names::Any(why) => Some(why),
            Names::Only(_) | Names::OfAction => None,
        };
        if matches!(exempt, Some(Exempt::Delivery | Exempt::PassedOn)) {
            return all;
        }
        all.extend([429, 500, 503]);
        if exempt.is_none() {
            all.extend([400, 413, 422]);
        }
        if self.route.path.contains("{provider}") {
            all.insert(404);
        }
        match self.operation.caller {
            Caller::None => {}
            // 403: a cookie that is sent from another page.
            Caller::Session if self.route.method != "GET" => all.extend([401, 403]),
            Caller::Session | Caller::Program => all.extend([401]),
            Caller::Admin | Caller::AdminProgram => all.extend([401, 403]),
        }
        all
    }
}

/// Takes out what no form can say.
fn without_nulls(schema: &mut Value) {
    match schema {
        Value::Array(items) => {
            items.retain(|item| !item.is_null() && item != "null");
            items.iter_mut().for_each(without_nulls);
        }
        Value::Object(fields) => {
            fields.retain(|_, field| field["type"] != "null");
            fields.values_mut().for_each(without_nulls);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn answer(status: &str, answer: &Answer) -> Value {
    let mut made = json!({ "description": answer.description });
    let reference = |name: &String| json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } });
    let json = answer.schema.as_ref().map(|name| ("application/json", reference(name)));
    let text = answer.text.then(|| ("text/plain", json!({ "schema": { "type": "string" } })));
    let others = answer.content.iter().map(|kind| (kind.as_str(), json!({ "schema": { "type": "string" } })));
    let any = answer.any.then(|| ("*/*", json!({})));
    let content: BTreeMap<_, _> = json.into_iter().chain(text).chain(others).chain(any).collect();
    if !content.is_empty() {
        made["content"] = json!(content);
    }
    let location = ["302", "303"].contains(&status).then(|| ("Location".to_owned(), "Where to go.".to_owned()));
    let headers = location.into_iter().chain(answer.headers.clone());
    let headers: Map<_, _> =
        headers.map(|(name, words)| (name, json!({ "description": words, "schema": { "type": "string" } }))).collect();
    if !headers.is_empty() {
        made["headers"] = headers.into();
    }
    made
}

/// What `paths` refer to.
fn components(descriptions: &Descriptions, paths: &str) -> Value {
    let specs: Vec<_> = providers::REGISTRY.iter().map(providers::Provider::spec).collect();
    let ids: Vec<_> = specs.iter().map(|spec| spec.id.as_str()).collect();
    let streams: Vec<_> = specs.iter().flat_map(|spec| spec.streams.iter().map(|stream| stream.name)).collect();
    let mut schemas = descriptions.schemas.clone();
    schemas.insert("ProviderId".to_owned(), json!({ "type": "string", "enum": ids }));
    schemas.insert("Stream".to_owned(), json!({ "type": "string", "enum": streams }));
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    let gateway = json!({ "$ref": "#/components/schemas/GatewayMessage" });
    let used = PROBLEMS.iter().filter(|(_, name, _)| paths.contains(&format!("/responses/{name}\"")));
    let responses = used.map(|(status, name, words)| {
        let schema = match status {
            429 | 500 => json!({ "oneOf": [problem, gateway] }),
            503 => gateway.clone(),
            _ => problem.clone(),
        };
        let mut response = json!({
            "description": words,
            "content": { "application/json": { "schema": schema }, "text/html": { "schema": { "type": "string" } } },
        });
        if [409, 429, 500, 502].contains(status) {
            let words = "Whole seconds until `retry_at`, if it is there.";
            response["headers"] = json!({ "Retry-After": { "description": words, "schema": { "type": "integer" } } });
        }
        ((*name).to_owned(), response)
    });
    json!({
        "schemas": schemas,
        "responses": responses.collect::<Map<_, _>>(),
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "A session token that the application mints, or its identity provider.",
            },
            "cookie": {
                "type": "apiKey",
                "in": "cookie",
                "name": "__Host-intertie_session",
                "description": "Of `POST /session`. On loopback over http `intertie_session`. What changes something also needs \
                    the `Origin` of Intertie's own page and the CSRF token of its form.",
            },
        },
    })
}
