"""Text from outside: made visible, made safe as a file name, made safe inside a script."""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

# Control characters but line breaks and tabs; marks that change the direction of what follows, or
# that are there without being seen; halves of broken characters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e"
    "\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


def visible(text: object) -> str:
    r"""Show what would hide: control characters, direction overrides, halves of broken characters.

    Line breaks and tabs stay. Nothing here makes HTML safe: that is done where HTML is written.

    >>> visible("piano\x1b[31m.wav")
    'piano‹U+001B›[31m.wav'
    >>> visible("wav.\u202egpj")
    'wav.‹U+202E›gpj'
    """
    return _UNSEEN.sub(lambda match: f"‹U+{ord(match[0]):04X}›", str(text))


def one_line(text: object) -> str:
    """Visible text on a single line."""
    return " ".join(visible(text).split())


def visible_everywhere(value: Any) -> Any:
    """Make every string inside lists and mappings visible, keys included."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(key): visible_everywhere(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [visible_everywhere(item) for item in value]
    return value


def script_json(value: Any) -> str:
    r"""JSON that may stand inside a script element or a script file.

    >>> script_json({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(
        visible_everywhere(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def file_stem(name: str, taken: Iterable[str] = (), most: int = 60) -> str:
    """A name of letters, digits, dots and dashes that no other file has; never a path.

    >>> file_stem("../../etc/passwd")
    'etc-passwd'
    >>> file_stem("features", taken=["features"])
    'features-2'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    stem = _PLAIN.sub("-", plain).strip("-._").lower()[:most].strip("-._") or "unnamed"
    while ".." in stem:
        stem = stem.replace("..", ".")
    used = {one.lower() for one in taken}
    unique = stem
    count = 2
    while unique in used:
        unique = f"{stem}-{count}"
        count += 1
    return unique


def seconds(value: float | int) -> str:
    """Seconds for people, to the hundredth (to the millisecond below a tenth of a second)."""
    return f"{value:.3f}" if 0 < abs(value) < 0.1 else f"{value:.2f}"


def spoken_duration(start_s: float | int, stop_s: float | int) -> str:
    """The span of an excerpt, for labels that are read out."""
    return f"{seconds(start_s)} to {seconds(stop_s)} s"
