"""Runs the blocks of documents: each document in one shell, joined to one stack of `cargo local` that all share."""

import os
import re
import shlex
import signal
import subprocess
import time

PROLOGUE = """\
set -eu -o pipefail
ends=()
finish() { for end in "${ends[@]}"; do kill -INT "$end" 2>/dev/null || true; done; wait; }
trap finish EXIT
terminal() { # FOLDER COMMAND…: another terminal, which knows nothing of this shell's variables
  env -i HOME="$HOME" PATH="$PATH" "${@:2}" </dev/null & ends+=($!)
  until [ -e "$1/env" ]; do kill -0 $! && sleep 0.1; done
}
set -a; . target/local/env; set +a
"""
SECONDS = 60  # that the blocks of one document may take


class Commands:
    def __init__(self, root, work):
        self.gate = (root / ".ci" / "run").read_text(encoding="utf-8")
        self.work, self.root = work, root
        self.stack = None
        self.count = self.elsewhere = 0

    def run(self, documents):
        problems = [problem for document in documents for problem in self.read(document)]
        alone = [(document, block) for document in documents for block in document.blocks if block.mark == "alone"]
        for document, block in alone:
            problems += self.script(document, [block], "set -eu -o pipefail\n")
        if problems:
            return problems
        self.start()
        for document in documents:
            if blocks := [block for block in document.blocks if block.language == "sh" and block.mark in ("", "terminal")]:
                problems += self.script(document, blocks, PROLOGUE)
        return problems

    def read(self, document):
        """What is not run here: blocks that need AWS, blocks that the gate runs, and files that a document's commands use."""
        for block in document.blocks:
            place = f"{document.name}:{block.line}"
            if block.language == "sh":
                syntax = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
                if syntax.returncode:
                    yield f"{place}: {syntax.stderr.strip()}"
                self.elsewhere += block.mark in ("aws", "tools")
            if block.mark == "gate":
                for line in block.text.splitlines():
                    command = line.partition(" #")[0].strip()
                    if command and command not in self.gate:
                        yield f"{place}: .ci/run does not run `{command}`"
            if block.language == "python" and not (self.root / block.mark).exists():
                compile(block.text, place, "exec")
                with open(self.work / block.mark, "a", encoding="utf-8") as file:
                    file.write(block.text + "\n")

    def start(self):
        log = open(self.work / "stack.log", "w")
        self.stack = subprocess.Popen(["cargo", "local", "--no-story", "--port", "0"], cwd=self.work, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while not (self.work / "target/local/env").exists():
            if self.stack.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the stack did not start:\n{(self.work / 'stack.log').read_text()}")
            time.sleep(0.1)

    def end(self):
        if self.stack and self.stack.poll() is None:
            self.stack.send_signal(signal.SIGINT)
            self.stack.wait(30)

    def script(self, document, blocks, prologue):
        """Runs the blocks, and compares what a block writes with the block of output behind it."""
        folder = self.work / "output" / document.name.replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        lines = [prologue]
        for block in blocks:
            lines.append(f"exec >{shlex.quote(str(folder))}/{block.line}.out 2>{shlex.quote(str(folder))}/{block.line}.err\n")
            lines.append(terminal(block.text) if block.mark == "terminal" else block.text)
        (folder / "script").write_text("".join(lines), encoding="utf-8")
        process = subprocess.Popen(["bash", folder / "script"], cwd=self.work, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = f"nothing within {SECONDS} s"
        begun = [block for block in blocks if (folder / f"{block.line}.out").exists()]
        self.count += len(begun)
        if code:
            last = folder / str(begun[-1].line)
            written = "".join(last.with_suffix(end).read_text(errors="replace") for end in (".out", ".err"))
            return [f"{document.name}:{begun[-1].line}: ended with {code}:\n{written}"]
        return [problem for block in begun for problem in unlike(document, block, folder)]


def terminal(text):
    """A command that stays up: started beside the shell. The one that all documents share runs already."""
    [command] = [line for line in text.splitlines() if line.strip()]
    folder = re.search(r"--directory (\S+)", command)
    return f"terminal {folder[1]} {command}\n" if folder else f"{command.partition(' #')[0]} --help >/dev/null\n"


def unlike(document, block, folder):
    after = document.blocks[document.blocks.index(block) + 1 :]
    if not after or after[0].language not in ("text", "json") or after[0].mark == "example":
        return
    got, expected = (folder / f"{block.line}.out").read_text(), after[0].text
    pack = (lambda text: re.sub(r"\s+", "", text)) if after[0].language == "json" else str.strip
    pattern = ".*?".join(re.escape(part) for part in pack(expected).split("…"))
    if not re.fullmatch(pattern, pack(got), re.DOTALL):
        yield f"{document.name}:{after[0].line}: the commands of line {block.line} write:\n{got}"
