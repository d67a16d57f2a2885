"""A stack of `cargo local` whose wall clock its caller moves: Debian's libfaketime under every process of it, unchanged."""

import base64
import collections
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.parse

LIBRARY = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class Clock:
    """The wall clock of the stack: the machine's plus whole seconds that every process reads from a file. Timers, which
    follow the monotonic clock, are real."""

    def __init__(self, file, begin):
        self.file = file
        self.offset = 0
        self.to(begin)

    def now(self):
        return time.time() + self.offset

    def to(self, moment):
        """Jumps to a moment, never back."""
        ahead = -int(-(moment - self.now()) // 1)
        if ahead > 0:
            self.offset += ahead
            fresh = self.file.with_suffix(".new")
            fresh.write_text(f"+{self.offset}\n")
            fresh.rename(self.file)  # at once: a reader never sees half of it

    def variables(self):
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


# A queue's messages: those that can be received, those that were received, and those that are delayed. Of those in flight that a
# function has; the others are hidden for a while. All that came so far, and the age of the oldest of the visible and those in flight.
Depth = collections.namedtuple("Depth", ("visible", "in_flight", "delayed", "at_work", "sent", "oldest_seconds"))


class Refused(Exception):
    """An answer that is no success."""


class Web:
    """Calls over connections that stay open."""

    def __init__(self):
        self.open = {}

    def call(self, method, url, body=None, headers=None):
        """Status, headers and text of the answer; a body that is no text is sent as JSON."""
        parts = urllib.parse.urlsplit(url)
        path = parts.path + ("?" + parts.query if parts.query else "")
        headers = dict(headers or {})
        if body is not None and not isinstance(body, str):
            body, headers["content-type"] = json.dumps(body), "application/json"
        for last in (False, True):
            link = self.open.setdefault(parts.netloc, http.client.HTTPConnection(parts.netloc, timeout=60))
            try:
                link.request(method, path, body, headers)
                answer = link.getresponse()
                return answer.status, answer.headers, answer.read().decode()
            except (http.client.HTTPException, ConnectionError):
                # It was idle for too long, most likely.
                link.close()
                if last:
                    raise

    def json(self, method, url, body=None, headers=None):
        status, _, text = self.call(method, url, body, headers)
        if not 200 <= status < 300:
            raise Refused(f"{method} {url}: {status} {text:.500}")
        return json.loads(text) if text else None


class Stack:
    """The running command, its addresses, and what only an operator can do."""

    def __init__(self, program, bootstraps, folder, clock):
        self.folder, self.clock, self.web = folder / "stack", clock, Web()
        self.wrap(bootstraps, folder / "bootstraps")
        command = [program, "--no-story", "--port", "0", "--directory", self.folder, "--bootstraps", folder / "bootstraps"]
        with open(folder / "local.log", "w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | clock.variables(), start_new_session=True
            )
        self.env = self.joined(folder / "local.log")
        self.url = self.env["INTERTIE_URL"]
        self.key = base64.b64decode(json.loads(self.secret("session"))["key"])

    def wrap(self, bootstraps, folder):
        """The command starts functions with Lambda's variables and no others: a script sets those of faketime."""
        for found in sorted(path for path in bootstraps.iterdir()):
            binary = found / "bootstrap" if found.is_dir() else found
            if not os.access(binary, os.X_OK) or found.suffix or not binary.is_file():
                continue
            script = folder / found.name / "bootstrap"
            script.parent.mkdir(parents=True, exist_ok=True)
            settings = " ".join(f"{name}='{value}'" for name, value in self.clock.variables().items())
            script.write_text(f"#!/bin/sh\nexec env {settings} '{binary.resolve()}'\n")
            script.chmod(0o755)

    def joined(self, log, patience=60):
        file, end = self.folder / "env", time.monotonic() + patience
        while "Ctrl-C stops" not in log.read_text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the stack does not start:\n{log.read_text()}")
            time.sleep(0.01)
        pairs = (line.partition("=") for line in file.read_text().splitlines())
        return {name: value.strip('"') for name, _, value in pairs}

    def secret(self, name):
        scope = f"{self.env['AWS_ACCESS_KEY_ID']}/{time.strftime('%Y%m%d')}/us-east-1/secretsmanager/aws4_request"
        headers = {
            "x-amz-target": "secretsmanager.GetSecretValue",
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
            "content-type": "application/x-amz-json-1.1",
        }
        wanted = json.dumps({"SecretId": f"{self.env['INTERTIE_PREFIX']}/{name}"})
        return self.web.json("POST", self.env["AWS_ENDPOINT_URL_SECRETS_MANAGER"], wanted, headers)["SecretString"]

    def session(self, user):
        """A session token of ten minutes, as the application mints it."""
        text = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=")
        claims = {"sub": user, "exp": int(self.clock.now()) + 600}
        signed = b".".join(text(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        return (signed + b"." + text(hmac.new(self.key, signed, hashlib.sha256).digest())).decode()

    def control(self, method, path, body=None):
        return self.web.json(method, f"{self.env['INTERTIE_CONTROL_URL']}/{path}", body)

    def sandbox(self, vendor, method, path, body=None):
        return self.web.json(method, f"{self.env[f'SANDBOX_{vendor}_URL']}/_admin/{path}", body)

    def wake(self):
        """Receivers look again: the clock may have brought them something."""
        self.control("POST", "clock", {"advance_seconds": 0})

    def depths(self, at_rest=False):
        """Of each queue without the prefix; as soon as all are at rest, or after ten seconds."""
        prefix = self.env["INTERTIE_PREFIX"] + "-"
        return {
            queue["name"].removeprefix(prefix): Depth(*(queue[name] for name in Depth._fields))
            for queue in self.control("GET", "rest" if at_rest else "queues")
        }

    def webhooks(self):
        """How many are sent and not answered."""
        vendors = (name.split("_")[1] for name in self.env if name.startswith("SANDBOX_"))
        return sum(self.sandbox(vendor, "GET", "deliveries/under_way")["under_way"] for vendor in vendors)

    def lines(self):
        """The functions' logs: the name of the function, and each line that is JSON."""
        for file in sorted((self.folder / "logs").glob("*.log")):
            for line in file.read_text().splitlines():
                try:
                    yield file.stem, json.loads(line)
                except ValueError:
                    yield file.stem, {"level": "ERROR", "message": line}

    def events(self):
        """What was put on the bus."""
        return [json.loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]

    def processes(self):
        """Those of the command and of the functions, as the system lists them."""
        ours = str(self.folder.parent).encode()
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and ours in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue  # it has ended, or is another's
        return found

    def stop(self):
        """As Ctrl-C does. Returns what is left of it after that."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return [self.process.pid]
        return self.processes()
