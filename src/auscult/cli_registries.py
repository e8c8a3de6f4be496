"""What can be listed: every registry under the word for its kind."""

from importlib import import_module
from typing import Any

from auscult.core.errors import UnknownNameError

KINDS = {
    "models": "auscult.models.base",
    "sounds": "auscult.sounds.base",
    "concepts": "auscult.concepts.base",
    "dictionaries": "auscult.dictionaries.base",
    "analyses": "auscult.analyses.base",
    "edits": "auscult.interventions.base",
}
"""Each kind, and the module that holds its registry under the same word in capitals.

Modules by name: the help of the command line must not load what they load.
"""


def registry_of(kind: str) -> Any:
    """The registry of a kind.

    Raises:
        UnknownNameError: There is no such kind; the nearest are listed.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    return getattr(import_module(KINDS[kind]), kind.upper())
