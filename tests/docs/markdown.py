"""Reads what the checks need of a Markdown document: fenced blocks, links, headings' anchors and named files."""

import re
from dataclasses import dataclass

FENCE = re.compile(r"^(\s*)```(.*)$")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# A file or folder of the repository, named in code font. Placeholders (`<name>`, `*`, `…`) are no names.
NAMED = re.compile(r"`((?:shared|functions|local|tests|examples|release|events|docs|clients)/[a-z0-9_./-]*)`")


@dataclass
class Block:
    line: int  # of its opening fence, from 1
    language: str
    mark: str
    text: str


class Document:
    def __init__(self, path, root):
        self.path = path
        self.name = str(path.relative_to(root))
        self.blocks = []
        prose = []
        opened = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            fence = FENCE.match(line)
            if opened is None and fence:
                indent, info = fence.groups()
                language, _, mark = info.partition(" ")
                opened = Block(number, language, mark.strip(), "")
            elif opened is not None and fence and not fence[2]:
                self.blocks.append(opened)
                opened = None
            elif opened is not None:
                opened.text += line.removeprefix(indent) + "\n"
            else:
                prose.append((number, line))
        if opened is not None:
            raise SystemExit(f"{self.name}:{opened.line}: the block is not closed")
        self.prose = prose
        self.links = [(number, link) for number, line in prose for link in LINK.findall(line)]
        self.named = [(number, name) for number, line in prose for name in NAMED.findall(line)]
        self.anchors = anchors(line for _, line in prose)


def anchors(lines):
    """The anchors of headings as GitHub makes them: a repeated one gets a number."""
    seen = {}
    for line in lines:
        if heading := re.match(r"#{1,6} +(.+?) *$", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            anchor = re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-")
            seen[anchor] = seen.get(anchor, -1) + 1
            name = f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor
            seen.setdefault(name, 0)
    return set(seen)
