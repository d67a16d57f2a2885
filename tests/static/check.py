"""What static tools find in template.yaml, beside exceptions.yaml: exits with 1 for a finding without an exception, and for an
exception without a finding. Takes the folder into which tests/static/run installs the tools."""

import json
import logging
import os
import platform
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

logging.disable()  # the translator complains of its own metrics
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

import parliament
import yaml
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = "template.yaml"
FOLDER = Path(sys.argv[1])
# What has exceptions of its own in the same file, and reads them itself: `cargo local rights`.
ELSEWHERE = {"rights"}


class NoManagedPolicies:
    """The translator asks for the account's managed policies by name; the template names none."""

    def load(self):
        return {}


def translated():
    """The template as SAM hands it to CloudFormation: with permissions, rules and mappings."""
    text = Path(TEMPLATE).read_text(encoding="utf-8")
    # Where `sam deploy` puts the archives.
    text = re.sub(r"CodeUri: functions/([a-z-]+)/", r"CodeUri: s3://archives/\1", text)
    return transform(yaml_parse(text), {}, NoManagedPolicies())


def output(*command):
    """What a tool prints; how it exits depends on what it found."""
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
    if not run.stdout:
        sys.exit(f"{command[0]} printed nothing and exited with {run.returncode}: {run.stderr[-2000:]}")
    return run.stdout


def cfn_lint():
    """Of all severities."""
    for found in json.loads(output(FOLDER / "bin/cfn-lint", "--include-checks", "I", "--format", "json", "--", TEMPLATE)):
        path = [str(part) for part in found["Location"]["Path"] or ["-"]]
        yield found["Rule"]["Id"], path[1] if path[0] == "Resources" else path[0], found["Message"]


def checkov(file):
    """Its rules for CloudFormation."""
    options = ["--skip-download", "--framework", "cloudformation", "--compact", "--output", "json"]
    report = json.loads(output(FOLDER / "bin/checkov", *options, "--file", file))
    if report["summary"]["parsing_errors"] or not report["results"]["passed_checks"]:
        sys.exit(f"checkov could not read the template: {report['summary']}")
    for found in report["results"]["failed_checks"]:
        yield found["check_id"], found["resource"].split(".")[-1], found["check_name"]


def control_tower(file):
    """AWS's proactive controls."""
    machine = {"x86_64": "x86_64", "aarch64": "aarch64"}[platform.machine()]
    guard = FOLDER / f"guard/bin/ubuntu/{machine}/cfn-guard"
    options = ["--structured", "--show-summary", "none", "--output-format", "json"]
    rules = FOLDER / "guard/rules/control-tower/cfn-guard"
    [report] = json.loads(output(guard, "validate", "--rules", rules, "--data", file, *options))
    if not report["compliant"]:
        sys.exit("no rule of cfn-guard holds: it does not read the template")
    for rule in report["not_compliant"]:
        text = json.dumps(rule)
        name, what = re.search(r"\[(CT\.[A-Z0-9.]+)\]: ([^\\]+)", text).groups()
        for resource in sorted(set(re.findall(r"/Resources/(\w+)", text))):
            yield name, resource, what


def policies():
    """parliament about the policies of the functions' roles, with every reference resolved."""
    for function, policy in json.loads((FOLDER / "policies.json").read_text(encoding="utf-8")).items():
        for found in parliament.analyze_policy_string(json.dumps(policy), include_community_auditors=True).findings:
            found = parliament.enhance_finding(found)
            yield found.issue, function, f"{found.title} {found.detail} {found.location}"


def secrets(template):
    """Our own rules: no secret's value in an output, in a variable, or as a parameter; and AWS Config's one on rotation."""
    stored = {name for name, it in template["Resources"].items() if it["Type"] == "AWS::SecretsManager::Secret"}
    places = {f"Outputs.{name}": value for name, value in template["Outputs"].items()}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function":
            places |= {f"{name}.{key}": value for key, value in resource["Properties"]["Environment"]["Variables"].items()}
    for place, value in places.items():
        named = set(re.findall(r"\w+", json.dumps(value)))
        if named & stored or "resolve" in named:
            yield "no-secret-in-sight", place, f"refers to a secret: {json.dumps(value)}"
    for name, parameter in template["Parameters"].items():
        if "NoEcho" in parameter:
            yield "no-secret-in-sight", name, "is a parameter that holds a secret"
    rotated = json.dumps([it for it in template["Resources"].values() if it["Type"].endswith("::RotationSchedule")])
    for name in stored:
        if f'"{name}"' not in rotated:
            yield "rotation", name, "Secrets Manager does not rotate it"


def check(findings, exceptions):
    """Prints each exception with what it is for, and then what is wrong: whether nothing is."""
    pairs = [(it, rule, resource, []) for it in exceptions for rule in many(it["rule"]) for resource in many(it["resource"])]
    wrong = []
    for tool, rule, resource, what in findings:
        fits = lambda it: it[0]["tool"] == tool and fnmatchcase(rule, it[1]) and fnmatchcase(resource, it[2])
        pair = next(filter(fits, pairs), None)
        if pair:
            pair[3].append(resource)
        else:
            wrong.append(f"{tool} {rule} {resource}: {what}")
    for exception, rule, resource, found in pairs:
        print(f"{exception['tool']} {rule} on {', '.join(sorted(set(found)))}: {exception['reason']}")
        if not found:
            wrong.append(f"An exception is for nothing: {exception['tool']} {rule} on {resource}. Remove it.")
    for line in wrong:
        print(line)
    print(f"{sum(len(found) for *_, found in pairs)} findings with a reason, {len(wrong)} wrong")
    return not wrong


def many(value):
    """A list of one may be written without its brackets."""
    return value if isinstance(value, list) else [value]


def main():
    template = translated()
    file = FOLDER / "template.json"
    file.write_text(json.dumps(template, indent=1), encoding="utf-8")
    found = {
        "cfn-lint": cfn_lint(),
        "checkov": checkov(file),
        "control-tower": control_tower(file),
        "parliament": policies(),
        "secrets": secrets(template),
    }
    exceptions = yaml.safe_load(Path("tests/static/exceptions.yaml").read_text(encoding="utf-8"))
    exceptions = [it for it in exceptions if it["tool"] not in ELSEWHERE]
    for exception in exceptions:
        if set(exception) != {"tool", "rule", "resource", "reason"} or exception["tool"] not in found:
            sys.exit(f"this is no exception: {exception}")
    findings = [(tool, *finding) for tool, all_found in found.items() for finding in all_found]
    sys.exit(not check(findings, exceptions))


main()
