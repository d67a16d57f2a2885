//! What is said about templates and parameters that can't be run: the place, the cause, what to do.

use super::*;

#[test]
fn says_what_is_wrong_and_where() {
    let variable = "Resources.Work.Properties.Environment.Variables.OWN";
    for (value, expected) in [
        (
            "!Join ['', [a]]",
            "Fn::Join is not understood by cargo local; use Fn::Sub, Ref, Fn::GetAtt, Fn::FindInMap or Fn::If",
        ),
        ("{'Fn::Select': [0, [a]]}", "Fn::Select is not understood"),
        ("!Sub ['${A}', b]", "must be Fn::Sub of one text"),
        ("!Sub ['${A}', {B: b}]", "`A` is no parameter"),
        ("!FindInMap [Sizes, fast]", "must be Fn::FindInMap of three keys"),
        ("!FindInMap [Sizes, fast, Width]", "must be Fn::FindInMap of three keys that Mappings has"),
        ("!Sub '${Prefix'", "must be Fn::Sub whose every `${` has its `}`"),
        ("!Sub '${Names}'", "must be Fn::Sub of plain values"),
        ("!Ref Nobody", "`Nobody` is no parameter, resource or known pseudo-parameter"),
        ("!Ref AWS::StackId", "`AWS::StackId` is no parameter"),
        ("!Ref Gone", "`Gone` is left out by its condition"),
        ("!Ref Topic", "`Topic` has a value only once deployed; take it from a parameter"),
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
fn a_pattern_matches_the_whole_value_and_is_reported_in_the_templates_own_words() {
    let with = |declaration: &str| base("x", ROUTE).replace("{Type: String, Default: it}", declaration);
    let described = with(
        "{Type: String, Default: it, AllowedPattern: '[a-z]+|b[0-9]', ConstraintDescription: 'lower-case letters.'}",
    );
    let bare = with("{Type: String, Default: it, AllowedPattern: '[a-z]+'}");
    let list = with("{Type: CommaDelimitedList, Default: 'it', AllowedPattern: '[a-z]+'}");
    for (text, value, expected) in [
        (&described, "abc", None),
        (&described, "b1", None),
        (&described, "abc1", Some("parameter Prefix is `abc1` but must be lower-case letters; change it")),
        (&described, "b1\n", Some("must be lower-case letters;")),
        (&described, "", Some("parameter Prefix is `` but must be lower-case letters;")),
        (&bare, "A", Some("parameter Prefix is `A` but must be of the form [a-z]+;")),
        (&list, "a,B", Some("parameter Prefix is `a,B` but must be of the form [a-z]+;")),
    ] {
        let found = Template::parameters(text, &[("Prefix".to_owned(), value.to_owned())], &context()).unwrap().1;
        let sentences: Vec<_> = found.iter().map(ToString::to_string).collect();
        match expected {
            None => assert_eq!(sentences, [""; 0], "{value}"),
            Some(words) => assert!(sentences.len() == 1 && sentences[0].contains(words), "{value}: {sentences:?}"),
        }
    }
    for pattern in ["(", "(?<!a)b"] {
        let message = parse(&with(&format!("{{Type: String, Default: it, AllowedPattern: '{pattern}'}}")), &[]);
        let message = message.expect_err(pattern).to_string();
        assert!(message.starts_with("Parameters.Prefix.AllowedPattern: "), "{pattern}: {message}");
    }
}

#[test]
fn a_rule_that_does_not_hold_is_reported_and_one_that_can_not_be_read_is_an_error() {
    let with = |rules: &str| format!("{}Rules:\n  Together: {rules}\n", base("x", ROUTE));
    let fast = "RuleCondition: !Equals [!Ref Mode, fast]";
    let short = "{Assert: {'Fn::Not': [!Equals [!Ref Seconds, '5']]}, AssertDescription: 'Five is too long.'}";
    for (rules, mode, expected) in [
        (format!("{{Assertions: [{short}]}}"), "slow", Some("Five is too long. (rule Together of the template)")),
        (format!("{{{fast}, Assertions: [{short}]}}"), "slow", None),
        (format!("{{{fast}, Assertions: [{short}]}}"), "fast", Some("Five is too long.")),
        (
            "{Assertions: [{Assert: !Or [!Equals [a, b], !And [!Equals [a, a], !Equals [!Ref Mode, slow]]]}]}".into(),
            "slow",
            None,
        ),
    ] {
        match (parse(&with(&rules), &[("Mode", mode)]), expected) {
            (Ok(_), None) => {}
            (Err(TemplateError::Parameters(problems)), Some(words)) => {
                assert!(problems.len() == 1 && problems[0].to_string().starts_with(words), "{rules}: {problems:?}");
            }
            (outcome, _) => panic!("{rules}: {outcome:?}"),
        }
    }
    for (assert, expected) in [
        ("!Equals [!Ref Jobs, a]", "must be a rule over parameters"),
        ("!Equals [!GetAtt Jobs.Arn, a]", "Fn::GetAtt is not understood"),
        ("!Equals [!Sub '${Mode}', a]", "Fn::Sub is not understood"),
        ("!Not [!Condition Fast]", "Condition is not understood"),
        ("!Contains [[a], !Ref Mode]", "Fn::Contains is not understood"),
    ] {
        let message =
            parse(&with(&format!("{{Assertions: [{{Assert: {assert}}}]}}")), &[]).expect_err(assert).to_string();
        assert!(message.starts_with("Rules.Together.Assertions.0.Assert") && message.contains(expected), "{message}");
    }
    let message = parse(&with("{}"), &[]).unwrap_err().to_string();
    assert_eq!(message, "Rules.Together must be a rule with Assertions");
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
