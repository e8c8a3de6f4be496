"""Fenced blocks of a Markdown page."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file it is to be written to, its text and first line."""

    language: str
    title: str
    text: str
    line: int


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks in order."""
    found = []
    for match in re.finditer(r"^```(\w*)([^\n]*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        title = re.search(r'title="([^"]+)"', match[2])
        line = page[: match.start()].count("\n") + 2
        found.append(Block(match[1], title[1] if title else "", match[3], line))
    return found
