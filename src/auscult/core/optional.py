"""Packages that only some features need: imported when used, named when lacking."""

import importlib
from typing import Any

from auscult.core.errors import MissingExtraError


def optional_module(name: str, feature: str, extra: str) -> Any:
    """Import a package of an extra.

    Raises:
        MissingExtraError: It is not installed; the sentence says what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(feature, name, extra) from error


def librosa_for(feature: str) -> Any:
    """Import librosa, which the extra ``concepts`` brings."""
    return optional_module("librosa", feature, "concepts")
