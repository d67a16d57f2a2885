"""main.py PROGRAM FOLDER CLIENTS [EVENTS]: PROGRAM is `cargo local`, FOLDER that of its stack, CLIENTS where the clients are installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
from openapi_spec_validator import validate

import events
from stack import Stack

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent.parent / "docs"
# What ends what the other operations need. The last three take the place of a user that has everything by one that has nothing left.
ENDING = ["disconnectIntegration", "endSessions", "eraseUser"]


def schemathesis(stack, token, *options):
    """Calls operations with good and bad input of all kinds. Every answer has a status, a type and a body that the description has."""
    command = ["schemathesis", "--config-file", HERE / "schemathesis.toml", "run", DOCS / "openapi.json", "--url", stack.url]
    command += ["--header", f"Authorization: Bearer {token}", "--continue-on-failure", "--no-shrink"]
    # One worker: on several threads `ast` of older Pythons fails now and then (https://github.com/python/cpython/issues/106905).
    env = os.environ | {"SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")}
    subprocess.run([*command, "--workers", "1", *options], cwd=stack.folder, env=env, check=True)


def clients(stack, token, built):
    """The same steps by each client, as it is installed: both print the same."""
    env = os.environ | {"INTERTIE_URL": stack.url, "INTERTIE_SESSION": token}
    commands = {"python": ["python", HERE / "steps.py"], "typescript": ["node", built / "steps.mjs"]}
    for name, command in commands.items():
        stack.connect(token, "slack", "T0SANDBOX")
        stack.connect_by_key(token)
        printed = subprocess.run(command, check=True, env=env, stdout=subprocess.PIPE, text=True).stdout
        expected = (HERE / "steps.txt").read_text()
        assert printed == expected, f"{name}:\n{printed}\nnot\n{expected}"


def main(program, folder, built, *others):
    description = json.loads((DOCS / "openapi.json").read_text())
    validate(description)
    with Stack(Path(program), Path(folder).resolve(), "TokenVending=on") as stack:
        assert httpx.get(f"{stack.url}/openapi.json").json() == description
        clients(stack, stack.token("grace"), Path(built))
        ada = stack.token("ada", "--role", "admin")
        for provider, account in [("slack", "T0SANDBOX"), ("google-calendar", "ada@example.com"), ("gmail", "ada@example.com")]:
            stack.connect(ada, provider, account)
        stack.connect_by_key(ada)
        ids = [option for name in ENDING for option in ("--exclude-operation-id", name)]
        schemathesis(stack, ada, "--phases", "coverage,fuzzing", "--max-examples", "6", *ids)
        # Pages, where a browser asks.
        schemathesis(stack, ada, "--phases", "coverage", "--mode", "positive", "--header", "Accept: text/html", *ids)
        schemathesis(stack, ada, "--phases", "coverage,fuzzing", "--max-examples", "6", *[option.replace("exclude", "include") for option in ids])
    lines = (Path(folder) / "events.jsonl").read_text().splitlines()
    for file in others:
        lines += Path(file).read_text().splitlines()
    wrong, unseen = events.check(json.loads((DOCS / "events.schema.json").read_text()), lines)
    if others and unseen:
        wrong.append(f"never seen: {sorted(unseen)}")
    if wrong:
        raise SystemExit("\n".join(["the events differ from docs/events.schema.json:", *wrong[:20]]))


main(*sys.argv[1:])
