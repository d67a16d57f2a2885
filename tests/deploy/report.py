"""The checks of a run and their outcome, one line each."""

import pathlib
import re
import sys
import time
import traceback

GAPS = pathlib.Path(__file__).with_name("gaps.md")


class Failed(Exception):
    """A sentence that should be true is not."""


class Lacking(Exception):
    """The sentence can't be looked at here: the server lacks what it is about. Its argument is the gap's name."""


def expect(true, wrong):
    """Fails the check unless it is true."""
    if not true:
        raise Failed(wrong)


def until(what, look, patience=30):
    """What `look` finds, once it finds something; it looks again and again until then."""
    end = time.monotonic() + patience
    while not (found := look()):
        if time.monotonic() > end:
            raise Failed(f"{what} did not happen within {patience} s")
        time.sleep(0.05)
    return found


class Report:
    """What held, what did not, and what the server lacks."""

    def __init__(self):
        self.begun = time.monotonic()
        self.held, self.wrong, self.seen = 0, [], set()
        self.known = set(re.findall(r"^## (\S+)", GAPS.read_text(), re.M))

    def check(self, check, *arguments):
        """Runs one check: its docstring is the sentence, what it returns is printed beside it."""
        sentence, begun = check.__doc__.strip().split("\n")[0].rstrip("."), time.monotonic()
        try:
            detail = check(*arguments)
        except Lacking as lacking:
            self.gap(str(lacking), True, sentence)
            return
        except Exception as error:  # Whatever went wrong: the sentence did not hold.
            known = isinstance(error, Failed)
            detail = str(error) if known else "".join(traceback.format_exception(error)[-3:])
            self.wrong.append(sentence)
            self.line("NOT HELD", sentence, begun, detail)
            return
        self.held += 1
        self.line("held", sentence, begun, detail)

    def gap(self, name, there, sentence=""):
        """What the server lacks, as gaps.md names it, and the sentence that can't be looked at for it. One that is not there any more
        fails the run, so that nothing stays excused."""
        if there and name in self.seen and not sentence:
            return
        self.seen.add(name)
        if name not in self.known:
            self.wrong.append(f"gap {name} is not in gaps.md")
        elif there:
            print(f"  server's gap  {name}{': ' + sentence if sentence else ''}", flush=True)
            return
        else:
            self.wrong.append(f"the server no longer lacks {name}: take it out of gaps.md and of the code")
        print(f"  NOT HELD      {self.wrong[-1]}", flush=True)

    def line(self, outcome, sentence, begun, detail):
        suffix = f": {detail}" if detail else ""
        print(f"  {outcome:13} {sentence} ({time.monotonic() - begun:.1f} s){suffix}", flush=True)

    def end(self):
        """The summary; exits with 1 if anything did not hold."""
        for name in sorted(self.known - self.seen):
            self.wrong.append(f"gaps.md names {name}, and nothing looked for it")
        took = time.monotonic() - self.begun
        print(f"{self.held} checks held, {len(self.wrong)} did not, {len(self.seen)} gaps of the server; {took / 60:.1f} minutes")
        print("".join(f"  not held: {sentence}\n" for sentence in self.wrong), end="")
        sys.exit(1 if self.wrong else 0)
