"""The client for Python: the same steps as steps.mjs. Its words go to the standard output."""

import os
import sys
import time

from intertie import IntertieError, intertie, pages, unwrap
from intertie.api.actions import slack_post_message
from intertie.api.integrations import disconnect_integration, get_integrations, list_integrations, list_records, sync_integration
from intertie.models import DisconnectRequest, ProviderId, SlackMessage, Stream, SyncRequest

client = intertie(os.environ["INTERTIE_URL"], lambda: os.environ["INTERTIE_SESSION"])
STRIPE, SLACK = ProviderId.STRIPE, ProviderId.SLACK


def records(limit):
    """The ids of all customers, `limit` in a part."""
    load = lambda after: unwrap(list_records.sync_detailed(STRIPE, client=client, stream=Stream.CUSTOMERS, limit=limit, **cursor(after)))
    return [record.id for part in pages(load) for record in part.records]


def cursor(after):
    return {} if after is None else {"after": after}


def refused(call):
    try:
        call()
    except IntertieError as error:
        return [error.status, error.kind, bool(error.problem.message), [field.field for field in error.problem.fields or []]]
    return None


statuses = unwrap(list_integrations.sync_detailed(client=client)).integrations
print("states", {it.provider.value: it.state.value for it in statuses})
accepted = unwrap(sync_integration.sync_detailed(STRIPE, client=client, body=SyncRequest()))
print("sync", accepted.accepted, accepted.type_.value)
while not unwrap(get_integrations.sync_detailed(STRIPE, client=client)).integrations[0].last_sync:
    time.sleep(0.1)
print("records", len(records(1)) > 2, records(1) == records(1000))
print("posted", unwrap(slack_post_message.sync_detailed(client=client, body=SlackMessage(channel="C0GENERAL01", text="Hello"))).channel)
print("unknown", refused(lambda: unwrap(list_records.sync_detailed(STRIPE, client=client, stream=Stream.CHANNELS))))
print("missing", refused(lambda: unwrap(list_records.sync_detailed(ProviderId.GMAIL, client=client))))
stranger = intertie(os.environ["INTERTIE_URL"], "a.b.c")
print("stranger", refused(lambda: unwrap(list_integrations.sync_detailed(client=stranger))))
print("ended", unwrap(disconnect_integration.sync_detailed(SLACK, client=client, body=DisconnectRequest(keep_records=True))).disconnected)
sys.stdout.flush()
