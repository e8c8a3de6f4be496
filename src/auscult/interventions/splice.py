"""Run what a tap says through a dictionary."""

from typing import ClassVar

import torch
from jaxtyping import Float
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


class SpliceParams(DictionaryEditParams):
    """What passes."""

    features: tuple[int, ...] = ()
    """Only these features pass; none: all of them."""


@EDITS.register("splice")
class Splice(Edit):
    """Replace vectors by what a dictionary rebuilds: ``x + s (dec(enc(x)) - x)``.

    What is lost on the way is the floor that any change made through the dictionary is read
    against (METHODS C-7, 8.4).
    """

    Params: ClassVar[type[Config]] = SpliceParams

    def __init__(self, params: SpliceParams, dictionary: Dictionary | None = None) -> None:
        super().__init__(params)
        self.dictionary = dictionary_of(params, dictionary)
        expect_features(params.features, self.dictionary.n_features)

    def change(
        self, values: Float[Tensor, "batch frame d_in"], time: TimeBase
    ) -> Float[Tensor, "batch frame d_in"]:
        """Encode and decode every frame.

        Raises:
            WidthError: The dictionary was made for another tap.
        """
        del time
        acts = self.dictionary.encode(values)
        if self.params.features:
            kept = torch.zeros_like(acts)
            chosen = list(self.params.features)
            kept[..., chosen] = acts[..., chosen]
            acts = kept
        rebuilt = self.dictionary.decode(acts).to(values.dtype)
        moved: Tensor = values + self.params.strength * (rebuilt - values)
        return rebuilt if self.params.strength == 1 else moved
