"""Where the vectors of a dictionary came from."""

from dataclasses import dataclass
from typing import Literal

from auscult.core.timebase import TimeBase


@dataclass(frozen=True)
class Provenance:
    """Where a dictionary's vectors came from; it travels with the weights.

    Attributes:
        model: Name of the model.
        weights: Digest of the model's weights.
        tap: Address within the model.
        of: Response vectors, or their differences over ``lag`` frames.
        lag: Frames between the two ends of a generator.
        time: Where the frames lie; None where there is no time.
        target: Address of the tap that it gives back, where that is another one.
        context: Frames on either side of each that it reads as well, end to end in time.
        parts: Of vectors put end to end, where each part came from.
    """

    model: str = ""
    weights: str = ""
    tap: str = ""
    of: Literal["responses", "generators"] = "responses"
    lag: int = 1
    time: TimeBase | None = None
    target: str = ""
    context: int = 0
    parts: tuple[str, ...] = ()
