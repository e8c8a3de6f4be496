"""auscult: listen to the inside of neural audio models.

Everything is imported when it is first used; ``import auscult`` loads neither torch nor NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auscult.analyses.base import ANALYSES
    from auscult.core.audio import Audio
    from auscult.core.errors import AuscultError, UserError
    from auscult.core.responses import Responses
    from auscult.core.timebase import TimeBase
    from auscult.dictionaries.base import DICTIONARIES, Dictionary
    from auscult.dictionaries.metrics import evaluate
    from auscult.dictionaries.train import train
    from auscult.experiment.run import Run, run
    from auscult.experiment.spec import Spec
    from auscult.models.base import MODELS, AudioModel
    from auscult.report.render import render
    from auscult.sounds.base import SOUNDS
    from auscult.store.reader import ActivationStore
    from auscult.taps.capture import capture, intervene, run_capture
    from auscult.taps.point import TapPoint
    from auscult.taps.table import tap_table

_HOMES = {
    "ANALYSES": "analyses.base",
    "ActivationStore": "store.reader",
    "Audio": "core.audio",
    "AudioModel": "models.base",
    "AuscultError": "core.errors",
    "DICTIONARIES": "dictionaries.base",
    "Dictionary": "dictionaries.base",
    "MODELS": "models.base",
    "Responses": "core.responses",
    "Run": "experiment.run",
    "SOUNDS": "sounds.base",
    "Spec": "experiment.spec",
    "TapPoint": "taps.point",
    "TimeBase": "core.timebase",
    "UserError": "core.errors",
    "capture": "taps.capture",
    "evaluate": "dictionaries.metrics",
    "intervene": "taps.capture",
    "render": "report.render",
    "run": "experiment.run",
    "run_capture": "taps.capture",
    "tap_table": "taps.table",
    "train": "dictionaries.train",
}

__all__ = [
    "ANALYSES",
    "DICTIONARIES",
    "MODELS",
    "SOUNDS",
    "ActivationStore",
    "Audio",
    "AudioModel",
    "AuscultError",
    "Dictionary",
    "Responses",
    "Run",
    "Spec",
    "TapPoint",
    "TimeBase",
    "UserError",
    "capture",
    "evaluate",
    "intervene",
    "render",
    "run",
    "run_capture",
    "tap_table",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'auscult' has no attribute {name!r}")
    return getattr(importlib.import_module(f"auscult.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
