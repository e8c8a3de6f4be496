"""A study opened for reading: what an analysis is given, without a run around it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from auscult.analyses.base import ANALYSES, Condition, Context, Result
from auscult.core.config import Config
from auscult.experiment.run import listening_to


@contextmanager
def open_study(
    spec: Mapping[str, Any], folder: Path, controls: Sequence[Condition] = ()
) -> Iterator[Context]:
    """Record a spec's sounds under the base condition and some controls; give the context.

    Args:
        spec: As in a TOML file; it needs no analyses.
        folder: Where the recordings go.
        controls: Conditions to record beside the base one.
    """
    with listening_to(spec, folder, controls) as context:
        yield context


def answer(spec: Mapping[str, Any], folder: Path, name: str, **params: Any) -> Result:
    """What one analysis says to a spec, with the controls that it asks for."""
    cls, parsed = ANALYSES.parse({"type": name, **params}, f"analyses {name!r}")
    checked: Config = parsed
    with open_study(spec, folder, cls.controls(checked)) as context:
        return cls().run(context, checked)
