"""A local stack with its own emulated providers, and what its users do in a browser."""

import shlex
import subprocess
import time
from urllib.parse import parse_qsl, urlsplit

import httpx


class Stack:
    """Runs in FOLDER until it is left. Its environment is in `env`."""

    def __init__(self, program, folder, *overrides):
        self.program, self.folder = program, folder
        command = [program, "--no-story", "--port", "0", "--directory", folder, "--bootstraps", program.parent]
        self.command = [*command, "--parameter-overrides", *overrides]

    def __enter__(self):
        (self.folder / "env").unlink(missing_ok=True)
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        while not (self.folder / "env").exists():  # written once all routes answer
            if self.process.poll() is not None:
                raise SystemExit("the stack did not start")
            time.sleep(0.1)
        lines = shlex.split((self.folder / "env").read_text())
        self.env = dict(line.split("=", 1) for line in lines)
        self.url = self.env["INTERTIE_URL"]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def token(self, user, *options):
        """A session token of a user."""
        command = [self.program, "token", "--directory", self.folder, "--user", user, *options]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def connect(self, token, provider, account):
        """Connects an account by OAuth: the user allows it on the emulated provider's page."""
        with httpx.Client(timeout=30) as browser:
            browser.get(f"{self.url}/settings/integrations", params={"session": token})
            consent = browser.get(f"{self.url}/connect/{provider}").headers["location"]
            answer = dict(parse_qsl(urlsplit(consent).query)) | {"decision": "allow", "account": account}
            page = browser.post(consent.split("?")[0], data=answer, follow_redirects=True)
            assert page.url.params.get("success") == provider, page.url

    def connect_by_key(self, token, **more):
        headers = {"Authorization": f"Bearer {token}"}
        body = {"api_key": "rk_test_sandbox"} | more
        httpx.post(f"{self.url}/connect/stripe", headers=headers, json=body, timeout=30).raise_for_status()
