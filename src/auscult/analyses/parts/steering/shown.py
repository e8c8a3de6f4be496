"""What a steering page is about, and what is made for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from auscult.analyses.base import Judgement, MadeSound
from auscult.analyses.parts.steering.audit import Answer, Audit
from auscult.blocks import Block
from auscult.interventions.ways import WayName


@dataclass(frozen=True)
class Shown:
    """What the page is about."""

    tap: str
    concepts: tuple[str, ...]
    audit: Audit
    answers: Sequence[Answer]
    span_s: float
    fade_s: float

    @property
    def best(self) -> list[Answer]:
        """For each concept and side the way that is best on calibration clips.

        Of the ways whose effect there exceeds the random band, the one with most isolation; where
        there is none, the one that comes nearest to its band.
        """
        found = []
        for which, sign in product(range(len(self.concepts)), ("more", "less")):
            mine = [a for a in self.answers if (a.which, a.sign) == (which, sign)]
            if mine:
                found.append(max(mine, key=_promise))
        return found

    def of(self, which: int, sign: str, way: WayName) -> Answer | None:
        """One answer."""
        return next(
            (a for a in self.answers if (a.which, a.sign, a.way) == (which, sign, way)), None
        )


def _promise(answer: Answer) -> tuple[bool, float]:
    effect, isolated = answer.calibrated
    above = effect > answer.trial.band
    told = isolated if above else effect / max(answer.trial.band, 1e-12)
    return above, float(np.nan_to_num(told, nan=-1.0))


@dataclass
class Made:
    """What was made for the page."""

    blocks: list[Block] = field(default_factory=list)
    sounds: list[MadeSound] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
