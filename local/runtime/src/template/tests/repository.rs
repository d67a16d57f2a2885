//! The repository's own template.yaml, read as `cargo local` reads it.

use std::{collections::BTreeSet, fs};

use local_aws::resources::{AttributeType, Index, KeySchema};

use super::*;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");

fn load(overrides: &[(&str, &str)]) -> Template {
    let overrides: Vec<_> = overrides.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Template::load(Path::new(PATH), &overrides, &context()).unwrap()
}

fn function<'a>(template: &'a Template, name: &str) -> &'a Function {
    template.functions.iter().find(|function| function.name == format!("intertie-{name}")).unwrap()
}

fn table<'a>(template: &'a Template, name: &str) -> &'a Table {
    template.resources.tables.iter().find(|table| table.name == format!("intertie-{name}")).unwrap()
}

#[test]
fn every_function_has_its_binary_a_trigger_and_its_own_rights() {
    let template = load(&[]);
    let packages = fs::read_dir(Path::new(PATH).with_file_name("functions")).unwrap();
    assert_eq!(template.functions.len(), packages.count());
    for function in &template.functions {
        let package = Path::new(PATH).with_file_name("functions").join(&function.binary).join("Cargo.toml");
        assert!(package.exists(), "{} is built from {}", function.name, package.display());
        assert_eq!(function.name, format!("intertie-{}", function.binary));
        assert_eq!((function.log_format.as_str(), function.log_level.as_str()), ("JSON", "INFO"));
        let triggers = function.routes.len() + function.mappings.len() + function.schedules.len();
        assert!(triggers > 0, "{} is never invoked", function.name);
        assert!(function.mappings.iter().all(|mapping| mapping.partial), "{}", function.name);
        for statement in &function.statements {
            assert!(statement.actions.iter().all(|action| !action.contains('*')), "{statement:?}");
            assert!(statement.resources.iter().all(|resource| resource.starts_with("arn:aws:")), "{statement:?}");
        }
    }
}

#[test]
fn routes_are_unique_and_end_in_a_default() {
    let template = load(&[]);
    let routes: Vec<_> = template.functions.iter().flat_map(|function| &function.routes).collect();
    let distinct: BTreeSet<_> = routes.iter().map(|route| (&route.method, &route.path)).collect();
    assert_eq!(distinct.len(), routes.len());
    for (name, method, path) in [
        ("integrations-api", "ANY", "$default"),
        ("api-proxy", "ANY", "/proxy/{provider}/{proxy+}"),
        ("webhook-ingest", "POST", "/webhooks/{provider}"),
        ("oauth-callback", "GET", "/auth/{provider}/callback"),
    ] {
        let route = Route { method: method.to_owned(), path: path.to_owned() };
        assert!(function(&template, name).routes.contains(&route), "{method} {path}");
    }
}

#[test]
fn ingest_may_do_its_work_and_nothing_else() {
    let template = load(&[]);
    let ingest = function(&template, "webhook-ingest");
    let queue =
        |name: &str| template.resources.queues.iter().find(|queue| queue.name == format!("intertie-{name}")).unwrap();
    let secret =
        |name: &str| &template.resources.secrets.iter().find(|it| it.name == format!("intertie/{name}")).unwrap().arn;
    assert_eq!(ingest.environment["WEBHOOKS_QUEUE_URL"], queue("webhooks").url);
    assert_eq!(ingest.environment["RESOURCE_PREFIX"], "intertie");
    assert_eq!(ingest.environment["SECRET_CACHE_SECONDS"], "300");
    for (action, resource, expected) in [
        ("sqs:SendMessage", &queue("webhooks").arn, true),
        ("sqs:ReceiveMessage", &queue("webhooks").arn, false),
        ("sqs:SendMessage", &queue("syncs").arn, false),
        ("secretsmanager:GetSecretValue", secret("stripe"), true),
        ("secretsmanager:GetSecretValue", secret("session"), false),
        ("dynamodb:Query", &table(&template, "credentials").arn, false),
    ] {
        assert_eq!(allows(&ingest.statements, action, resource, &Facts::new()), expected, "{action} {resource}");
    }
}

#[test]
fn every_worked_queue_redrives_to_one_created_before_it() {
    let template = load(&[("Prefix", "other")]);
    let worked: Vec<_> = template.functions.iter().flat_map(|function| &function.mappings).collect();
    assert_eq!(worked.len(), 5);
    for mapping in worked {
        let position = template.resources.queues.iter().position(|queue| queue.arn == mapping.queue_arn).unwrap();
        let queue = &template.resources.queues[position];
        let redrive: serde_json::Value = serde_json::from_str(&queue.attributes["RedrivePolicy"]).unwrap();
        let dead = template.resources.queues[..position]
            .iter()
            .find(|dead| redrive["deadLetterTargetArn"] == dead.arn)
            .unwrap();
        // Both queues of syncs have one.
        assert_eq!(dead.name, format!("{}-dead", queue.name.replace("long-", "")));
        let allowed: serde_json::Value = serde_json::from_str(&dead.attributes["RedriveAllowPolicy"]).unwrap();
        assert!(allowed["sourceQueueArns"].as_array().unwrap().contains(&json!(queue.arn)));
    }
}

