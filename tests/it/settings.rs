//! Settings that can't work are refused before a deploy, before `cargo local` starts, and by the functions at init; each problem names
//! what must be changed.

use std::collections::BTreeMap;

use local_cli::settings::check;
use platform::{
    Aws,
    aws::Patience,
    base::{
        config::{Env, load_from},
        settings::{Bound, PAIRS, Setting},
    },
};
use providers::REGISTRY;
use tests::template;

/// What `cargo local check` says of the repository's template with these parameters.
fn problems_with(overrides: &[(&str, &str)]) -> Vec<String> {
    let overrides: Vec<_> = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let template = local_runtime::bootstraps::root().join("template.yaml");
    check(&template, &overrides, "").err().map(|wrong| wrong.0).unwrap_or_default()
}

type Read = fn(BTreeMap<String, String>) -> Result<(), String>;

/// The functions, each with the reader of its configuration.
const FUNCTIONS: [(&str, Read); 9] = [
    ("api-proxy", |variables| read(variables, api_proxy::Config::read)),
    ("integrations-api", |variables| read(variables, integrations_api::Config::read)),
    ("oauth-callback", |variables| read(variables, oauth_callback::Config::read)),
    ("operator-api", |variables| read(variables, operator_api::Config::read)),
    ("sync-scheduler", |variables| read(variables, sync_scheduler::Config::read)),
    ("sync-worker", |variables| read(variables, sync_worker::Config::read)),
    ("token-refresh", |variables| read(variables, token_refresh::Config::read)),
    ("webhook-ingest", |variables| read(variables, webhook_ingest::Config::read)),
    ("webhook-process", |variables| read(variables, webhook_process::Config::read)),
];

fn read<C>(variables: BTreeMap<String, String>, config: fn(&mut Env) -> C) -> Result<(), String> {
    load_from(variables, config).map(drop).map_err(|error| error.to_string())
}

/// The functions that refuse to begin with this value of a variable in the template's environment, and what they say.
fn refused(variable: &str, value: &str) -> Vec<(&'static str, String)> {
    let template = template("http://localhost", &[]);
    let mut refused = Vec::new();
    for (name, read) in FUNCTIONS {
        let function = template.functions.iter().find(|function| function.binary == name).unwrap();
        let mut variables = function.environment.clone();
        read(variables.clone()).unwrap_or_else(|problem| panic!("{name} refuses the defaults: {problem}"));
        if let Some(set) = variables.get_mut(variable) {
            value.clone_into(set);
        }
        refused.extend(read(variables).err().map(|problem| (name, problem)));
    }
    refused
}

#[test]
fn the_defaults_have_nothing_wrong() {
    assert_eq!(problems_with(&[]), [""; 0]);
}

#[test]
fn every_wrong_pair_is_refused_by_check_and_by_init_and_both_are_named() {
    let defaults = template("http://localhost", &[]).parameters;
    let default = |setting: &Setting| -> u64 { defaults[setting.parameter].parse().unwrap() };
    for pair in PAIRS {
        let (most, other, readers) = match pair.must_be {
            Bound::MoreThan(other) => (default(&other), other.parameter.to_owned(), Some(other)),
            Bound::AtLeastSixTimes(other) => (6 * default(&other) - 1, other.parameter.to_owned(), Some(other)),
            Bound::MoreThanFixed(span, _) => (span.as_secs(), span.as_secs().to_string(), None),
        };
        let (name, value) = (pair.setting.parameter, most.to_string());
        let problems = problems_with(&[(name, &value)]);
        let named = |text: &String| text.contains(name) && text.contains(&value) && text.contains(&other);
        assert!(problems.iter().any(named), "{name}={value}: {problems:?}");

        let refusals = refused(pair.setting.variable, &value);
        let words = format!("{name} is {value} and must be");
        let named = |(_, text): &(_, String)| text.contains(&words) && text.contains(&other);
        assert!(refusals.iter().any(named), "{name}={value}, {other}: {refusals:?}");

        // The other value may be the wrong one.
        if let Some(bound) = readers {
            let value = default(&pair.setting).to_string();
            let refusals = refused(bound.variable, &value);
            let named = |(_, text): &(_, String)| text.contains(bound.parameter) && text.contains(name);
            assert!(refusals.iter().any(named), "{}={value}: {refusals:?}", bound.parameter);
        }
        let enough = (most + 1).to_string();
        assert!(
            refused(pair.setting.variable, &enough).iter().all(|(_, text)| !text.contains(&other)),
            "{name}={enough}"
        );
    }
}

