"""What a run has: the server, the providers, the stacks, and a queue of the application's on the bus."""

import functools
import json
import os

import boto3

import gaps
from forward import Forward
from processes import Processes
from report import Failed
from stack import Stack
from web import Web


class World:
    def __init__(self, folder, package, program, report):
        self.folder, self.package, self.report = folder, package, report
        self.processes = Processes(folder)
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | self.processes.client
        os.environ.update(self.processes.client)
        self.program = program
        self.stacks = {}

    def begin(self):
        self.processes.server()
        # The server checks no signature of its root's.
        key, secret = self.user("operator", {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
        signed = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        os.environ.update(signed)
        self.variables |= signed
        boto3.DEFAULT_SESSION = None
        World.aws.cache_clear()
        self.web = Web(self.processes.port, self.processes.certificate)
        self.forward = Forward(self.web)
        self.sandbox = self.processes.sandbox(self.program, self.forward.url)
        self.first = Stack(self, "intertie", self.sandbox["INTERTIE_URL_REWRITES"])
        self.second = Stack(self, "second", self.sandbox["INTERTIE_URL_REWRITES"])

    @functools.cache
    def aws(self, service, key=None, secret=None):
        """A client with the operator's access key, or with another one."""
        given = {"aws_access_key_id": key, "aws_secret_access_key": secret} if key else {}
        return boto3.client(service, **given)

    def redrive(self, stack, queue):
        gaps.redrive(stack, queue)

    def user(self, name, document):
        """The access key of a new user of IAM that may do what a policy allows: its id and its secret."""
        iam = self.aws("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def scan(self, table):
        """All items of a table, as values without their types."""
        pages = self.aws("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [{name: next(iter(value.values())) for name, value in item.items()} for page in pages for item in page["Items"]]

    # ------------------------------------------------------------ the providers

    def order(self, vendor, method, path, body=None):
        """What happens at a provider."""
        answer = self.web.call(method, f"{self.sandbox[f'SANDBOX_{vendor.upper()}_URL']}/_admin/{path}", body)
        if answer.status >= 300:
            raise Failed(f"{vendor} {method} {path}: {answer}")
        return json.loads(answer.body) if answer.body else None

    def webhook_secret(self, vendor):
        return json.loads(self.sandbox[f"INTERTIE_SECRET_{vendor.upper()}"])["webhook_secrets"][0]
