from time import monotonic

from cells import GREETING, cell, fault, refused, session, stranger, url
from slack_sdk.errors import SlackApiError

from slack_sdk import WebClient
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler

client = WebClient(token=session, base_url=f"{url}/proxy/slack/")
client.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=1))


@cell("list")
def _():
    pages = [[channel["name"] for channel in page["channels"]] for page in client.conversations_list(limit=2)]
    assert len(pages) > 1 and "general" in sum(pages, []), pages


@cell("create")
def _():
    metadata = {"event_type": "order", "event_payload": {"number": "№ 17"}}
    posted = client.chat_postMessage(channel="C0GENERAL01", text=GREETING, metadata=metadata)
    assert posted["message"]["text"] == GREETING and posted["message"]["metadata"] == metadata, posted
    assert "chat:write" in posted.headers["x-oauth-scopes"]


@cell("error")
def _():
    error = refused(SlackApiError, lambda: client.conversations_info(channel="C0NONE"))
    assert error.response["error"] == "channel_not_found", error


@cell("429")
def _():
    body = {"ok": False, "error": "ratelimited"}
    fault("slack", "POST /api/conversations.info", {"status": 429, "headers": {"retry-after": "6"}, "body": body})
    began = monotonic()
    assert client.conversations_info(channel="C0GENERAL01")["channel"]["name"] == "general"
    assert monotonic() - began > 6


@cell("a file goes to Slack itself, without a token")
def _():
    sent = []

    class Watched(WebClient):
        def _upload_file(self, **arguments):
            sent.append(arguments)
            raise ConnectionError

    watched = Watched(token=session, base_url=f"{url}/proxy/slack/")
    refused(ConnectionError, lambda: watched.files_upload_v2(content="a", filename="a.txt"))
    assert sent[0]["url"].startswith("https://files.slack.com/upload/v1/") and session not in str(sent), sent


@cell("refusal")
def _():
    lost = WebClient(token=stranger, base_url=f"{url}/proxy/slack/")
    error = refused(SlackApiError, lost.auth_test).response
    assert error.status_code == 409 and "is not connected" in str(error), error
