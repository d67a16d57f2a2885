"""The commands of documents that only AWS has, run as they stand against the server: blocks that are marked `sh aws`."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

from processes import HERE, bound
from report import Failed

sys.path.append(str(HERE.parent / "docs"))
from markdown import Document  # noqa: E402

ROOT = HERE.parent.parent
# A block of these is not run: by its own first line, or because the run has its own way to deploy.
SKIPPED = re.compile(r"^(# not run|sam )")


def run(stack, name, heading=None, which=slice(None), **variables):
    """Runs blocks of a document under the prefix of `stack`: all, or those of `which` under a heading. The shell knows what an earlier
    one for this stack has set. A line that sets one of `variables` sets it to this value. Returns what they write."""
    document = Document(ROOT / "docs" / name, ROOT)
    folder = stack.world.folder / "documents"
    folder.mkdir(exist_ok=True)
    shutil.copy(stack.world.package / "template.yaml", folder)
    blocks = []
    for block in document.blocks:
        if block.language == "python":
            (folder / block.mark).write_text(block.text)
        elif block.language == "sh" and block.mark == "aws" and not SKIPPED.match(block.text):
            above = [text for line, text in document.prose if line < block.line and re.match(r"#+ ", text)][-1]
            if heading is None or above.lstrip("# ") == heading:
                blocks.append(block.text)
    if not blocks[which]:
        raise Failed(f"{name} has no such commands under {heading}")
    script = "".join(f"{variable}={value!r}\n" for variable, value in variables.items()) + "".join(blocks[which])
    for variable, value in variables.items():
        script = re.sub(rf"^{variable}=.*$", f"{variable}={value!r}", script, flags=re.M)
    script = re.sub(r"\bintertie\b", stack.prefix, script)
    known = folder / f"{stack.prefix}.known"
    script = (
        # AWS CLI 1 asks for SQS elsewhere unless it is told.
        'set -eu -o pipefail\naws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }\n'
        f"[ ! -e {known} ] || . {known}\nset -x\n{script}\nset +x\n"
        f"{{ declare -f; declare -p | sed -n '/^declare -- [a-z]/p'; }} >{known}\n"
    )
    (folder / "script").write_text(script)
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), stack.world.variables["PATH"]])
    done = subprocess.run(
        bound(["bash", folder / "script"]), cwd=folder, env=stack.world.variables | {"PATH": path}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120,
    )
    with open(stack.world.folder / "documents.log", "a") as log:
        log.write(f"== {name}, {heading}\n{done.stderr}{done.stdout}\n")
    if done.returncode:
        raise Failed(f"{name}, {heading}: ended with {done.returncode}: {done.stderr[-1500:]}")
    return done.stdout
