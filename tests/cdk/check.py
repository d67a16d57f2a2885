"""The synthesised stack of examples/cdk is the packaged template, with its archives, and the example's own rule and queue.

check.py RELEASE CDK_OUT; needs cfn-lint's package.
"""

import json
import sys
from pathlib import Path

from cfnlint.decode import decode

PREFIX = "shop-integrations"
OWN_TYPES = ["AWS::Events::Rule", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy"]


def plain(value):
    """A template's value in one of the ways to write it: attributes by a list."""
    if isinstance(value, dict):
        return {str(key): attribute(of) if key == "Fn::GetAtt" else plain(of) for key, of in value.items()}
    return [plain(of) for of in value] if isinstance(value, list) else value


def attribute(of):
    return of.split(".", 1) if isinstance(of, str) else list(of)


def packaged(release):
    template, problems = decode(str(release / "template.yaml"))
    assert not problems, problems
    template = plain(template)
    template["Parameters"]["Prefix"]["Default"] = PREFIX
    return template


def check(release, out):
    included = packaged(release)
    stack = plain(json.loads((out / "Shop.template.json").read_text(encoding="utf-8")))
    assets = json.loads((out / "Shop.assets.json").read_text(encoding="utf-8"))["files"]
    for name, section in included.items():
        if name != "Resources":
            ours = {key: stack[name].get(key) for key in section} if isinstance(section, dict) else stack[name]
            assert ours == section, f"{name} differs"

    functions = 0
    for name, resource in included["Resources"].items():
        synthesised = stack["Resources"].pop(name)
        if resource["Type"] == "AWS::Serverless::Function":
            functions += 1
            archive = resource["Properties"].pop("CodeUri")
            key = synthesised["Properties"].pop("CodeUri")["Key"]
            asset = out / assets[key.removesuffix(".zip")]["source"]["path"]
            assert asset.read_bytes() == (release / archive).read_bytes(), f"{name} has another archive than {archive}"
        assert synthesised == resource, f"{name} differs: {synthesised}"
    assert functions == len(list(release.glob("*.zip"))), f"{functions} functions"

    own = {resource["Type"]: resource.get("Properties") for resource in stack["Resources"].values()}
    assert sorted(own) == OWN_TYPES and len(stack["Resources"]) == len(OWN_TYPES), stack["Resources"]
    rule = own["AWS::Events::Rule"]
    assert rule["EventBusName"] == {"Ref": "Bus"}, rule
    assert rule["EventPattern"] == {"source": ["intertie.stripe"], "detail-type": ["payment_intent.succeeded"]}, rule
    [target] = rule["Targets"]
    queue = target["Arn"]["Fn::GetAtt"][0]
    assert stack["Resources"][queue]["Type"] == "AWS::SQS::Queue", target
    print(f"{functions} functions of {len(included['Resources'])} resources are included unchanged; the rule leads to {queue}")


check(Path(sys.argv[1]), Path(sys.argv[2]))
