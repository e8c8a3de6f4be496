"""Whether a copy of a data set is what was published, by the checksums of soundata and mirdata."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auscult.core.errors import ConfigError, MissingExtraError

# Of the data sets that are read here, these are the ones that the two libraries know.
_LIBRARIES = {
    "esc-50": ("soundata", "esc50"),
    "esc-10": ("soundata", "esc50"),
    "gtzan": ("mirdata", "gtzan_genre"),
}


def check_published(corpus: str, root: Path) -> None:
    """Compare every file of a copy with the checksum that a library keeps of it.

    Raises:
        ConfigError: No library knows the data set, its index was not fetched, or files are missing
            or differ; the first are named.
        MissingExtraError: The library is not installed.
    """
    if corpus not in _LIBRARIES:
        known = ", ".join(sorted(_LIBRARIES))
        raise ConfigError(f"sounds.verify: neither soundata nor mirdata has {corpus}; of {known}")
    package, name = _LIBRARIES[corpus]
    try:
        library: Any = importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError("sounds.verify", package, "datasets") from error
    data_set = library.initialize(name, data_home=str(root))
    try:
        missing, different = data_set.validate(verbose=False)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{package} cannot check {root} ({error}); fetch its index first: "
            f"{package}.initialize({name!r}).download(['index'])"
        ) from error
    for what, found in (("are missing", missing), ("differ from what was published", different)):
        files = _files(found)
        if files:
            raise ConfigError(
                f"{len(files)} files of {root} {what}, by the checksums of {package}; the first: "
                f"{files[0]}"
            )


def _files(found: Mapping[str, Any]) -> list[str]:
    """The files of a report, which is nested by kind and by item."""
    named: list[str] = []
    for value in found.values():
        if isinstance(value, Mapping):
            named += _files(value)
        else:
            named += [str(file) for file in value]
    return named
