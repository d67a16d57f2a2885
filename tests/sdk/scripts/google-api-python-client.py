import base64
from datetime import datetime, timedelta, timezone

from cells import GREETING, cell, fault, refused, session, stranger, url
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaInMemoryUpload

import json

from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc


def intertie_service(name, version, provider, session):
    document = json.loads(get_static_doc(name, version))
    document["rootUrl"] = f"{url}/proxy/{provider}/"
    return build_from_document(document, credentials=Credentials(session))


gmail = intertie_service("gmail", "v1", "gmail", session)
calendar = intertie_service("calendar", "v3", "google-calendar", session)

EVENT = {"summary": GREETING, "start": {"date": "2026-12-01"}, "end": {"date": "2026-12-02"}}
# In a multipart body this SDK takes messages of 7 bits only.
MAIL = f"To: grace@example.com\r\nSubject: =?UTF-8?B?{base64.b64encode(GREETING.encode()).decode()}?=\r\n\r\nHello\r\n".encode()


@cell("list")
def _():
    pages, request = [], gmail.users().messages().list(userId="me", maxResults=2)
    while request:
        page = request.execute()
        pages.append([message["id"] for message in page["messages"]])
        request = gmail.users().messages().list_next(request, page)
    ids = sum(pages, [])
    assert len(pages) > 1 and len(set(ids)) == len(ids), pages


@cell("create")
def _():
    body = EVENT | {"extendedProperties": {"private": {"order": "№ 17"}}}
    made = calendar.events().insert(calendarId="primary", body=body).execute()
    read = calendar.events().get(calendarId="primary", eventId=made["id"]).execute()
    assert read["summary"] == GREETING and read["extendedProperties"] == body["extendedProperties"], read


@cell("error")
def _():
    error = refused(HttpError, calendar.events().insert(calendarId="primary", body={}).execute)
    assert error.status_code == 400 and error.reason == "Missing start time.", error


@cell("404")
def _():
    assert refused(HttpError, calendar.events().get(calendarId="primary", eventId="none5").execute).status_code == 404


@cell("429")
def _():
    error = {"code": 429, "message": "Too many.", "errors": [{"reason": "rateLimitExceeded"}]}
    fault("google", "GET /gmail/v1/users/me/labels", {"status": 429, "headers": {"retry-after": "6"}, "body": {"error": error}})
    assert gmail.users().labels().list(userId="me").execute(num_retries=5)["labels"]


@cell("conditional")
def _():
    made = calendar.events().insert(calendarId="primary", body=EVENT).execute()
    request = calendar.events().get(calendarId="primary", eventId=made["id"])
    request.headers["If-None-Match"] = made["etag"]
    assert refused(HttpError, request.execute).status_code == 304


@cell("upload")
def _():
    def send(body=None, **more):
        media = MediaInMemoryUpload(MAIL, mimetype="message/rfc822", **more)
        return gmail.users().messages().send(userId="me", body=body, media_body=media).execute()

    alone = send()
    multipart = send({"threadId": alone["threadId"]})
    for sent in (alone, multipart):
        raw = gmail.users().messages().get(userId="me", id=sent["id"], format="raw").execute()["raw"]
        assert MAIL.splitlines()[1] in base64.urlsafe_b64decode(raw + "=="), raw


@cell("a file in parts")
def _():
    # Chunks are multiples of 256 KiB.
    message = MAIL + (b"x" * 78 + b"\r\n") * 8000
    media = MediaInMemoryUpload(message, mimetype="message/rfc822", resumable=True, chunksize=256 * 1024)
    request, sent, parts = gmail.users().messages().send(userId="me", body={}, media_body=media), None, 0
    while sent is None:
        _, sent = request.next_chunk()
        parts += 1
    raw = gmail.users().messages().get(userId="me", id=sent["id"], format="raw").execute()["raw"]
    assert parts == 3 and base64.urlsafe_b64decode(raw + "==").endswith(message), parts


@cell("a long query goes by POST and X-HTTP-Method-Override")
def _():
    request = gmail.users().messages().list(userId="me", labelIds=["INBOX"] * 300)
    assert len(request.uri) > 2048 and request.execute()["messages"]


@cell("a batch is refused, and does not leave")
def _():
    batch = gmail.new_batch_http_request()
    batch.add(gmail.users().getProfile(userId="me"))
    error = refused(HttpError, batch.execute)
    assert error.uri.startswith(url) and error.status_code == 422 and "batch" in error.reason, error


@cell("with api_endpoint alone batches would leave, and uploads miss the proxy")
def _():
    service = build("gmail", "v1", credentials=Credentials(session), client_options={"api_endpoint": f"{url}/proxy/gmail/"})
    assert service.users().getProfile(userId="me").execute()["emailAddress"] == "ada@example.com"
    media = MediaInMemoryUpload(MAIL, mimetype="message/rfc822")
    assert "/proxy/" not in service.users().messages().send(userId="me", media_body=media).uri
    assert service.new_batch_http_request()._batch_uri.startswith("https://gmail.googleapis.com/batch")


@cell("a session token is asked for when it ends")
def _():
    asked = []

    def fresh(request, scopes):
        asked.append(1)
        return session, datetime.now(timezone.utc).replace(tzinfo=None) + timedelta(minutes=5)

    document = json.loads(get_static_doc("gmail", "v1"))
    document["rootUrl"] = f"{url}/proxy/gmail/"
    service = build_from_document(document, credentials=Credentials(None, refresh_handler=fresh))
    assert service.users().getProfile(userId="me").execute()["emailAddress"] == "ada@example.com"
    assert asked == [1]


@cell("refusal")
def _():
    lost = intertie_service("gmail", "v1", "gmail", stranger)
    error = refused(HttpError, lost.users().getProfile(userId="me").execute)
    assert error.status_code == 409 and "is not connected" in error.reason, error
