//! What is said about templates and parameters that can't be run: the place, the cause, what to do.

use super::*;

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
        (swap("VisibilityTimeout", "Visibility"), "Resources.Jobs.Properties.Visibility: unknown field"),
        (
            swap("Timeout: !Ref Seconds", "Timeout: soon"),
            "Resources.Work.Properties.Timeout: invalid type: string \"soon\"",
        ),
        (swap("Timeout: !Ref Seconds", "Layers: []"), "Resources.Work.Properties.Layers: unknown field"),
        (swap("Timeout: !Ref Seconds", "Policies: []"), "set `Role: !GetAtt SomeRole.Arn`"),
        (swap("Role: !GetAtt Role.Arn", "Role: 'arn:aws:iam::1:role/other'"), "set `Role: !GetAtt SomeRole.Arn`"),
        (swap("Role: !GetAtt Role.Arn", ""), "set `Role: !GetAtt SomeRole.Arn`"),
        (
            swap("AssumeRolePolicyDocument", "ManagedPolicyArns"),
            "Resources.Role.Properties.ManagedPolicyArns: unknown field",
        ),
        (swap("Action:", "NotAction:"), "Resources.Role.Properties.Policies: unknown field `NotAction`"),
        (swap("functions/work/", "."), "Resources.Work: names no binary"),
        (
            swap(ROUTE, "{Type: S3}"),
            "Resources.Work.Properties.Events.E must be an event of Type HttpApi, SQS or Schedule",
        ),
        (swap(ROUTE, "{Type: HttpApi, Properties: {Path: /a}}"), "must be a route with both Method and Path"),
        (swap(ROUTE, "{Type: SQS, Properties: {Queue: 'arn:x'}}"), "Events.E: arn:x is no queue of this template"),
        (swap(ROUTE, "{Type: SQS, Properties: {Queue: !GetAtt Jobs.Arn, BatchSize: 11}}"), "BatchSize over 10 needs"),
        (swap(ROUTE, "{Type: Schedule, Properties: {Schedule: rate(1 hour)}}"), "Events.E: missing field `Input`"),
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
