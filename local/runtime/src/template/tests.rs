mod errors;
mod repository;

use std::{path::Path, time::Duration};

use local_aws::{
    iam::{Facts, Statement, allows},
    resources::{Projection, SecretValue, Table},
};
use serde_json::json;

use super::*;

/// The least that a function needs, plus one queue and one parameter.
const BASE: &str = r"
Parameters:
  Prefix: {Type: String, Default: it}
  Seconds: {Type: Number, Default: 5, MinValue: 1, MaxValue: 900}
  Mode: {Type: String, Default: slow, AllowedValues: [slow, fast]}
  Names: {Type: CommaDelimitedList, Default: 'a, b'}
Mappings:
  Sizes:
    slow: {Length: 7, Word: tortoise}
    fast: {Length: 3, Word: hare}
Conditions:
  Fast: !Equals [!Ref Mode, fast]
  Slow: !Not [!Condition Fast]
  Both: !And [!Condition Fast, Condition: Slow]
  Either: {'Fn::Or': [{Condition: Fast}, !Condition Slow]}
Globals:
  Function:
    MemorySize: 256
    Environment: {Variables: {SHARED: globals, OWN: globals}}
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {}
      Policies:
        - PolicyName: all
          PolicyDocument: {Version: 2012-10-17, Statement: {Effect: Allow, Action: 'sqs:SendMessage', Resource: !GetAtt Jobs.Arn}}
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub '${Prefix}-jobs'
      VisibilityTimeout: 60
      SqsManagedSseEnabled: true
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: !Ref Seconds}
  Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${Prefix}-dead'}}
  Gone: {Type: AWS::SQS::Queue, Condition: Fast}
  Api: {Type: AWS::Serverless::HttpApi}
  Topic: {Type: AWS::SNS::Topic, Properties: {TopicName: !Join ['', [unread]]}}
  Work:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/work/
      FunctionName: !Sub '${Prefix}-work'
      Role: !GetAtt Role.Arn
      Timeout: !Ref Seconds
      Environment: {Variables: {OWN: VALUE}}
      Events: {E: EVENT}
";

fn context() -> Context {
    Context {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        sqs_base: "http://127.0.0.1:9324/".to_owned(),
        api_url: "http://localhost:3000".to_owned(),
        own: Vec::new(),
    }
}

/// `BASE` with `OWN` and the function's event filled in.
fn base(value: &str, event: &str) -> String {
    BASE.replace("VALUE", value).replace("EVENT", event)
}

const ROUTE: &str = "{Type: HttpApi, Properties: {ApiId: !Ref Api}}";

fn parse(text: &str, overrides: &[(&str, &str)]) -> Result<Template, TemplateError> {
    let overrides: Vec<_> = overrides.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Template::parse(text, &overrides, &context())
}

/// What the expression becomes in a function's environment; `None` if it removes the variable.
fn evaluate(expression: &str, overrides: &[(&str, &str)]) -> Option<String> {
    let template = parse(&base(expression, ROUTE), overrides).expect(expression);
    template.functions[0].environment.get("OWN").cloned()
}

