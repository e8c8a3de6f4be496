"""What somebody wrote down about each clip: an instrument family, a class, a rating."""

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
from pydantic import Field

from auscult.concepts.base import CONCEPTS, Concept, Labels, hops
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.timebase import TimeBase


class UserParams(Config):
    """Settings of a label from a table."""

    label: str = Field(min_length=1)
    """Which label of the clips: a column of the table, a part of the folder or file name."""
    unit: str = ""
    """Of a label that is a number."""
    bins: int = Field(20, ge=2)
    """Into how many bins numbers are divided."""


@final
@CONCEPTS.register("user")
class User(Concept):
    """One label for all frames of a clip: words are classes, numbers a scale.

    A clip without the label has no value.
    """

    Params: ClassVar[type[Config]] = UserParams
    unit: str = ""
    n_bins: int = 20

    def __init__(self, params: Any, told: Mapping[str, str | float] | None = None) -> None:
        super().__init__(params)
        self._told = (told or {}).get(self.params.label)
        self.unit = self.params.unit
        self.n_bins = self.params.bins

    def about(self, told: Mapping[str, str | float]) -> "User":
        """The concept for a clip of which this is known."""
        return User(self.params, told)

    def label(self, audio: Audio, time: TimeBase) -> Labels:
        """The clip's label, once a frame."""
        n = len(hops(audio, time)) - 1
        if self._told is None or self._told == "":
            return Labels(np.full(n, np.nan), np.zeros(n))
        if isinstance(self._told, str):
            return Labels(np.zeros(n), np.ones(n), (self._told,))
        return Labels(np.full(n, float(self._told)), np.ones(n))