#[test]
fn schedules_carry_json() {
    let template = load(&[]);
    let schedules: BTreeSet<_> = template
        .functions
        .iter()
        .flat_map(|function| &function.schedules)
        .map(|schedule| (schedule.name.as_str(), schedule.expression.as_str(), schedule.input.to_string()))
        .collect();
    let expected = [
        ("intertie-dead-letters", "rate(4 minutes)", r#"{"schedule":"dead_letters"}"#),
        ("intertie-incremental", "rate(5 minutes)", r#"{"schedule":"incremental"}"#),
        ("intertie-refresh", "rate(5 minutes)", r#"{"schedule":"refresh"}"#),
        ("intertie-watches", "rate(1 hour)", r#"{"schedule":"watches"}"#),
    ];
    assert_eq!(schedules, expected.map(|(name, rate, input)| (name, rate, input.to_owned())).into());
}

#[test]
fn tables_keys_and_secrets_arrive_whole() {
    let template = load(&[]);
    assert_eq!(template.resources.tables.len(), 10);
    assert!(template.resources.tables.iter().all(|table| table.pitr && table.sse));
    let integrations = table(&template, "integrations");
    let key = |hash: &str, range: &str| KeySchema { hash: hash.to_owned(), range: Some(range.to_owned()) };
    assert_eq!(integrations.key_schema, key("user_id", "integration"));
    assert_eq!(integrations.attributes["due_at"], AttributeType::N);
    let by_due =
        Index { name: "by_due".to_owned(), key_schema: key("due_shard", "due_at"), projection: Projection::KeysOnly };
    assert!(integrations.indexes.contains(&by_due), "{:?}", integrations.indexes);
    assert_eq!(table(&template, "idempotency").ttl.as_deref(), Some("expires_at"));
    assert_eq!(table(&template, "records").stream_view.as_deref(), Some("NEW_AND_OLD_IMAGES"));

    assert_eq!(template.resources.keys[0].aliases, ["alias/intertie"]);
    assert_eq!(template.resources.buses, ["intertie"]);
    let secret = |name: &str| &template.resources.secrets.iter().find(|secret| secret.name == name).unwrap().value;
    let SecretValue::Generated { template: session, key, length, alphabet } = secret("intertie/session") else {
        panic!("the session's key is generated");
    };
    assert_eq!((json!(session), key.as_str()), (json!({"previous": []}), "key"));
    assert!(length % 4 == 0 && alphabet.chars().all(|c| c.is_ascii_alphanumeric()), "base64 without padding");
    let SecretValue::Literal(stripe) = secret("intertie/stripe") else { panic!("filled in by hand") };
    assert!(serde_json::from_str::<serde_json::Value>(stripe).unwrap()["webhook_secrets"].is_array());
}

#[test]
fn origins_and_addresses_follow_the_parameters() {
    let plain = load(&[]);
    assert_eq!(plain.cors, None);
    assert_eq!(plain.outputs["Url"], context().api_url);
    let given = load(&[("AllowedOrigins", "https://app.example.com"), ("PublicUrl", "http://127.0.0.1:3000")]);
    assert_eq!(given.cors.unwrap().allow_origins, ["https://app.example.com"]);
    assert_eq!(given.outputs["StripeWebhookUrl"], "http://127.0.0.1:3000/webhooks/stripe");
    assert_eq!(given.outputs["EventBusName"], "intertie");
    let certificate = "arn:aws:acm:us-east-1:111122223333:certificate/1";
    let domain = [("DomainName", "api.example.com"), ("CertificateArn", certificate)];
    let own = load(&domain);
    assert_eq!(own.outputs["StripeWebhookUrl"], "https://api.example.com/webhooks/stripe");
    assert_eq!(function(&own, "oauth-callback").environment["PUBLIC_URL"], "https://api.example.com");
    assert_eq!(function(&own, "sync-worker").environment["API_URL"], "https://api.example.com");
    let behind = load(&[domain[0], domain[1], ("PublicUrl", "https://www.example.com")]);
    assert_eq!(behind.outputs["Url"], "https://www.example.com");
}

/// The role of a gradual deployment has a managed policy; no function has that role.
#[test]
fn what_only_a_deployment_uses_is_passed_over() {
    let gradual =
        load(&[("GradualDeployment", "on"), ("PermissionsBoundaryArn", "arn:aws:iam::aws:policy/PowerUserAccess")]);
    assert_eq!(gradual.functions, load(&[]).functions);
}

#[test]
fn concurrency_follows_the_parameters() {
    let reserved = |overrides: &[(&str, &str)]| function(&load(overrides), "webhook-ingest").reserved_concurrency;
    assert_eq!(reserved(&[]), None);
    assert_eq!(reserved(&[("WebhookIngestReservedConcurrency", "7")]), Some(7));
    for (queue, name, mapping, most) in [
        ("Webhooks", "webhook-process", 0, 50),
        ("Syncs", "sync-worker", 0, 20),
        ("LongSyncs", "sync-worker", 1, 20),
        ("Refreshes", "token-refresh", 0, 5),
        ("Schedules", "sync-scheduler", 0, 5),
    ] {
        let parameter = format!("{queue}MaximumConcurrency");
        let concurrency =
            |overrides: &[(&str, &str)]| function(&load(overrides), name).mappings[mapping].max_concurrency;
        assert_eq!((concurrency(&[]), concurrency(&[(&parameter, "9")])), (Some(most), Some(9)), "{queue}");
    }
}
