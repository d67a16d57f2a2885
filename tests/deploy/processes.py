"""What a run starts beside itself, and its end."""

import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
REGION, ACCOUNT = "us-east-1", "000000000000"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def bound(command):
    """The command, killed by the kernel when the thread that starts it ends, and so with this process, even by SIGKILL. A function
    of the server's ends by itself when it loses the Runtime API."""
    # The shell starts nothing if this process ended before setpriv took effect.
    return ["setpriv", "--pdeathsig", "KILL", "sh", "-c", 'test $PPID = "$0" && exec "$@"', *map(str, (os.getpid(), *command))]


class Processes:
    """Every process of a run has the run's folder for temporary files in its environment: by that all are found again."""

    def __init__(self, folder):
        self.folder, self.temporary, self.started = folder, folder / "tmp", []
        self.stop()  # what an earlier run in this folder left
        shutil.rmtree(folder, ignore_errors=True)
        self.temporary.mkdir(parents=True)
        self.rights = folder.parent / "rights.jsonl"
        self.rights.write_text("")
        self.port = free_port()
        self.endpoint = f"https://localhost:{self.port}"
        self.certificate = self.temporary / "ministack-tls" / "server.crt"
        # For everything that is a client of the server: this program, the SAM CLI and, because the server hands it on, each function.
        self.client = {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_CA_BUNDLE": str(self.certificate), "TMPDIR": str(self.temporary),
            "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "SAM_CLI_TELEMETRY": "0", "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self, name, command, variables):
        log = open(self.folder / f"{name}.log", "w")
        process = subprocess.Popen(
            bound(command), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=variables, start_new_session=True
        )
        self.started.append(process)
        return process

    def server(self):
        """Starts the server, with signatures checked, rights enforced and TLS."""
        own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "AUTH": "true", "USE_SSL": "1",
               # In place of one second and two, which are AWS's minute and two.
               "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.1"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        command = [sys.executable, HERE / "serve.py", self.rights, self.folder / "gaps"]
        process = self.start("server", command, inherited | self.client | own)
        self.wait("the server", process, lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0)

    def sandbox(self, program, webhooks_to):
        """Starts the sandbox of providers. Returns the variables that it prints."""
        variables = os.environ | {"TMPDIR": str(self.temporary)}
        process = self.start("sandbox", [program, "sandbox", "--webhooks-to", webhooks_to], variables)
        log = self.folder / "sandbox.log"
        self.wait("the sandbox", process, lambda: "# Ctrl-C" in log.read_text())
        pairs = (line.partition("=") for line in log.read_text().splitlines() if not line.startswith("#"))
        return {name: shlex.split(value)[0] for name, _, value in pairs}

    def wait(self, what, process, ready, patience=60):
        end = time.monotonic() + patience
        while not ready():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{what} did not start; its log is in {self.folder}")
            time.sleep(0.05)

    def running(self):
        pids = (int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit())
        return [pid for pid in pids if pid != os.getpid() and f"TMPDIR={self.temporary}" in self.environment(pid)]

    def environment(self, pid):
        try:
            return pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return []  # it has ended, or is another's

    def stop(self, patience=5):
        """Ends all of it, the functions included, at once: nothing of it is needed any more."""
        end = time.monotonic() + patience
        while (left := self.running()) and time.monotonic() < end:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in self.started:
                process.poll()
            time.sleep(0.05)
