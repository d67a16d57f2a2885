//! template.yaml and the code say the same, and the template keeps its promises.

use std::{collections::BTreeSet, time::Duration};

use local_aws::{
    iam::Facts,
    resources::{AttributeType, Projection, Queue},
};
use local_cli::rights::OTHER_KEYS;
use local_runtime::template::Template;
use platform::{aws::queue::RETENTION, base::config::names, runtime::http::route::ROUTES, stores::claims};
use serde_json::Value;
use tests::template;

fn deployed() -> Template {
    template("http://localhost", &[])
}

#[test]
fn the_template_sets_exactly_the_variables_that_each_function_reads() {
    let read = |function: &str| match function {
        "api-proxy" => names(api_proxy::Config::read),
        "integrations-api" => names(integrations_api::Config::read),
        "oauth-callback" => names(oauth_callback::Config::read),
        "operator-api" => names(operator_api::Config::read),
        "sync-scheduler" => names(sync_scheduler::Config::read),
        "sync-worker" => names(sync_worker::Config::read),
        "token-refresh" => names(token_refresh::Config::read),
        "webhook-ingest" => names(webhook_ingest::Config::read),
        "webhook-process" => names(webhook_process::Config::read),
        other => panic!("template.yaml declares {other}, which no test knows"),
    };
    let template = deployed();
    assert_eq!(template.functions.len(), 9);
    for function in &template.functions {
        let set: BTreeSet<_> = function.environment.keys().map(String::as_str).collect();
        let read: BTreeSet<_> = read(&function.binary).into_iter().collect();
        assert_eq!(set, read, "{}", function.name);
    }
}

#[test]
fn the_release_is_that_of_the_workspace_everywhere() {
    let template = deployed();
    assert_eq!(template.outputs["Version"], env!("CARGO_PKG_VERSION"));
    for function in &template.functions {
        assert_eq!(function.environment["VERSION"], env!("CARGO_PKG_VERSION"), "{}", function.name);
    }
}

/// A parameter that is left out would change nothing behind the alias: see `SettingsVersion` in the template.
#[test]
fn the_numbered_settings_have_every_parameter() {
    let text = std::fs::read_to_string(local_runtime::bootstraps::root().join("template.yaml")).unwrap();
    let content = text.split("      Content: !Sub |\n").nth(1).unwrap();
    let listed: BTreeSet<_> = content.lines().map_while(|line| line.strip_prefix("        ")).collect();
    let parameters = deployed().parameters;
    let expected: Vec<_> = parameters.keys().map(|name| format!("{name}=${{{name}}}")).collect();
    assert_eq!(listed, expected.iter().map(String::as_str).collect());
    let functions = text.matches("Type: AWS::Serverless::Function\n").count();
    assert_eq!(text.matches("      AutoPublishAliasAllProperties: true\n").count(), functions);
    assert_eq!(
        text.matches("      VersionDescription: !Sub ['Intertie ${Release}, settings ${SettingsVersion}, deployment ${Deployment}', ").count(),
        functions
    );
}

#[test]
fn a_variable_means_the_same_in_every_function() {
    let template = deployed();
    let mut values = std::collections::BTreeMap::new();
    for (name, value) in template.functions.iter().flat_map(|function| &function.environment) {
        assert_eq!(values.entry(name).or_insert(value), &value, "{name}");
    }
}

#[test]
fn the_routes_are_those_of_the_code_and_the_rest_goes_to_integrations_api() {
    let template = deployed();
    let declared: BTreeSet<_> = template
        .functions
        .iter()
        .flat_map(|function| function.routes.iter().map(|route| (&*route.method, &*route.path, &*function.binary)))
        .collect();
    let mut coded: BTreeSet<_> = ROUTES.iter().map(|route| (route.method, route.path, route.function)).collect();
    coded.insert(("ANY", "$default", "integrations-api"));
    assert_eq!(declared, coded);
}

