mod repository;

use std::{path::Path, time::Duration};

use serde_json::json;

use super::*;

/// The least that a function needs, plus one queue and one parameter.
const BASE: &str = r"
Parameters:
  Prefix: {Type: String, Default: it}
  Seconds: {Type: Number, Default: 5, MinValue: 1, MaxValue: 900}
  Mode: {Type: String, Default: slow, AllowedValues: [slow, fast]}
  Names: {Type: CommaDelimitedList, Default: 'a, b'}
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
    assert!(allows(&function.statements, "sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:it-jobs"));
    assert!(!allows(&function.statements, "sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:it-dead"));
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
    let [dead, jobs] = template.queues.as_slice() else { panic!("{:?}", template.queues) };
    assert_eq!((dead.name.as_str(), jobs.name.as_str()), ("it-dead", "it-jobs"));
    assert_eq!((&*jobs.attributes["VisibilityTimeout"], &*jobs.attributes["SqsManagedSseEnabled"]), ("60", "true"));
    let redrive: serde_json::Value = serde_json::from_str(&jobs.attributes["RedrivePolicy"]).unwrap();
    assert_eq!(redrive, json!({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 5}));
}

/// Errors name the place, the cause and what to do.
#[test]
fn says_what_is_wrong_and_where() {
    let variable = "Resources.Work.Properties.Environment.Variables.OWN";
    for (value, expected) in [
        ("!Join ['', [a]]", "Fn::Join is not understood by cargo local; use Fn::Sub, Ref, Fn::GetAtt or Fn::If"),
        ("{'Fn::Select': [0, [a]]}", "Fn::Select is not understood"),
        ("!Sub ['${A}', {A: b}]", "must be Fn::Sub of one text"),
        ("!Sub '${Prefix'", "must be Fn::Sub whose every `${` has its `}`"),
        ("!Sub '${Names}'", "must be Fn::Sub of plain values"),
        ("!Ref Nobody", "`Nobody` is no parameter, resource or known pseudo-parameter"),
        ("!Ref AWS::StackId", "`AWS::StackId` is no parameter"),
        ("!Ref Gone", "`Gone` is left out by its condition"),
        ("!Ref Api", "`Api` has a value only once deployed; take it from a parameter"),
        ("!GetAtt Api.ApiEndpoint", "`Api.ApiEndpoint` has a value only once deployed"),
        ("!GetAtt Jobs.Color", "cargo local does not know `Color` of AWS::SQS::Queue"),
        ("!GetAtt Jobs", "must be Fn::GetAtt of a resource and its attribute"),
        ("!If [Nothing, a, b]", "there is no condition `Nothing`"),
        ("!If [Fast, a]", "must be Fn::If of a condition's name and two values"),
        ("{Ref: Prefix, Other: x}", "must be one function call, with nothing beside it"),
    ] {
        let message = parse(&base(value, ROUTE), &[]).expect_err(value).to_string();
        assert!(message.starts_with(variable) && message.contains(expected), "{value}: {message}");
    }
}

