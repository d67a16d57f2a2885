"""A deployed stack: deploying it as an operator does, and what its application and users see of it."""

import base64
import hashlib
import hmac
import json
import subprocess
import time
import uuid

import gaps
from processes import bound
from report import Failed, expect
from web import Browser

USER = "ada"
# Where the pages of the application are.
APPLICATION = "https://app.example.com"


def run(command, log, variables):
    """Runs a command to its end; a code other than 0 fails."""
    done = subprocess.run(bound(command), env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    with open(log, "a") as file:
        file.write(f"$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}\n")
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command[:2]))} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")


class Stack:
    """One stack of the bundle on the server of `world`."""

    def __init__(self, world, prefix, rewrites):
        self.world, self.prefix, self.web = world, prefix, world.web
        self.parameters = {"Prefix": prefix, "Architecture": "x86_64", "UrlRewrites": rewrites, "SecretCacheSeconds": "2",
                           "AllowedOrigins": APPLICATION}
        self.outputs, self.resources, self.url, self.key = {}, {}, "", b""

    # ------------------------------------------------------------ deploying

    def deploy(self, template=None, **parameters):
        """`sam deploy`, asked nothing; then what the server does not do of it."""
        self.parameters |= parameters
        overrides = [f"{name}='{value}'" if " " in value else f"{name}={value}" for name, value in self.parameters.items() if value]
        command = [
            "sam", "deploy", "--template-file", template or self.world.package / "template.yaml", "--stack-name", self.prefix,
            "--resolve-s3", "--s3-prefix", self.prefix, "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset",
            "--no-fail-on-empty-changeset", "--no-progressbar", "--parameter-overrides", *overrides,
        ]
        run(command, self.world.folder / "sam.log", self.world.variables)
        self.look()
        gaps.close(self)

    def look(self):
        cloud = self.world.aws("cloudformation")
        found = cloud.describe_stacks(StackName=self.prefix)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
        listed = cloud.describe_stack_resources(StackName=self.prefix)["StackResources"]
        self.resources = {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in listed}
        self.url = gaps.own_address(self, self.outputs["Url"])
        return found

    def processed(self):
        """The template after SAM's transform, as the server has it."""
        body = self.world.aws("cloudformation").get_template(StackName=self.prefix, TemplateStage="Processed")["TemplateBody"]
        return json.loads(body) if isinstance(body, str) else body

    def name(self, short):
        return f"{self.prefix}-{short}"

    def configure(self):
        """What an operator stores after the first deploy: the providers' secrets."""
        for name in ("slack", "stripe", "google"):
            self.put_secret(name, self.world.sandbox[f"INTERTIE_SECRET_{name.upper()}"])

    def put_secret(self, name, value):
        text = value if isinstance(value, str) else json.dumps(value)
        self.world.aws("secretsmanager").put_secret_value(SecretId=f"{self.prefix}/{name}", SecretString=text)

    def secret(self, name):
        found = self.world.aws("secretsmanager").get_secret_value(SecretId=f"{self.prefix}/{name}")
        return json.loads(found["SecretString"])

    # ------------------------------------------------------------ its application

    def token(self, user=USER, seconds=600, key=None, **claims):
        """A session token, as the application mints it."""
        key = key or base64.b64decode(self.secret("session")["key"])
        text = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=")
        claims = {"sub": user, "exp": int(time.time()) + seconds, "jti": str(uuid.uuid4())} | claims
        signed = b".".join(text(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        return (signed + b"." + text(hmac.new(key, signed, hashlib.sha256).digest())).decode()

    def call(self, method, path, body=None, user=USER, headers=None, **claims):
        bearer = {"authorization": f"Bearer {self.token(user, **claims)}"}
        return self.web.call(method, self.url + path, body, bearer | (headers or {}))

    def json(self, method, path, body=None, status=200, **more):
        answer = self.call(method, path, body, **more)
        expect(answer.status == status, f"{method} {path}: {answer}")
        return answer.json()

    def status(self, provider, user=USER):
        return self.json("GET", f"/integrations/{provider}", user=user)["integrations"][0]

    def records(self, provider, stream, user=USER):
        """What is kept, by id."""
        found = self.json("GET", f"/integrations/{provider}/records?stream={stream}&limit=1000", user=user)["records"]
        return {record["id"]: record["data"] for record in found}

    def sign_in(self, user=USER):
        """A browser with a session, by the form that a page of the application posts."""
        browser = Browser(self.web)
        answer = browser.post(f"{self.url}/session", {"token": self.token(user, seconds=50)}, APPLICATION)
        expect(answer.status == 303, f"POST /session: {answer}")
        return browser

    # ------------------------------------------------------------ its operator

    def invoke_rule(self, schedule):
        """What EventBridge does when a rule is due: invokes its target with its input. Returns what the function answered."""
        target = self.world.aws("events").list_targets_by_rule(Rule=self.name(schedule))["Targets"][0]
        done = self.world.aws("lambda").invoke(FunctionName=target["Arn"], Payload=target["Input"].encode())
        answer = done["Payload"].read().decode()
        expect("FunctionError" not in done, f"{schedule}: {answer}")
        return answer

    def queue(self, name):
        """The address of a queue, by its name without the prefix."""
        return self.world.aws("sqs").get_queue_url(QueueName=self.name(name))["QueueUrl"]

    def depth(self, name):
        """Messages in a queue, in whatever state."""
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
        got = self.world.aws("sqs").get_queue_attributes(QueueUrl=self.queue(name), AttributeNames=wanted)["Attributes"]
        return sum(int(got[name]) for name in wanted)

    def item(self, table, **key):
        keys = {name: {"S": value} for name, value in key.items()}
        return self.world.aws("dynamodb").get_item(TableName=self.name(table), Key=keys, ConsistentRead=True).get("Item")

    def claim(self, key):
        """State, attempts and effects of an event: its idempotency record."""
        item = self.item("idempotency", key=key)
        return item and {name: next(iter(item[name].values())) for name in ("state", "attempts", "effects") if name in item}

    def functions(self):
        """The names of its functions, one for each zip of the package."""
        return sorted(self.name(code.stem) for code in self.world.package.glob("*.zip"))
