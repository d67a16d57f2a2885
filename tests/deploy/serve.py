"""The AWS-compatible server: serve.py RIGHTS GAPS. Its code is unchanged; what AWS passes to its evaluator of rights, and this server does
not, is put in between here and nowhere else (gaps.md), so that the template's roles and policies are evaluated as they are.

RIGHTS gets a line of JSON for each right that a function's role was asked for, GAPS the name of each gap that was met.
"""

import functools
import json
import sys

import ministack.app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import kms, lambda_svc, secretsmanager, sts
from ministack.services.cloudformation import changesets, engine, handlers, provisioners, stacks

GAPS, RIGHTS = (open(sys.argv.pop(), "a", buffering=1) for _ in range(2))
written = set()


def write_once(file, text):
    if text not in written:
        written.add(text)
        file.write(text + "\n")


def around(module, name):
    """Replaces a function of the server by one that is given the original first."""
    def replace(better):
        original = getattr(module, name)
        setattr(module, name, functools.wraps(original)(functools.partial(better, original)))
        return better
    return replace


def key_arn(key):
    """The ARN of the key that an id, an ARN or an alias names."""
    record = kms._resolve_key(key)
    return record["Arn"] if record else key


# ---------------------------------------------------------------- actions, resources and condition keys, as AWS names them

@around(iam_actions, "extract_iam_action")
def action(original, service, *call):
    asked = original(service, *call)
    if asked == "sqs:SendMessageBatch":
        write_once(GAPS, "sqs-batch")
        return "sqs:SendMessage"
    return asked


@around(iam_actions, "extract_resource_arn")
def resource(original, service, *call):
    named = original(service, *call)
    if service == "kms" and ":alias/" in named:
        write_once(GAPS, "kms-alias")
        return key_arn(named)
    return named


@around(iam_actions, "request_tag_context")
def context(original, service, iam_action, body, params):
    """The condition keys of a request: for KMS those of its encryption context, too."""
    keys = original(service, iam_action, body, params)
    if service != "kms" or any(key.lower().startswith("kms:") for key in keys):
        return keys
    write_once(GAPS, "kms-context")
    asked = json.loads(body or b"{}")
    if iam_action == "kms:ReEncrypt":
        source = asked.get("SourceKeyId") or iam_actions._kms_key_id_from_ciphertext(asked["CiphertextBlob"])
        return keys | {"reencrypt": [
            ("kms:ReEncryptFrom", key_arn(source), encryption(asked.get("SourceEncryptionContext"))),
            ("kms:ReEncryptTo", key_arn(asked["DestinationKeyId"]), encryption(asked.get("DestinationEncryptionContext"))),
        ]}
    return keys | encryption(asked.get("EncryptionContext"))


def encryption(pairs):
    """https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html"""
    keys = {f"kms:EncryptionContext:{name}": value for name, value in (pairs or {}).items()}
    return keys | ({"kms:EncryptionContextKeys": list(pairs)} if pairs else {})


@around(iam_evaluator, "enforce")
def enforce(original, key, iam_action, service, region, resource_arn="*", service_context=None):
    """Writes down what was asked; a re-encryption is two rights."""
    parts = (service_context or {}).pop("reencrypt", None) if service_context else None
    if parts:
        write_once(GAPS, "kms-reencrypt-rights")
        denials = (iam_evaluator.enforce(key, *part[:1], service, region, part[1], part[2]) for part in parts)
        return next((denied for denied in denials if denied), None)
    denied = original(key, iam_action, service, region, resource_arn, service_context)
    arn = (sts._sessions.get(key) or {}).get("Arn", "")
    if ":assumed-role/" in arn:
        # arn:aws:sts::ACCOUNT:assumed-role/ROLE/FUNCTION
        right = {"function": arn.rsplit("/", 1)[-1], "action": iam_action, "resource": resource_arn, "allowed": denied is None}
        write_once(RIGHTS, json.dumps(right))
    return denied


