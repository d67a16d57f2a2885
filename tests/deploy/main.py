"""Deploys the packaged bundle onto an AWS-compatible server and drives it: main.py PACKAGE PROGRAM FOLDER. The folder is emptied."""

import pathlib
import signal
import sys

import connecting
import ending
import operating
import recovering
import releasing
import schedules
import webhooks
import working
from bus import Listener
from report import Report
from world import World


def deployed(world):
    """The stack is deployed by one `sam deploy` that asks nothing"""
    world.first.deploy()
    world.first.configure()
    world.forward.to = world.first.url
    world.listener = Listener(world.first)
    schedules.shorten_interval(world)
    return f"{len(world.first.resources)} resources"


# The gaps that serve.py looks for, and fills.
SERVED = (
    "secret-ref", "kms-alias", "kms-context", "kms-reencrypt", "kms-reencrypt-rights", "sqs-batch", "concurrency-text",
    "alias-destination", "code-deploy", "query-definition", "secret-import",
)
CHECKS = (
    deployed, working.alive, working.routes_allowed, connecting.stripe_by_key, connecting.slack_by_consent, webhooks.applied,
    webhooks.repeated, webhooks.forged, webhooks.slack_signed, webhooks.slack_event, webhooks.dead_letter, webhooks.redriven,
    working.status_page, working.action_once, working.proxied, operating.context_required, operating.updated, operating.key_replaced,
    recovering.rewrapped, recovering.replicated, working.calendar_watched, working.mail_pushed, schedules.scheduled, schedules.refreshed,
    # Here each function has run since the update, so that none is missing.
    working.endpoint_followed, operating.secret_rotated, releasing.released, schedules.fired,
    recovering.copied, recovering.restored, ending.second_beside, ending.erased, operating.rights_suffice, schedules.given_up,
    recovering.operated, ending.deleted, recovering.adopted, ending.deployed_again,
)


ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def end(*_):
    """Ends the run, and what it started with it. `timeout` signals twice: the second signal must not interrupt that."""
    for sign in ENDING:
        signal.signal(sign, signal.SIG_IGN)
    sys.exit("ended by a signal")


def main():
    package, program, folder = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
    for sign in ENDING:
        signal.signal(sign, end)
    report = Report()
    world = World(folder, package, program, report)
    try:
        world.begin()
        for check in CHECKS:
            report.check(check, world)
    finally:
        world.processes.stop()
    for gap in SERVED:
        report.gap(gap, gap in (folder / "gaps").read_text().split())
    left = world.processes.running()
    if left:
        report.wrong.append(f"processes are left: {left}")
    report.end()


main()