#[test]
fn a_message_stays_hidden_for_six_timeouts_and_failures_are_reported_one_by_one() {
    let template = deployed();
    let mappings =
        template.functions.iter().flat_map(|function| function.mappings.iter().map(move |it| (function, it)));
    let mut count = 0;
    for (function, mapping) in mappings {
        let queue = template.resources.queues.iter().find(|queue| queue.arn == mapping.queue_arn).unwrap();
        let visibility: u64 = queue.attributes["VisibilityTimeout"].parse().unwrap();
        assert!(visibility >= 6 * function.timeout.as_secs(), "{}", queue.name);
        assert!(mapping.partial, "{}", queue.name);
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn a_function_gets_its_own_timeout_and_the_visibility_of_its_own_queue() {
    let template = deployed();
    for (binary, timeout, visibility) in [
        ("api-proxy", "PROXY_TIMEOUT_SECONDS", None),
        ("webhook-process", "PROCESS_TIMEOUT_SECONDS", Some("WEBHOOKS_VISIBILITY_SECONDS")),
        ("sync-worker", "SYNC_TIMEOUT_SECONDS", Some("SYNCS_VISIBILITY_SECONDS")),
        ("sync-scheduler", "SCHEDULE_TIMEOUT_SECONDS", Some("SCHEDULES_VISIBILITY_SECONDS")),
        ("token-refresh", "REFRESH_TIMEOUT_SECONDS", Some("REFRESHES_VISIBILITY_SECONDS")),
    ] {
        let function = template.functions.iter().find(|function| function.binary == binary).unwrap();
        assert_eq!(function.environment[timeout], function.timeout.as_secs().to_string(), "{binary}");
        if let Some(visibility) = visibility {
            let arn = &function.mappings[0].queue_arn;
            let queue = template.resources.queues.iter().find(|queue| queue.arn == *arn).unwrap();
            assert_eq!(function.environment[visibility], queue.attributes["VisibilityTimeout"], "{binary}");
        }
    }
}

#[test]
fn a_claim_or_lease_outlives_the_attempt_that_holds_it() {
    let template = deployed();
    let function = |binary: &str| template.functions.iter().find(|function| function.binary == binary).unwrap();
    for (binary, lease) in [("webhook-process", "CLAIM_LEASE_SECONDS"), ("sync-worker", "SYNC_LEASE_SECONDS")] {
        let lease: u64 = function(binary).environment[lease].parse().unwrap();
        assert!(lease > function(binary).timeout.as_secs(), "{binary}");
    }
    // What a token endpoint gets at most.
    let lease: u64 = function("token-refresh").environment["REFRESH_LEASE_SECONDS"].parse().unwrap();
    assert!(lease > 10);
}

#[test]
fn every_queue_has_a_dead_letter_queue_that_keeps_longer_and_takes_messages_of_a_mebibyte() {
    let template = deployed();
    assert_eq!(template.resources.queues.len(), 10);
    for queue in &template.resources.queues {
        assert_eq!(queue.attributes["MaximumMessageSize"], "1048576", "{}", queue.name);
        assert_eq!(queue.attributes["SqsManagedSseEnabled"], "true", "{}", queue.name);
        match queue.name.strip_suffix("-dead") {
            Some(_) => assert_eq!(kept(queue), RETENTION, "{}", queue.name),
            None if queue.name.ends_with("-failed-schedules") => assert_eq!(kept(queue), RETENTION),
            None => {
                let redrive: Value = serde_json::from_str(&queue.attributes["RedrivePolicy"]).unwrap();
                let target = redrive["deadLetterTargetArn"].as_str().unwrap();
                // Both queues of syncs have one.
                assert_eq!(target, format!("{}-dead", queue.arn.replace("long-", "")));
            }
        }
    }
}

/// How long a queue keeps a message.
fn kept(queue: &Queue) -> Duration {
    Duration::from_secs(queue.attributes["MessageRetentionPeriod"].parse().unwrap())
}

#[test]
fn a_message_that_nothing_sends_again_is_kept_as_long_as_a_dead_letter_and_remembered_for_longer_than_both() {
    let template = deployed();
    let kept = |name: &str| {
        kept(
            template
                .resources
                .queues
                .iter()
                .find(|queue| queue.name == format!("intertie-{name}"))
                .expect("the queue exists"),
        )
    };
    for name in ["webhooks", "webhooks-dead", "syncs", "long-syncs", "syncs-dead", "refreshes-dead", "schedules-dead"] {
        assert_eq!(kept(name), RETENTION, "{name}");
    }
    // What each sweep sends again needs to outlive some sweeps only.
    for name in ["refreshes", "schedules"] {
        assert!((Duration::from_hours(24)..=RETENTION).contains(&kept(name)), "{name}");
    }
    // A provider may repeat what is in the queue or among the dead letters.
    let repeated_for = claims::RETENTION.checked_sub(kept("webhooks") + kept("webhooks-dead")).unwrap();
    assert!(repeated_for >= Duration::from_hours(7 * 24), "{repeated_for:?}");
}

#[test]
fn what_a_schedule_loses_is_kept_and_whatever_sends_it_there_is_allowed_to() {
    let text = std::fs::read_to_string(local_runtime::bootstraps::root().join("template.yaml")).unwrap();
    let policy = text.split("\n  FailedSchedulesQueuePolicy:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let template = deployed();
    let failed = template.resources.queues.iter().find(|queue| queue.name == "intertie-failed-schedules").unwrap();
    let scheduled = template.functions.iter().filter(|function| !function.schedules.is_empty());
    let mut rules = 0;
    for function in scheduled {
        assert_eq!(function.on_failure.as_ref(), Some(&failed.arn), "{}", function.name);
        assert!(
            local_aws::iam::allows(&function.statements, "sqs:SendMessage", &failed.arn, &Facts::new()),
            "{}",
            function.name
        );
        for schedule in &function.schedules {
            let name = schedule.name.strip_prefix("intertie-").unwrap();
            assert!(policy.contains(&format!(":rule/${{Prefix}}-{name}'")), "{name}");
            let rule = text.split(&format!("Name: !Sub '${{Prefix}}-{name}', Schedule: ")).nth(1).unwrap();
            let rule = rule.lines().next().unwrap();
            assert!(rule.ends_with("DeadLetterConfig: {Arn: !GetAtt FailedSchedulesQueue.Arn}}"), "{rule}");
            rules += 1;
        }
    }
    assert_eq!(policy.matches(":rule/").count(), rules);
}

#[test]
fn tables_are_recoverable_encrypted_expire_where_they_should_and_index_little_but_keys() {
    let template = deployed();
    let (mut expiring, mut included) = (Vec::new(), Vec::new());
    for table in &template.resources.tables {
        assert!(table.pitr && table.sse, "{}", table.name);
        expiring.extend(table.ttl.is_some().then_some(table.name.as_str()));
        for index in table.indexes.iter().chain(&table.local_indexes) {
            match &index.projection {
                Projection::KeysOnly => {}
                Projection::All => panic!("{} copies all of {}", index.name, table.name),
                Projection::Include { non_key_attributes } => {
                    included.push((&*index.name, non_key_attributes.join(", ")));
                }
            }
        }
        assert!(table.attributes.values().all(|kind| *kind != AttributeType::B));
    }
    assert_eq!(
        expiring,
        [
            "intertie-oauth-states",
            "intertie-syncs",
            "intertie-health",
            "intertie-rate-limits",
            "intertie-idempotency",
            "intertie-delivery-bodies"
        ]
    );
    included.sort();
    assert_eq!(
        included,
        [("by_account", "read_since, granted".to_owned()), ("by_change", "content, deleted".to_owned())]
    );
    let records = template.resources.tables.iter().find(|table| table.name == "intertie-records").unwrap();
    assert!(records.stream_view.is_some());
}

#[test]
fn roles_name_actions_and_resources_exactly() {
    let template = template("http://localhost", &[("GradualDeployment", "on")]);
    let [role] = &template.other_roles[..] else { panic!("{:?}", template.other_roles) };
    assert_eq!(role.name, "DeploymentRole");
    let (_, of_functions) = role.statements.split_first().expect("the first is the right to read alarms");
    let all = template.functions.iter().flat_map(|function| &function.statements).chain(of_functions);
    for statement in all {
        assert!(statement.actions.iter().all(|action| !action.contains('*')), "{statement:?}");
        let exact = |arn: &String| arn != "*" && !arn.contains("::") && arn.split(':').count() >= 6;
        assert!(statement.resources.iter().all(exact), "{statement:?}");
    }
}

/// While an update of `TokenKeyArn` is under way, the alias may lead to the key before or to the one after.
#[test]
fn the_key_before_and_the_one_after_may_be_used_while_the_alias_moves() {
    let template = template("http://localhost", &OTHER_KEYS);
    let own = template.resources.keys.iter().find(|key| key.logical_id == "TokenKey").unwrap();
    let [given, former] = OTHER_KEYS.map(|(_, arn)| arn);
    for function in &template.functions {
        for action in ["kms:GenerateDataKey", "kms:ReEncryptTo"] {
            let allowing = function.statements.iter().filter(|it| it.actions.iter().any(|named| named == action));
            for statement in allowing {
                assert_eq!(statement.resources, [own.arn.as_str(), given, former], "{} {action}", function.name);
            }
        }
    }
}

/// The functions that may read the apps' secrets, decrypt a token, make a data key, and touch the table of credentials.
#[test]
fn only_the_functions_that_must_can_read_secrets_or_decrypt_tokens() {
    const TOKENS: [&str; 4] = ["oauth-callback", "api-proxy", "sync-worker", "token-refresh"];
    for function in deployed().functions {
        let may = |action: &str, part: &str| {
            let matching = |statement: &&local_aws::iam::Statement| {
                statement.actions.iter().any(|it| it.starts_with(action))
                    && statement.resources.iter().any(|it| it.contains(part))
            };
            function.statements.iter().find(matching)
        };
        let name = function.binary.as_str();
        let holds_tokens = TOKENS.contains(&name);
        // Webhook secrets, and bodies of deliveries.
        let (opens, makes) = (["webhook-ingest", "operator-api"], ["oauth-callback", "webhook-process"]);
        assert_eq!(may("kms:Decrypt", "").is_some(), holds_tokens || opens.contains(&name), "{name}");
        assert_eq!(may("kms:ReEncryptFrom", "").is_some(), holds_tokens, "{name}");
        assert_eq!(may("kms:GenerateDataKey", "").is_some(), makes.contains(&name), "{name}");
        let reads = may("dynamodb:GetItem", "/intertie-credentials").is_some();
        assert_eq!(reads, holds_tokens, "{name}");
        // An application's own Stripe account has no OAuth client: its secret is for verifying webhooks alone.
        for (secret, reads) in [("slack", holds_tokens), ("google", holds_tokens), ("stripe", false)] {
            let apps = may("secretsmanager:GetSecretValue", &format!("/{secret}")).is_some();
            assert_eq!(apps, reads || name == "webhook-ingest", "{name} {secret}");
        }
        for action in ["kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"] {
            if let Some(statement) = may(action, "") {
                for key in ["purpose", "app"] {
                    let named = statement.condition.contains_key(&format!("kms:EncryptionContext:{key}"));
                    assert!(named, "{name} may {action} whatever {key} is in the encryption context");
                }
            }
        }
        let reads = may("dynamodb:GetItem", "/intertie-webhook-secrets").is_some();
        assert_eq!(reads, ["oauth-callback", "webhook-ingest"].contains(&name), "{name}");
    }
}

#[test]
fn cargo_lambda_watch_serves_the_same_paths() {
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output =
        std::process::Command::new("cargo").current_dir(local_runtime::bootstraps::root()).args(arguments).output();
    let metadata: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let router = metadata["metadata"]["lambda"]["watch"]["router"].as_object().unwrap();
    let watched: BTreeSet<_> =
        router.iter().map(|(path, function)| (path.clone(), function.as_str().unwrap())).collect();
    // The watch router writes a greedy `{proxy+}` as `{*proxy}`.
    let path = |path: &str| path.replace("{proxy+}", "{*proxy}");
    let coded: BTreeSet<_> = ROUTES.iter().map(|route| (path(route.path), route.function)).collect();
    assert_eq!(watched, coded);
}

#[test]
fn pages_of_allowed_origins_may_send_every_header_that_a_provider_passes() {
    let allowed = deployed().cors;
    // Without an origin there is no CORS.
    assert!(allowed.is_none());
    let allowed = template("http://localhost", &[("AllowedOrigins", "https://app.example.com")]).cors.unwrap();
    for provider in providers::REGISTRY.iter() {
        for name in provider.spec().api.request_headers {
            assert!(allowed.allow_headers.iter().any(|allowed| allowed == name), "{name}");
        }
    }
}
