"""Reads with Python's own parser what gmail/send_email made of the cases: read.py CASES MESSAGES."""

import base64
import email
import email.policy
import json
import re
import sys

HEADERS = {"to": "To", "cc": "Cc", "bcc": "Bcc", "reply_to": "Reply-To"}


def lines(text):
    """Line breaks are CRLF in a message, whatever they were."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse(raw):
    return email.message_from_bytes(raw, policy=email.policy.default)


def whole(match):
    """Encoded words that follow each other as one."""
    return "=?UTF-8?B?" + base64.b64encode(b"".join(map(base64.b64decode, WORD.findall(match[0])))).decode() + "?="


WORD = re.compile(r"=\?UTF-8\?B\?([^?]*)\?=")
# Python 3.11 keeps the white space between two encoded words of a name, against RFC 2047, section 6.2.
KEEPS_SPACE = parse(b"To: =?utf-8?q?a?= =?utf-8?q?b?= <x@x>\r\n\r\n")["To"].addresses[0].display_name != "ab"


def mended(raw):
    head, end, body = raw.decode("ascii").partition("\r\n\r\n")
    run = rf"{WORD.pattern}(?:\r\n {WORD.pattern})+"
    return (re.sub(run, whole, head) + end + body).encode("ascii") if KEEPS_SPACE else raw


def recipients(header):
    """By group, those outside of groups alone."""
    one = lambda address: [address.display_name, address.addr_spec]
    return [[group.display_name, [one(address) for address in group.addresses]] for group in header.groups]


def text(message, subtype):
    part = message.get_body((subtype,))
    return None if part is None else lines(part.get_payload(decode=True).decode("utf-8"))


def same(what, found, expected):
    if found != expected:
        raise AssertionError(f"{what}: {found!r:.300} in place of {expected!r:.300}")


def check(case, answer):
    given, expected = case["input"], case["expected"]
    raw = base64.urlsafe_b64decode(answer["raw"] + "==")
    message = parse(raw)
    names = ["MIME-Version"] + [HEADERS[field] for field in HEADERS if expected.get(field)] + ["Subject"]
    names += ["In-Reply-To", "References"] if "in_reply_to" in given else []
    same("headers", [name for name in message.keys() if name != "Content-Transfer-Encoding"], names + ["Content-Type"])
    for field, name in HEADERS.items():
        if expected.get(field):
            same(name, recipients(parse(mended(raw))[name]), expected[field])
    same("subject", str(message["Subject"]), given["subject"])
    if "in_reply_to" in given:
        for name in ("In-Reply-To", "References"):
            same(name, str(message[name]).strip(), "<" + given["in_reply_to"].strip("<>") + ">")
    same("body", text(message, "plain"), lines(given["body"]))
    same("html", text(message, "html"), lines(given["html"]) if "html" in given else None)
    files = [(part.get_filename(), part.get_content_type(), part.get_payload(decode=True)) for part in message.iter_attachments()]
    wanted = given.get("attachments", [])
    wanted = [(file["name"], file["type"].split(";")[0], base64.b64decode(file["content_base64"])) for file in wanted]
    same("files", files, wanted)
    same("thread", answer["thread_id"], given.get("thread_id"))


def main():
    cases, answers = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
    failed = 0
    for case, answer in zip(cases["sent"] + cases["refused"], answers, strict=True):
        try:
            if "fields" in case:
                same("fields", answer.get("fields"), case["fields"])
            else:
                check(case, answer)
        except Exception as error:  # Each case is told, whatever the parser makes of it.
            failed += 1
            print(f"{case['name']}: {error!r}")
    print(f"{len(answers) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