#[test]
fn resolves_every_function_it_promises() {
    for (expression, expected) in [
        ("plain", "plain"),
        ("1", "1"),
        ("true", "true"),
        ("!Ref Prefix", "it"),
        ("{Ref: Seconds}", "5"),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Sub '${Prefix}-${Seconds}-${!Prefix}-$x{y}'", "it-5-${Prefix}-$x{y}"),
        ("{'Fn::Sub': '${AWS::Partition}:${AWS::AccountId}:${AWS::URLSuffix}'}", "aws:000000000000:amazonaws.com"),
        ("!Sub '${AWS::StackName}'", "local"),
        ("!Ref Jobs", "http://127.0.0.1:9324/000000000000/it-jobs"),
        ("!Sub '${Jobs}?${Jobs.QueueName}'", "http://127.0.0.1:9324/000000000000/it-jobs?it-jobs"),
        ("!GetAtt Jobs.Arn", "arn:aws:sqs:us-east-1:000000000000:it-jobs"),
        ("!GetAtt [Jobs, Arn]", "arn:aws:sqs:us-east-1:000000000000:it-jobs"),
        ("{'Fn::GetAtt': [Role, Arn]}", "arn:aws:iam::000000000000:role/local-Role"),
        ("!If [Fast, !Ref Gone, !Ref Mode]", "slow"),
        ("!If [Both, a, b]", "b"),
        ("!If [Either, a, b]", "a"),
        ("!FindInMap [Sizes, fast, Length]", "3"),
        ("{'Fn::FindInMap': [Sizes, !Ref Mode, Word]}", "tortoise"),
        (
            "!Sub ['${Word}-${Prefix}-${Jobs.QueueName}', {Word: !FindInMap [Sizes, !Ref Mode, Word]}]",
            "tortoise-it-it-jobs",
        ),
        ("{'Fn::If': [Slow, {'Fn::Sub': '${Mode}!'}, b]}", "slow!"),
    ] {
        assert_eq!(evaluate(expression, &[]).as_deref(), Some(expected), "{expression}");
    }
    assert_eq!(evaluate("!If [Fast, x, !Ref AWS::NoValue]", &[]), None);
    assert_eq!(
        evaluate("!If [Fast, !Ref Gone, b]", &[("Mode", "fast")]).unwrap(),
        "http://127.0.0.1:9324/000000000000/local-Gone"
    );
    assert_eq!(evaluate("!Ref Seconds", &[("Seconds", "9"), ("Seconds", "10")]).unwrap(), "10");
}

#[test]
fn reads_a_function_with_globals_defaults_and_rights() {
    let template = parse(&base("mine", ROUTE), &[]).unwrap();
    let function = &template.functions[0];
    assert_eq!((function.name.as_str(), function.binary.as_str()), ("it-work", "work"));
    assert_eq!((function.memory_mb, function.timeout), (256, Duration::from_secs(5)));
    assert_eq!((function.log_format.as_str(), function.log_level.as_str()), ("Text", "INFO"));
    assert_eq!(json!(function.environment), json!({"SHARED": "globals", "OWN": "mine"}));
    assert_eq!(function.routes, [Route { method: "ANY".to_owned(), path: "$default".to_owned() }]);
    assert!(allows(
        &function.statements,
        "sqs:SendMessage",
        "arn:aws:sqs:us-east-1:000000000000:it-jobs",
        &Facts::new()
    ));
    assert!(!allows(
        &function.statements,
        "sqs:SendMessage",
        "arn:aws:sqs:us-east-1:000000000000:it-dead",
        &Facts::new()
    ));
    assert_eq!(template.parameters["Names"], "a,b");
}

#[test]
fn reads_triggers() {
    let event = "{Type: SQS, Properties: {Queue: !GetAtt Jobs.Arn, BatchSize: 20, MaximumBatchingWindowInSeconds: 2, \
                 FunctionResponseTypes: [ReportBatchItemFailures], ScalingConfig: {MaximumConcurrency: !Ref Seconds}}}";
    let mapping = Mapping {
        queue_arn: "arn:aws:sqs:us-east-1:000000000000:it-jobs".to_owned(),
        batch_size: 20,
        window: Duration::from_secs(2),
        max_concurrency: Some(5),
        partial: true,
    };
    assert_eq!(parse(&base("x", event), &[]).unwrap().functions[0].mappings, [mapping]);

    let event =
        r#"{Type: Schedule, Properties: {Schedule: rate(1 hour), Name: !Sub '${Prefix}-hourly', Input: '{"a":1}'}}"#;
    let schedule =
        Schedule { name: "it-hourly".to_owned(), expression: "rate(1 hour)".to_owned(), input: json!({"a": 1}) };
    assert_eq!(parse(&base("x", event), &[]).unwrap().functions[0].schedules, [schedule]);

    let event = "{Type: Schedule, Properties: {Schedule: rate(1 hour), Input: '{}', Enabled: false}}";
    assert_eq!(parse(&base("x", event), &[]).unwrap().functions[0].schedules, []);
}

