"""Errors, split by whose turn it is.

::

    AuscultError
    ├── UserError (ValueError)      the caller can mend it: one sentence, exit status 2
    │   ├── ConfigError             a spec that contradicts itself or names what does not exist
    │   ├── UnknownNameError        a model, tap, dictionary, concept, ... that is not registered
    │   ├── AudioError              a sound that cannot be used
    │   ├── CheckpointError         weights that do not fit, or that could execute code
    │   ├── TapError                an address that does not resolve, or cannot be read as frames
    │   │   └── SilentTapError      a tap that did not fire while the model ran
    │   ├── WidthError              vectors of one tap given to something made for another
    │   ├── NothingToMeasureError   intact, but too little, too short, flat or silent
    │   ├── StoreError              an activation store that is damaged or of another origin
    │   │   ├── OtherFramesError    stores to be joined that hold other frames
    │   │   └── NoVectorsError      an intact store that has none of the vectors asked for
    │   ├── RunLockedError          another process works on this run folder
    │   └── MissingExtraError       an optional dependency that is not installed
    └── InvariantError              a bug of auscult itself: please report it, traceback included
"""

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 20
"""Names that a sentence lists at most."""


class AuscultError(Exception):
    """Base of every error that auscult raises on purpose."""


class UserError(AuscultError, ValueError):
    """Something that the caller can mend; its message is one sentence and says how."""


class ConfigError(UserError):
    """A spec with an unknown key, a wrong type, a missing field or a contradiction."""


class UnknownNameError(UserError, LookupError):
    """A name that no registry, model or run knows; the message lists the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no {kind} {name!r}{suggestion(name, known)}")


class AudioError(UserError):
    """A sound that cannot be decoded, is empty, or holds values that are not numbers."""


class CheckpointError(UserError):
    """Weights whose keys do not match the architecture, or a file that could execute code."""


class TapError(UserError):
    """An address that does not resolve, or a tensor that cannot be read as frames."""


class SilentTapError(TapError):
    """A tap that did not fire while the model ran: an empty answer would be a lie."""


class WidthError(UserError):
    """Vectors of one width given to something made for another; the message names both."""


class NothingToMeasureError(UserError):
    """Intact data that cannot answer: too few, too short, flat or silent; nothing is broken.

    An analysis that meets it says "cannot be tested here" and goes on.
    """


class DivergedError(UserError):
    """Training whose loss is no longer finite; the message says at which step and what to try."""


class StoreError(UserError):
    """An activation store that is damaged, or that was made by something else."""


class OtherFramesError(StoreError):
    """Sources that should hold the same frames of the same clips do not."""


class NoVectorsError(StoreError, NothingToMeasureError):
    """An intact store without the vectors that are asked for: no such generators, or no clip.

    Told from damage, which no analysis may pass over: the answer is to record more.
    """


class RunLockedError(UserError):
    """A run folder that another process is writing to."""


class MissingExtraError(UserError, ImportError):
    """An optional dependency that is not installed; the message says which extra brings it."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(f"{feature} needs {package}: pip install 'auscult[{extra}]'")


class InvariantError(AuscultError, RuntimeError):
    """A state that auscult promises cannot happen."""


def suggestion(name: str, known: Iterable[str], most: int = 3) -> str:
    """Say which known names are nearest to a misspelled one.

    >>> suggestion("topkk", ["relu", "topk", "pca"])
    "; did you mean 'topk'?"
    >>> suggestion("zebra", ["relu", "topk"])
    "; there are 'relu', 'topk'"
    """
    options = sorted(set(known))
    near = get_close_matches(name, options, n=most, cutoff=0.5)
    quoted = ", ".join(repr(option) for option in (near or options[:_SHOWN]))
    if not quoted:
        return ""
    more = f" and {len(options) - _SHOWN} more" if len(options) > _SHOWN else ""
    return f"; did you mean {quoted}?" if near else f"; there are {quoted}{more}"