#[test]
fn what_started_well_and_then_answered_500_or_403_is_refused_by_check_and_by_init() {
    for (parameter, variable, value, words) in [
        ("AllowedOrigins", "ALLOWED_ORIGINS", "localhost:4600", "https"),
        ("AllowedOrigins", "ALLOWED_ORIGINS", "https://app.example.com/", "trailing slash"),
        ("AllowedOrigins", "ALLOWED_ORIGINS", "https://app.example.com:443", "443"),
        ("PublicUrl", "PUBLIC_URL", "http://integrations.example.com", "https"),
        ("Prefix", "RESOURCE_PREFIX", "Bad_Prefix", "lower-case"),
        ("Prefix", "RESOURCE_PREFIX", "ends-", "hyphen"),
        ("JwksUrl", "JWKS_URL", "http://issuer.example/keys", "https"),
        ("Providers", "PROVIDERS", "slack,", "ids of providers"),
        ("Providers", "PROVIDERS", "slack,slack", "each once"),
        ("RateLimits", "RATE_LIMITS", "slack/tier2", "PROVIDER/LIMIT=N/s"),
        ("RateLimits", "RATE_LIMITS", "slack/tier2=0/s", "PROVIDER/LIMIT=N/s"),
        ("RateLimits", "RATE_LIMITS", "slack/tier2=1/s slack/tier2=2/s", "twice"),
        ("UrlRewrites", "INTERTIE_URL_REWRITES", "http://slack.com=http://localhost:1", "https://"),
        ("UrlRewrites", "INTERTIE_URL_REWRITES", "https://slack.com", "https://"),
    ] {
        let problems = problems_with(&[(parameter, value)]);
        let named = |text: &String| text.contains(parameter) && text.contains(words);
        assert!(problems.iter().any(named), "{parameter}={value}: {problems:?}");
        let refusals = refused(variable, value);
        let named = |(_, text): &(_, String)| text.contains(parameter) && text.contains(value);
        assert!(!refusals.is_empty() && refusals.iter().all(named), "{variable}={value}: {refusals:?}");
    }
    // One of three that belong together.
    for (parameter, variable, value) in [
        ("JwksUrl", "JWKS_URL", "https://issuer.example/keys"),
        ("JwtIssuer", "JWT_ISSUER", "https://issuer.example"),
        ("JwtAudience", "JWT_AUDIENCE", "intertie"),
    ] {
        let words = "JwksUrl, JwtIssuer and JwtAudience are set together or not at all";
        let problems = problems_with(&[(parameter, value)]);
        assert!(problems.len() == 1 && problems[0].starts_with(words), "{parameter}: {problems:?}");
        let refusals = refused(variable, value);
        let names: Vec<_> = refusals.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["api-proxy", "integrations-api", "oauth-callback", "operator-api"], "{variable}");
        assert!(refusals.iter().all(|(_, text)| text.contains(words)), "{refusals:?}");
    }
    let all = [
        ("JwksUrl", "https://issuer.example/keys"),
        ("JwtIssuer", "https://issuer.example"),
        ("JwtAudience", "intertie"),
    ];
    assert_eq!(problems_with(&all), [""; 0]);
}

#[test]
fn a_rate_of_a_limit_that_no_provider_has_is_refused_by_check_and_by_init() {
    let set = "slack/foo=1/s stripe/account=5/s acme/x=1/s";
    let problems = problems_with(&[("RateLimits", set)]);
    assert!(problems.iter().any(|text| text.starts_with("RateLimits sets acme/x, slack/foo, ")), "{problems:?}");
    assert!(!problems_with(&[("RateLimits", "slack/foo=1")]).is_empty());

    let mut variables = template("http://localhost", &[])
        .functions
        .into_iter()
        .find(|it| it.binary == "api-proxy")
        .unwrap()
        .environment;
    variables.insert("RATE_LIMITS".to_owned(), set.to_owned());
    let config = load_from(variables, api_proxy::Config::read).unwrap();
    let aws = Aws::at("http://localhost:1", "us-east-1", "key", Patience::QUEUE);
    let error = api_proxy::ApiProxy::new(&aws, &config, REGISTRY).unwrap_err().to_string();
    assert!(error.contains("acme/x, slack/foo"), "{error}");
}