@around(kms, "handle_request")
async def re_encrypt(original, method, path, headers, body, *more):
    """`ReEncrypt` decrypts with the one key and encrypts with the other. What each key permits, `context` has seen to."""
    answer = await original(method, path, headers, body, *more)
    if headers.get("x-amz-target") != "TrentService.ReEncrypt" or b"InvalidAction" not in answer[2]:
        return answer
    write_once(GAPS, "kms-reencrypt")
    asked = json.loads(body)
    answer = kms._decrypt({
        "CiphertextBlob": asked["CiphertextBlob"], "KeyId": asked.get("SourceKeyId", ""),
        "EncryptionContext": asked.get("SourceEncryptionContext", {}),
    })
    if answer[0] != 200:
        return answer
    opened = json.loads(answer[2])
    answer = kms._encrypt({
        "Plaintext": opened["Plaintext"], "KeyId": asked["DestinationKeyId"],
        "EncryptionContext": asked.get("DestinationEncryptionContext", {}),
    })
    if answer[0] != 200:
        return answer
    return *answer[:2], json.dumps(json.loads(answer[2]) | {"SourceKeyId": opened["KeyId"]}).encode()


# ---------------------------------------------------------------- the values of AWS

def reference(original, value, resources, *more):
    """`Ref` of a secret is its ARN."""
    if isinstance(value, dict) and set(value) == {"Ref"}:
        found = resources.get(value["Ref"], {})
        if found.get("ResourceType") == "AWS::SecretsManager::Secret" and found["PhysicalResourceId"] != found["Attributes"]["Arn"]:
            write_once(GAPS, "secret-ref")
            return found["Attributes"]["Arn"]
    return original(value, resources, *more)


resolve = engine._resolve_refs
for module in (engine, changesets, handlers, provisioners, stacks):
    if hasattr(module, "_resolve_refs"):
        module._resolve_refs = functools.partial(reference, resolve)

# ---------------------------------------------------------------- the types and the qualifiers of AWS

@around(lambda_svc, "_sqs_esm_concurrency")
def concurrency(original, mapping, *more):
    """A number of the template is a number, though parameters are text."""
    scaling = mapping.get("ScalingConfig") or {}
    if isinstance(most := scaling.get("MaximumConcurrency"), str):
        write_once(GAPS, "concurrency-text")
        mapping["ScalingConfig"] = scaling | {"MaximumConcurrency": int(most)}
    return original(mapping, *more)


@around(lambda_svc, "invoke_async_with_retry")
def invoke(original, function, event):
    """What is invoked by its alias has the alias's destination for what fails."""
    name = function.get("config", {}).get("FunctionName")
    configured = lambda_svc._functions.get(name, {}).get("event_invoke_configs") or {}
    if "live" in configured and "$LATEST" not in (function.get("event_invoke_configs") or {}):
        write_once(GAPS, "alias-destination")
        function = function | {"event_invoke_configs": {"$LATEST": configured["live"]}}
    return original(function, event)


if "AWS::CodeDeploy::DeploymentGroup" not in provisioners._RESOURCE_HANDLERS:
    write_once(GAPS, "code-deploy")

if "AWS::Logs::QueryDefinition" not in provisioners._RESOURCE_HANDLERS:
    write_once(GAPS, "query-definition")
    provisioners._RESOURCE_HANDLERS["AWS::Logs::QueryDefinition"] = {
        "create": lambda logical_id, props, stack_name: (f"{stack_name}-{logical_id}", {}),
        "update": lambda physical_id, old_props, new_props, stack_name: (physical_id, {}),
        "delete": lambda physical_id, props: None,
    }

if "import" not in (secret := provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]):
    write_once(GAPS, "secret-import")

    def import_secret(identifier):
        name = next(name for name, it in secretsmanager._secrets.items() if it["ARN"] == identifier["Id"])
        return name, {"Id": identifier["Id"], "Arn": identifier["Id"]}

    secret["import"] = import_secret

# As root it would listen on 443 too, where another server of this machine may be.
ministack.app._port_is_bindable = lambda *_: False
ministack.app.main()
