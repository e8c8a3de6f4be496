"""Globs over dotted names: ``*`` and ``?`` stay within a part, ``**`` spans any number of parts."""

import re
from functools import cache


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    tokens = re.split(r"(\*\*|\*|\?|\[[^\]]+\])", pattern)
    meanings = {"**": r".*", "*": r"[^.]*", "?": r"[^.]"}
    return re.compile(
        "".join(
            meanings.get(token)
            or (token if token.startswith("[") and token.endswith("]") else re.escape(token))
            for token in tokens
        )
    )


def is_glob(pattern: str) -> bool:
    """Whether a pattern has a wildcard."""
    return any(mark in pattern for mark in "*?[")


def matches(pattern: str, name: str) -> bool:
    """Whether a dotted name matches a glob.

    >>> matches("encoder.layers.*", "encoder.layers.3"), matches("encoder.*", "encoder.layers.3")
    (True, False)
    >>> matches("encoder.**", "encoder.layers.3"), matches("rvq.[0-3]", "rvq.2")
    (True, True)
    """
    return _compiled(pattern).fullmatch(name) is not None


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """A sorting key under which ``conv.10`` comes after ``conv.9``.

    >>> sorted(["conv.10", "conv.9"], key=natural_key)
    ['conv.9', 'conv.10']
    """
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts if part)