#[test]
fn orders_queues_and_gives_attributes_as_sqs_takes_them() {
    let template = parse(&base("x", ROUTE), &[]).unwrap();
    let [dead, jobs] = template.resources.queues.as_slice() else { panic!("{:?}", template.resources.queues) };
    assert_eq!((dead.name.as_str(), jobs.name.as_str()), ("it-dead", "it-jobs"));
    assert_eq!((&*jobs.attributes["VisibilityTimeout"], &*jobs.attributes["SqsManagedSseEnabled"]), ("60", "true"));
    let redrive: serde_json::Value = serde_json::from_str(&jobs.attributes["RedrivePolicy"]).unwrap();
    assert_eq!(redrive, json!({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 5}));
}

#[test]
fn merges_globals_as_sam_does() {
    let text = base("{'Fn::Sub': '${Mode}'}", ROUTE)
        .replace("OWN: globals", "OWN: {Ref: Prefix}")
        .replace("Globals:", "Globals:\n  HttpApi: {CorsConfiguration: {AllowOrigins: [a], MaxAge: 1}}")
        .replace("HttpApi}", "HttpApi, Properties: {CorsConfiguration: {AllowOrigins: [b], MaxAge: 2}}}");
    let template = parse(&text, &[]).unwrap();
    assert_eq!(template.functions[0].environment["OWN"], "slow", "a call replaces a call");
    let cors = template.cors.unwrap();
    assert_eq!((cors.allow_origins, cors.max_age), (vec!["a".to_owned(), "b".to_owned()], Some(2)));
}

#[test]
fn matches_as_iam_does() {
    let statements = |value: serde_json::Value| serde_json::from_value::<Vec<Statement>>(value).unwrap();
    for (pattern, resource, expected) in [
        ("arn:q", "arn:q", true),
        ("arn:q", "arn:qq", false),
        ("arn:q", "ARN:Q", false),
        ("arn:q?", "arn:q", false),
        ("arn:q?", "arn:qx", true),
        ("*", "", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("secret:it/slack-??????", "secret:it/slack-000000", true),
        ("secret:it/slack-??????", "secret:it/slack-admin-000000", false),
        ("table/it/index/*", "table/it/index/by_due", true),
    ] {
        let allow = statements(json!([{"Effect": "Allow", "Action": "s3:Get*", "Resource": pattern}]));
        assert_eq!(allows(&allow, "S3:getObject", resource, &Facts::new()), expected, "{pattern} {resource}");
        assert!(!allows(&allow, "s3:PutObject", resource, &Facts::new()));
    }
    let allow = json!({"Effect": "Allow", "Action": ["kms:*"], "Resource": "*"});
    let deny = json!({"Effect": "Deny", "Action": "kms:Decrypt", "Resource": ["k"]});
    let on = |statement: &serde_json::Value| {
        let mut statement = statement.clone();
        statement["Condition"] = json!({"StringEquals": {"purpose": ["a", "b"], "app": "it"}});
        statement
    };
    let facts = |purpose: &str| [("purpose", purpose), ("app", "it")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let decrypts = |list, facts: &Facts| allows(&statements(list), "kms:Decrypt", "k", facts);
    assert!(decrypts(json!([allow]), &Facts::new()));
    assert!(!decrypts(json!([allow, deny]), &Facts::new()));
    assert!(!decrypts(json!([]), &Facts::new()));
    for (facts, met) in [(facts("a"), true), (facts("b"), true), (facts("c"), false), (Facts::new(), false)] {
        assert_eq!(decrypts(json!([on(&allow)]), &facts), met, "{facts:?}");
        assert_eq!(decrypts(json!([allow, on(&deny)]), &facts), !met, "{facts:?}");
    }
    let mut unknown = allow.clone();
    unknown["Condition"] = json!({"Null": {"a": "true"}});
    assert!(serde_json::from_value::<Statement>(unknown).is_err());
    for statement in [on(&allow), deny] {
        let [read] = <[_; 1]>::try_from(statements(json!([statement]))).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(statements(json!([written])), [read], "{written}");
    }
}