#[test]
fn refuses_what_it_would_run_differently() {
    let good = base("x", ROUTE);
    let swap = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    for (text, expected) in [
        (String::new(), "Resources must be a mapping of resources, and is missing or empty"),
        ("Resources: {}".to_owned(), "Resources must be a mapping of resources, and is missing or empty"),
        ("- a".to_owned(), "the template must be a mapping"),
        ("A: [b\nC: d".to_owned(), "line 2"),
        (swap("  Dead:", "  Jobs:"), "duplicate entry with key \"Jobs\""),
        (swap("AWS::SNS::Topic", "AWS::S3::Bucket"), "Resources.Topic: cargo local does not know AWS::S3::Bucket"),
        (swap("{Type: AWS::Serverless::HttpApi}", "{}"), "Resources.Api must be a resource with a Type"),
        (swap("VisibilityTimeout", "Visibility"), "Resources.Jobs.Properties: unknown field `Visibility`"),
        (swap("Timeout: !Ref Seconds", "Timeout: soon"), "Resources.Work.Properties: invalid type: string \"soon\""),
        (swap("Timeout: !Ref Seconds", "Layers: []"), "unknown field `Layers`"),
        (swap("Timeout: !Ref Seconds", "Policies: []"), "set `Role: !GetAtt SomeRole.Arn`"),
        (swap("Role: !GetAtt Role.Arn", "Role: 'arn:aws:iam::1:role/other'"), "set `Role: !GetAtt SomeRole.Arn`"),
        (swap("Role: !GetAtt Role.Arn", ""), "set `Role: !GetAtt SomeRole.Arn`"),
        (
            swap("AssumeRolePolicyDocument", "ManagedPolicyArns"),
            "Resources.Role.Properties: unknown field `ManagedPolicyArns`",
        ),
        (swap("Action:", "NotAction:"), "unknown field `NotAction`"),
        (swap("functions/work/", "."), "Resources.Work: names no binary"),
        (
            swap(ROUTE, "{Type: S3}"),
            "Resources.Work.Properties.Events.E must be an event of Type HttpApi, SQS or Schedule",
        ),
        (swap(ROUTE, "{Type: HttpApi, Properties: {Path: /a}}"), "must be a route with both Method and Path"),
        (swap(ROUTE, "{Type: SQS, Properties: {Queue: 'arn:x'}}"), "Events.E: arn:x is no queue of this template"),
        (swap(ROUTE, "{Type: SQS, Properties: {Queue: !GetAtt Jobs.Arn, BatchSize: 11}}"), "BatchSize over 10 needs"),
        (swap(ROUTE, "{Type: Schedule, Properties: {Schedule: rate(1 hour)}}"), "missing field `Input`"),
        (
            swap(ROUTE, "{Type: Schedule, Properties: {Schedule: rate(1 hour), Input: '{'}}"),
            "Events.E.Input: not the JSON",
        ),
        (swap("!Equals [!Ref Mode, fast]", "!Condition Slow"), "references lead back to itself"),
        (swap("!Equals [!Ref Mode, fast]", "!Equals [!Ref Gone, fast]"), "references lead back to itself"),
        (
            swap("'${Prefix}-dead'", "'${Dead.QueueName}-dead'"),
            "Properties.QueueName: its references lead back to itself",
        ),
        (swap("!Equals [!Ref Mode, fast]", "!Contains [[a], a]"), "Conditions.Fast: Fn::Contains is not understood"),
        (swap("Type: Number", "Type: AWS::SSM::Parameter::Value<String>"), "Parameters.Seconds: unknown variant"),
        (swap(", Default: it", ""), "parameter Prefix has no default; pass `--parameter-overrides Prefix=…`"),
    ] {
        let message = parse(&text, &[]).expect_err(expected).to_string();
        assert!(message.contains(expected), "expected: {expected}\nmessage: {message}");
    }
    let event = "{Type: SQS, Properties: {Queue: !GetAtt Jobs.Arn}}";
    let message = parse(&base("x", event), &[("Seconds", "61")]).unwrap_err().to_string();
    assert!(message.contains("the visibility timeout of it-jobs (60 s) is below the function's (61 s)"), "{message}");
}

#[test]
fn checks_parameters() {
    for (name, value, expected) in [
        ("Secnods", "1", "the template has no parameter `Secnods`; it has Prefix, Seconds, Mode, Names"),
        ("Seconds", "0", "parameter Seconds is `0` but must be at least 1"),
        ("Seconds", "901", "must be at most 900"),
        ("Seconds", "soon", "parameter Seconds is `soon` but must be a number"),
        ("Mode", "warp", "parameter Mode is `warp` but must be one of slow, fast"),
    ] {
        let message = parse(&base("x", ROUTE), &[(name, value)]).expect_err(expected).to_string();
        assert!(message.contains(expected), "expected: {expected}\nmessage: {message}");
    }
    let missing = Template::load(Path::new("nowhere/template.yaml"), &[], &context()).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read nowhere/template.yaml"), "{missing}");
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
        assert_eq!(allows(&allow, "S3:getObject", resource), expected, "{pattern} {resource}");
        assert!(!allows(&allow, "s3:PutObject", resource));
    }
    let allow = json!({"Effect": "Allow", "Action": ["kms:*"], "Resource": "*", "Condition": {"Null": {"a": "true"}}});
    let deny = json!({"Effect": "Deny", "Action": "kms:Decrypt", "Resource": ["k"]});
    let mut conditional = deny.clone();
    conditional["Condition"] = json!({"Null": {"a": "true"}});
    assert!(allows(&statements(json!([allow])), "kms:Decrypt", "k"));
    assert!(!allows(&statements(json!([allow, deny])), "kms:Decrypt", "k"));
    assert!(allows(&statements(json!([allow, conditional])), "kms:Decrypt", "k"));
    assert!(!allows(&[], "kms:Decrypt", "k"));
}
