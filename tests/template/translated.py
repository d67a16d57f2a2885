"""What CloudFormation is given for template.yaml: translated.py TEMPLATE. Needs aws-sam-translator."""

import graphlib
import logging
import os
import re
import sys
import unittest

logging.disable()  # the translator complains of its own metrics
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

with open(sys.argv.pop(1), encoding="utf-8") as file:
    # Where `sam deploy` puts the archives.
    TEXT = re.sub(r"CodeUri: functions/([a-z-]+)/", r"CodeUri: s3://archives/\1", file.read())

# How many functions the template has.
FUNCTIONS = TEXT.count("s3://archives/")


class NoManagedPolicies:
    """The translator asks for the account's managed policies by name; the template names none."""

    def load(self):
        return {}


def translated(text=TEXT, **parameters):
    return transform(yaml_parse(text), parameters, NoManagedPolicies())["Resources"]


def of_type(resources, kind):
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def references(value):
    """The names that a value refers to, by Ref, Fn::GetAtt, Fn::Sub, or as a dependency."""
    if isinstance(value, list):
        return set().union(*map(references, value))
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, inner in value.items():
        if key == "Ref":
            found.add(inner)
        elif key == "Fn::GetAtt":
            found.add(inner[0] if isinstance(inner, list) else inner.split(".")[0])
        elif key == "Fn::Sub":
            found |= set(re.findall(r"\$\{(\w+)", inner if isinstance(inner, str) else inner[0])) | references(inner)
        elif key == "DependsOn":
            found |= {inner} if isinstance(inner, str) else set(inner)
        else:
            found |= references(inner)
    return found


class Translated(unittest.TestCase):
    def test_nothing_depends_on_itself(self):
        for gradual in ["off", "on"]:
            resources = translated(GradualDeployment=gradual)
            graph = {name: references(resource) & resources.keys() for name, resource in resources.items()}
            graphlib.TopologicalSorter(graph).prepare()  # raises CycleError

    def test_every_trigger_leads_to_the_alias(self):
        resources = translated()
        functions = of_type(resources, "AWS::Lambda::Function")
        self.assertEqual(len(functions), FUNCTIONS)
        triggers = ["AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission", "AWS::Events::Rule", "AWS::ApiGatewayV2::Api"]
        for kind in triggers:
            led = of_type(resources, kind)
            self.assertTrue(led, kind)
            for name, resource in led.items():
                self.assertFalse(references(resource) & functions.keys(), name)
                self.assertTrue(any(it.endswith("FunctionAliaslive") for it in references(resource)), name)

    def test_a_gradual_deployment_is_there_only_if_it_is_asked_for(self):
        self.assertFalse([it for it in translated().values() if it["Type"].startswith("AWS::CodeDeploy") or "UpdatePolicy" in it])
        resources = translated(GradualDeployment="on")
        groups = of_type(resources, "AWS::CodeDeploy::DeploymentGroup")
        aliases = of_type(resources, "AWS::Lambda::Alias")
        self.assertEqual((len(groups), len(aliases)), (FUNCTIONS, FUNCTIONS))
        for name, group in groups.items():
            alarms = [alarm["Name"]["Ref"] for alarm in group["Properties"]["AlarmConfiguration"]["Alarms"]]
            self.assertEqual(alarms, [name.replace("FunctionDeploymentGroup", "ErrorsAlarm"), "OperatorFailuresAlarm"])
            self.assertIn("DEPLOYMENT_STOP_ON_ALARM", group["Properties"]["AutoRollbackConfiguration"]["Events"])
        for alias in aliases.values():
            self.assertIn(alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"], groups)
        # CodeDeploy may move the alias of each function.
        _, moving = resources["DeploymentRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        named = {arn["Fn::Sub"].split(":function:")[1] for arn in moving["Resource"]}
        functions = [it["Properties"]["FunctionName"]["Fn::Sub"] for it in of_type(resources, "AWS::Lambda::Function").values()]
        self.assertEqual(named, {name + qualifier for name in functions for qualifier in ["", ":live"]})
        # Every role is the template's, and so has the permissions boundary.
        self.assertNotIn("CodeDeployServiceRole", resources)
        for name, role in of_type(resources, "AWS::IAM::Role").items():
            self.assertNotIn("ManagedPolicyArns", role["Properties"], name)
            self.assertEqual(role["Properties"]["PermissionsBoundary"]["Fn::If"][:2], ["HasPermissionsBoundary", {"Ref": "PermissionsBoundaryArn"}], name)

    def test_a_function_is_published_anew_for_other_code_other_properties_another_release_and_other_parameters(self):
        versions = lambda text: of_type(translated(text), "AWS::Lambda::Version")
        now = versions(TEXT)
        code = versions(TEXT.replace("s3://archives/api-proxy", "s3://archives/another"))
        self.assertEqual([name[:len("ApiProxyFunction")] for name in code.keys() - now.keys()], ["ApiProxyFunction"])
        properties = versions(TEXT.replace("    Handler: bootstrap\n", "    Handler: bootstrap\n    EphemeralStorage: {Size: 1024}\n"))
        self.assertFalse(now.keys() & properties.keys())
        # A changed description makes CloudFormation replace a version; that of the function itself is part of what Lambda compares.
        for published in [*now.values(), *of_type(translated(), "AWS::Lambda::Function").values()]:
            self.assertLessEqual({"SettingsVersion", "Deployment"}, references(published["Properties"]["Description"]))
        settings = translated()["SettingsVersion"]["Properties"]
        self.assertEqual(settings["Description"], {"Fn::FindInMap": ["Release", "Intertie", "Version"]})
        self.assertEqual(references(settings["Content"]), yaml_parse(TEXT)["Parameters"].keys())

    def test_every_function_has_an_alarm_on_its_errors(self):
        resources = translated()
        for name, function in of_type(resources, "AWS::Lambda::Function").items():
            alarm = resources[name.removesuffix("Function") + "ErrorsAlarm"]["Properties"]
            self.assertEqual((alarm["Namespace"], alarm["MetricName"]), ("AWS/Lambda", "Errors"), name)
            self.assertEqual(alarm["Dimensions"], [{"Name": "FunctionName", "Value": function["Properties"]["FunctionName"]}], name)

    def test_descriptions_and_policies_fit_aws(self):
        for name, alarm in of_type(translated(), "AWS::CloudWatch::Alarm").items():
            description = alarm["Properties"]["AlarmDescription"]
            # No name or ARN is longer: a prefix has 32 characters.
            filled = re.sub(r"\$\{[^}]*\}", "x" * 110, description["Fn::Sub"]) if isinstance(description, dict) else description
            self.assertLessEqual(len(filled), 1024, name)

    def test_every_group_of_logs_is_kept_as_long_as_the_parameter_says(self):
        resources = translated()
        groups = of_type(resources, "AWS::Logs::LogGroup")
        # And that of the API.
        self.assertEqual(len(groups), FUNCTIONS + 1)
        for name, group in groups.items():
            self.assertEqual(group["Properties"]["RetentionInDays"], {"Ref": "LogRetentionDays"}, name)
        for name, function in of_type(resources, "AWS::Lambda::Function").items():
            self.assertIn(function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"], groups, name)

    def test_every_parameter_has_a_default(self):
        for name, parameter in yaml_parse(TEXT)["Parameters"].items():
            self.assertIn("Default", parameter, name)


if __name__ == "__main__":
    unittest.main()
