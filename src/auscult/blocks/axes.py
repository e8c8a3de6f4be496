"""What runs along an axis, and what colours stand for."""

from dataclasses import dataclass
from typing import Literal

Scale = Literal["linear", "log"]
ColourMap = Literal["sequential", "diverging", "boolean", "cyclic"]


@dataclass(frozen=True)
class Axis:
    """A quantity along an axis: ``Axis("frequency", "Hz", "log")``."""

    name: str
    unit: str = ""
    scale: Scale = "linear"

    @property
    def label(self) -> str:
        """Text beside the axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name
