"""What docs/recover.md and docs/operate.md tell an operator to do, by their own commands."""

import boto3

import documents
import ending
import webhooks
from report import expect, until

DOCUMENT = "recover.md"
TABLES = ("credentials", "records")
PLACED = "records"  # has all that a table can have


def operated(world):
    """The commands of operate.md that only AWS has"""
    return f"{len(documents.run(world.first, 'operate.md').splitlines())} lines"


def rewrapped(world):
    """Data keys that no function moves to another key are moved by the document's program; then the former key is not needed"""
    stack, kms, former = world.first, world.aws("kms"), world.first.resources["TokenKey"]
    words = documents.run(stack, DOCUMENT, "Rotation and change of the token key")
    kms.disable_key(KeyId=former)
    try:
        for table, purpose in (("credentials", "credential"), ("webhook-secrets", "webhook_secret")):
            items = world.scan(stack.name(table))
            expect(items, f"{table} is empty")
            for item in items:
                context = {"app": stack.prefix, "purpose": purpose, "user": item["user_id"], "integration": item["integration_id"]}
                kms.decrypt(CiphertextBlob=item["data_key"], EncryptionContext=context)
        stack.json("GET", "/proxy/stripe/v1/customers?limit=1")
    finally:
        kms.enable_key(KeyId=former)
    return words.strip()


def copied(world):
    """Tables are restored under new names, and what is missing is copied back"""
    stack, dynamodb = world.first, world.aws("dynamodb")
    before = {table: state(world, table) for table in TABLES}
    documents.run(stack, DOCUMENT, "Restore tables", tables=" ".join(TABLES))
    # The document's time is long ago, when none of this was there.
    world.report.gap("point-in-time", all(state(world, f"{table}-restored") == before[table] for table in TABLES))
    lost = [item for item in world.scan(stack.name("credentials")) if item["user_id"] == "ada"]
    expect(lost, "ada has no credential")
    for item in lost:
        key = {name: {"S": item[name]} for name in ("integration_id", "credential")}
        dynamodb.delete_item(TableName=stack.name("credentials"), Key=key)
    words = documents.run(stack, DOCUMENT, "Copy what is missing", tables=" ".join(TABLES))
    expect(f"credentials: {len(lost)} copied" in words and "records: 0 copied" in words, words)
    expect(state(world, "credentials") == before["credentials"], "a credential is another one")
    return words.strip().replace("\n", ", ")


def restored(world):
    """Restored tables take the place of the live ones, with their settings; what was delivered meanwhile is applied after it"""
    stack, dynamodb, name = world.first, world.aws("dynamodb"), world.first.name(PLACED)
    before, set_before = state(world, PLACED), settings(world, PLACED)
    for key in list(before)[:3]:
        keys = dict(zip(("integration_id", "record"), ({"S": part} for part in key)))
        dynamodb.update_item(TableName=name, Key=keys, UpdateExpression="REMOVE content")
    expect(state(world, PLACED) != before, "nothing is damaged")
    run = lambda which: documents.run(stack, DOCUMENT, "Put the restored tables in place", which, tables=PLACED)
    run(slice(0, 1))
    running = users(world) - {"webhook-ingest"} - stopped(world)
    expect(not running, f"{running} use the tables and are not stopped")
    answer = webhooks.stripe(stack, webhooks.customer("evt_restoring", "restoring@example.com", "cus_restoring"))
    expect(answer.status == 200, f"while the tables are restored a delivery is answered {answer}")
    expect(stack.depth("webhooks") > 0, "it does not wait")
    run(slice(1, None))
    expect(not stopped(world), f"{stopped(world)} are not started again")
    until("evt_restoring", lambda: (stack.claim(webhooks.key("evt_restoring")) or {}).get("state") == "done", 60)
    found = state(world, PLACED)
    other = [key for key, item in before.items() if found.get(key) != item]
    expect(not other, f"{len(other)} items are not as they were, such as {other[:3]}")
    expect(len(found) == len(before) + 1, f"{len(found)} items were {len(before)}, and a delivery brought one")
    world.report.gap("ignored-properties", set_before["recovery"] == "DISABLED")
    wanted = set_before | {"recovery": "ENABLED"}
    expect(settings(world, PLACED) == wanted, f"it is set {settings(world, PLACED)}, not {wanted}")
    expect(f"{name}-restored" not in dynamodb.list_tables()["TableNames"], "the restored one is left")
    return f"{len(before)} items"


def replicated(world):
    """What a multi-Region key wrapped opens in another region under its replica, and the answer names the replica"""
    replica = documents.run(world.first, DOCUMENT, "Move to another region").strip()
    region = replica.split(":")[3]
    context = {"EncryptionContext": {"app": world.first.prefix}}
    data_key = world.aws("kms").generate_data_key(KeyId=replica.split("/")[-1], KeySpec="AES_256", **context)["CiphertextBlob"]
    opened = boto3.client("kms", region_name=region).decrypt(CiphertextBlob=data_key, **context)
    expect(opened["KeyId"] == replica, f"it names {opened['KeyId']}")
    return replica


def adopted(world):
    """What a deleted stack left is imported into a new one by CloudFormation, and its users need not connect again"""
    stack, tables = world.second, ("integrations", "credentials", "records")
    before = {table: world.scan(stack.name(table)) for table in tables}
    session = stack.secret("session")
    words = documents.run(stack, DOCUMENT, "Adopt what a stack left")
    expect(words.strip().endswith("IMPORT_COMPLETE"), words)
    imported = world.aws("cloudformation").describe_stack_resources(StackName=stack.prefix)["StackResources"]
    left = len(ending.TABLES) + len(ending.SECRETS) + 1
    expect(len(imported) == left, f"{len(imported)} resources are imported, and {left} were left")
    stack.deploy()
    expect(stack.secret("session") == session, "the session key is another one")
    expect({table: world.scan(stack.name(table)) for table in tables} == before, "the tables have changed")
    expect(stack.status("stripe")["connected"], "ada is not connected any more")
    stack.json("GET", "/proxy/stripe/v1/customers?limit=1")
    return f"{sum(map(len, before.values()))} items"


def state(world, table):
    """The items of a table of the first stack, by their keys."""
    names = world.aws("dynamodb").describe_table(TableName=world.first.name(table))["Table"]["KeySchema"]
    return {tuple(item[name["AttributeName"]] for name in names): item for item in world.scan(world.first.name(table))}


def users(world):
    """The functions that know a table which can be restored."""
    tables = {f"{table}_TABLE" for table in ("INTEGRATIONS", "CREDENTIALS", "WEBHOOK_SECRETS", "RECORDS", "SYNCS")}
    functions = world.aws("lambda")
    variables = lambda name: functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    return {name.removeprefix(f"{world.first.prefix}-") for name in world.first.functions() if tables & variables(name).keys()}


def stopped(world):
    """The functions that have a reserved concurrency of 0."""
    functions = world.aws("lambda")
    reserved = lambda name: functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    return {name.removeprefix(f"{world.first.prefix}-") for name in world.first.functions() if reserved(name) == 0}


def settings(world, table):
    """What a restore does not bring by itself, and the indexes."""
    dynamodb, name = world.aws("dynamodb"), world.first.name(table)
    found = dynamodb.describe_table(TableName=name)["Table"]
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    indexes = found.get("GlobalSecondaryIndexes", []) + found.get("LocalSecondaryIndexes", [])
    return {
        "recovery": backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
        "stream": found.get("StreamSpecification"), "protected": str(found["DeletionProtectionEnabled"]).lower(),
        "indexes": sorted(index["IndexName"] for index in indexes),
    }
