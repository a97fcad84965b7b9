"""Code blocks of Markdown files."""

import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ZPMODEL = [sys.executable, "-c", "from zpmodel.commands.main import main; main()"]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A fenced block: its language, its text, the section that it stands in and its line."""

    language: str
    text: str
    section: str
    line: int


def blocks(path: Path) -> list[Block]:
    """All blocks of a file, in their order."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        section = re.findall(r"^#+ (.*)$", _FENCE.sub("", before), re.M)
        found.append(Block(match[1], match[2], section[-1] if section else "", before.count("\n") + 1))
    return found


def commands(block: Block) -> list[list[str]]:
    """Each line of a console block as arguments: ``zpmodel`` and ``python`` run by this Python."""
    found = []
    for line in block.text.splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words:
            start = {"zpmodel": ZPMODEL, "python": [sys.executable]}.get(words[0], words[:1])
            found.append([*start, *words[1:]])
    return found
