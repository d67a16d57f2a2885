"""Checks every Markdown document of the repository: links and named files exist, code is what the repository holds, commands run.

check.py ROOT WORK: ROOT is the repository, WORK a folder that it may empty. `run` prepares both. CONTRIBUTING.md says how a block
is marked.
"""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from commands import Commands
from markdown import Document
from names import Names

ROOT, WORK = (Path(argument).resolve() for argument in sys.argv[1:3])
MARKS = {"sh": {"", "alone", "aws", "gate", "terminal", "tools"}, "text": {"", "example"}, "json": {"", "example"}, "mermaid": {""}}


def documents():
    """The tracked documents in the order in which a reader meets them: a later one finds what an earlier one connected."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    first = ["README.md", "docs/connect.md", "docs/local.md", "docs/receive.md", "docs/records.md", "docs/call.md"]
    last = ["docs/operate.md", "docs/deploy.md"]  # they replace secrets
    order = first + sorted(set(names) - set(first) - set(last)) + last
    return [Document(ROOT / name, ROOT) for name in order if (ROOT / name).exists()]


def broken_links(document, anchors):
    for line, link in document.links:
        file, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        target = (document.path.parent / file).resolve() if file else document.path
        if not target.exists():
            yield f"{document.name}:{line}: {link} leads nowhere"
        elif anchor and anchor not in anchors.get(target, {anchor} if target.suffix != ".md" else set()):
            yield f"{document.name}:{line}: {link} has no such heading"
    for line, name in document.named:
        if not (ROOT / name).exists():
            yield f"{document.name}:{line}: there is no {name}"


def wrong_blocks(document):
    """Blocks that no check covers, and code that the repository does not hold."""
    for block in document.blocks:
        place = f"{document.name}:{block.line}"
        file = ROOT / block.mark
        if block.language in MARKS:
            if block.mark not in MARKS[block.language]:
                yield f"{place}: a block of {block.language} can't be marked `{block.mark}`"
        elif not block.mark or (not file.is_file() and block.language != "python"):
            yield f"{place}: a block of `{block.language}` names the file that it is a part of"
        elif file.is_file():
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
            wanted = [line.strip() for line in block.text.splitlines()]
            if not any(lines[at : at + len(wanted)] == wanted for at in range(len(lines))):
                yield f"{place}: {block.mark} has no such lines"


def undocumented():
    """Parameters and routes of the template that their references do not have."""
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    parameters = template.split("\nParameters:\n")[1].split("\nRules:\n")[0]
    for name, names in [
        ("docs/configuration.md", re.findall(r"^  (\w+):", parameters, re.MULTILINE)),
        ("docs/http.md", re.findall(r"Method: \w+, Path: '([^']+)'", template)),
    ]:
        text = (ROOT / name).read_text(encoding="utf-8")
        yield from (f"{name}: there is no {wanted}" for wanted in names if f"{wanted}`" not in text)


def is_reference(name):
    """Whether a document describes the code as it is. The changelog tells of former names, too."""
    return name in ("ARCHITECTURE.md", "CONTRIBUTING.md") or name.startswith("docs/")


def main():
    everything = documents()
    anchors = {document.path: document.anchors for document in everything}
    problems = [problem for document in everything for problem in broken_links(document, anchors)]
    problems += undocumented()
    names = Names(ROOT)
    problems += [problem for document in everything if is_reference(document.name) for problem in names.missing(document)]
    # Of the lists under tests/ only the links are checked: what they quote is other programs' own.
    read = [document for document in everything if not document.name.startswith("tests/")]
    problems += [problem for document in read for problem in wrong_blocks(document)]
    if not problems:
        commands = Commands(ROOT, WORK)
        try:
            problems = commands.run(read)
        finally:
            commands.end()
        print(f"{commands.count} blocks run, {commands.elsewhere} need AWS or other tools and are read by bash -n, {len(everything)} documents")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