#[test]
fn a_provider_that_there_is_not_is_refused_by_check_and_by_init() {
    assert_eq!(problems_with(&[("Providers", "slack,google-calendar")]), [""; 0]);
    let problems = problems_with(&[("Providers", "slack,strip")]);
    let words = "Providers lists strip, which is no provider; there are slack, stripe, google-calendar, gmail";
    assert_eq!(problems, [words]);
    let functions = template("http://localhost", &[("Providers", "slack,strip")]).functions;
    let variables = functions.into_iter().find(|it| it.binary == "sync-worker").unwrap().environment;
    let config = load_from(variables, sync_worker::Config::read).unwrap();
    let aws = Aws::at("http://localhost:1", "us-east-1", "key", Patience::QUEUE);
    assert_eq!(sync_worker::SyncWorker::new(&aws, &config, REGISTRY).unwrap_err().to_string(), words);
}

/// The template lists the limits, so that CloudFormation refuses a misspelt one.
#[test]
fn the_template_knows_every_limit_of_every_provider_and_no_other() {
    for (provider, limit) in REGISTRY.limits() {
        for rate in ["1/s", "30/min", "500/s:500"] {
            let set = format!("{provider}/{limit}={rate}");
            assert_eq!(problems_with(&[("RateLimits", &set)]), [""; 0], "{set}");
        }
    }
    let problems = problems_with(&[("RateLimits", "slack/foo=1/s")]);
    assert!(problems.iter().any(|text| text.starts_with("parameter RateLimits is `slack/foo=1/s`")), "{problems:?}");
}

#[test]
fn the_templates_forms_take_what_is_good_and_refuse_what_is_not() {
    let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    for (parameter, good, bad) in [
        (
            "Prefix",
            vec!["it", "intertie-2"],
            vec!["", "a", "2x", "a-", "A", "a_b", "a234567890123456789012345678901234"],
        ),
        ("Architecture", vec!["arm64", "x86_64"], vec!["arm", ""]),
        (
            "PublicUrl",
            vec!["", "https://a.example", "https://a.example:8443", "http://localhost:3000", "http://127.0.0.1:1"],
            vec![
                "a.example",
                "https://a.example/",
                "https://A.example",
                "https://a.example:443",
                "https://a.example:65536",
            ],
        ),
        (
            "AllowedOrigins",
            vec!["", "https://a.example", "http://localhost:4600"],
            vec!["*", "localhost:4600", "https://a.example/x", "https://a.example:443", "http://localhost:80"],
        ),
        (
            "UrlRewrites",
            vec![
                "",
                "https://slack.com=http://localhost:1",
                "https://a.example/api=https://b.example/x https://c=http://d",
            ],
            vec!["x", "https://a", "http://a=http://b", "https://a=ftp://b", "https://=http://b"],
        ),
        ("TokenKeyArn", vec!["", key], vec!["alias/intertie", "arn:aws:kms:eu-central-1:111122223333:alias/x", "x"]),
        ("FormerTokenKeyArn", vec!["", key], vec!["arn:aws:sns:eu-central-1:111122223333:x"]),
        ("AlarmTopicArn", vec!["", "arn:aws:sns:eu-central-1:111122223333:alarms"], vec![key, "alarms"]),
        (
            "PermissionsBoundaryArn",
            vec!["", "arn:aws:iam::111122223333:policy/team/boundary", "arn:aws:iam::aws:policy/PowerUserAccess"],
            vec!["boundary", "arn:aws:iam::111122223333:role/boundary"],
        ),
        ("DeletionProtection", vec!["false", "true"], vec!["", "yes"]),
        ("GradualDeployment", vec!["off", "on"], vec!["", "true"]),
        ("WebhooksMaximumConcurrency", vec!["2", "1000"], vec!["0", "1", "1001"]),
        ("SyncsMaximumConcurrency", vec!["2", "1000"], vec!["0", "1", "1001"]),
        ("RefreshesMaximumConcurrency", vec!["2", "1000"], vec!["0", "1", "1001"]),
        ("SchedulesMaximumConcurrency", vec!["2", "1000"], vec!["0", "1", "1001"]),
        ("WebhookIngestReservedConcurrency", vec!["0", "1", "10000"], vec!["-1", "10001"]),
        ("LogLevel", vec!["TRACE", "DEBUG", "INFO"], vec!["info", "WARN", ""]),
        ("LogRetentionDays", vec!["30"], vec!["31", "x"]),
        ("SecretCacheSeconds", vec!["1", "3600"], vec!["0", "3601", "soon", ""]),
        ("SessionSeconds", vec!["60", "2592000"], vec!["59", "2592001"]),
        ("HttpTimeoutSeconds", vec!["3", "30"], vec!["2", "31"]),
        ("MaxReceiveCount", vec!["1", "1000"], vec!["0", "1001"]),
        ("ThrottleRate", vec!["1", "10000"], vec!["0", "10001"]),
        ("ThrottleBurst", vec!["1", "5000"], vec!["0", "5001"]),
    ] {
        for value in good {
            assert_eq!(problems_with(&[(parameter, value)]), [""; 0], "{parameter}={value}");
        }
        for value in bad {
            let problems = problems_with(&[(parameter, value)]);
            let named = |text: &String| text.starts_with(&format!("parameter {parameter} is `{value}` but must be "));
            assert!(problems.iter().any(named), "{parameter}={value}: {problems:?}");
        }
    }
    let certificate = "arn:aws:acm:eu-central-1:111122223333:certificate/1234abcd-12ab-34cd-56ef-1234567890ab";
    for (name, certificate, words) in [
        ("api.example.com", certificate, None),
        ("", certificate, Some("DomainName and CertificateArn are set together or not at all")),
        ("api.example.com", "", Some("DomainName and CertificateArn are set together or not at all")),
        (
            "https://api.example.com",
            certificate,
            Some("parameter DomainName is `https://api.example.com` but must be a host"),
        ),
        ("API.example.com", certificate, Some("parameter DomainName is `API.example.com` but must be a host")),
        ("localhost", certificate, Some("parameter DomainName is `localhost` but must be a host")),
        ("api.example.com", key, Some("parameter CertificateArn is")),
    ] {
        let problems = problems_with(&[("DomainName", name), ("CertificateArn", certificate)]);
        assert_eq!(problems.len(), usize::from(words.is_some()), "{name} {certificate}: {problems:?}");
        assert!(words.is_none_or(|words| problems[0].starts_with(words)), "{problems:?}");
    }
    let problems = problems_with(&[("TokenKeyArn", key), ("FormerTokenKeyArn", key)]);
    assert!(
        problems.len() == 1 && problems[0].starts_with("FormerTokenKeyArn is the key before TokenKeyArn"),
        "{problems:?}"
    );
}

