"""Set features of a dictionary, and put back what that changes."""

from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auscult.core.config import Config
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.interventions.base import (
    EDITS,
    DictionaryEditParams,
    Edit,
    dictionary_of,
    expect_features,
)


class ClampParams(DictionaryEditParams):
    """Which features are set, to what."""

    features: tuple[int, ...] = Field(min_length=1)
    """Features to set."""
    to: float = 0.0
    """What they are set to, in the dictionary's own activations; 0 switches them off."""
    keep_error: bool = True
    """Add what the dictionary says of the change to the vectors, and keep what it cannot say.

    Otherwise the vectors become what the dictionary rebuilds.
    """


@EDITS.register("clamp")
class Clamp(Edit):
    """Set features: ``f'_j = f_j + s (to - f_j)``, then ``x + dec(f') - dec(f)`` or ``dec(f')``.

    Strength ``s`` 1 sets them, ½ goes half of the way (METHODS C-7).
    """

    Params: ClassVar[type[Config]] = ClampParams

    def __init__(self, params: ClampParams, dictionary: Dictionary | None = None) -> None:
        super().__init__(params)
        self.dictionary = dictionary_of(params, dictionary)
        expect_features(params.features, self.dictionary.n_features)

    def change(
        self, values: Float[Tensor, "batch frame d_in"], time: TimeBase
    ) -> Float[Tensor, "batch frame d_in"]:
        """Set the features in every frame.

        Raises:
            WidthError: The dictionary was made for another tap.
        """
        del time
        params = self.params
        acts = self.dictionary.encode(values)
        chosen = list(params.features)
        changed = acts.clone()
        changed[..., chosen] += params.strength * (params.to - acts[..., chosen])
        rebuilt = self.dictionary.decode(changed)
        if params.keep_error:
            rebuilt = values + (rebuilt - self.dictionary.decode(acts))
        return rebuilt.to(values.dtype)
