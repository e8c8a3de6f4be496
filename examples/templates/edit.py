"""Template: an edit. Copy to src/auscult/interventions/<name>.py and change what is marked."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from auscult.core.config import Config
from auscult.core.timebase import TimeBase
from auscult.interventions.base import EDITS, Edit, EditParams


class ExampleParams(EditParams):
    """Settings beside strength and time span, one docstring each."""

    factor: float = 2.0
    """What values are multiplied by at strength 1."""


@EDITS.register("example-edit")  # CHANGE: the name that users write
class ExampleEdit(Edit):
    """Multiply by a factor. One sentence with formula and source."""

    Params: ClassVar[type[Config]] = ExampleParams

    def change(
        self, values: Float[Tensor, "batch frame d_in"], time: TimeBase
    ) -> Float[Tensor, "batch frame d_in"]:
        """Out of place; the strength is yours to honour, 0 is dealt with."""
        del time
        return values * (1 + self.params.strength * (self.params.factor - 1))