#[test]
fn seconds_and_counts_are_whole() {
    let problems = problems_with(&[("ClaimLeaseSeconds", "40.5"), ("SessionSeconds", "3600.5")]);
    let words = |name: &str, value: &str| format!("{name} is `{value}` and must be a whole number of seconds");
    assert_eq!(problems, [words("ClaimLeaseSeconds", "40.5"), words("SessionSeconds", "3600.5")]);
    for name in ["SyncsMaximumConcurrency", "WebhookIngestReservedConcurrency", "MaxReceiveCount"] {
        assert_eq!(problems_with(&[(name, "2.5")]), [format!("{name} is `2.5` and must be a whole number")]);
    }
    assert!(!refused("CLAIM_LEASE_SECONDS", "40.5").is_empty());
}

#[test]
fn everything_that_is_wrong_is_reported_at_once() {
    let problems = problems_with(&[
        ("Nope", "1"),
        ("Secnods", "2"),
        ("ClaimLeaseSeconds", "5"),
        ("AllowedOrigins", "localhost:4600"),
        ("JwtIssuer", "x"),
        ("RateLimits", "slack/foo=1/s"),
    ]);
    for words in [
        "the template has no parameter `Nope`; it has Prefix, ",
        "the template has no parameter `Secnods`; it has Prefix, ",
        "ClaimLeaseSeconds is 5 and must be more than ProcessTimeoutSeconds, which is 30: ",
        "ClaimLeaseSeconds is 5 and must be more than ProxyTimeoutSeconds, which is 29: ",
        "parameter AllowedOrigins is `localhost:4600` but must be one https origin",
        "JwksUrl, JwtIssuer and JwtAudience are set together or not at all",
        "RateLimits sets slack/foo, which is no provider's limit; there are slack/channel, ",
    ] {
        assert_eq!(problems.iter().filter(|text| text.starts_with(words)).count(), 1, "{words}: {problems:#?}");
    }
}
