"""Remove what changes too fast for a decimation that follows."""

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from auscult.core.config import Config
from auscult.core.timebase import TimeBase
from auscult.interventions.base import EDITS, Edit, EditParams


class LowPassParams(EditParams):
    """What is kept, and how sharply."""

    factor: int = Field(2, ge=2)
    """Frequencies above the frame rate over twice this factor are removed: what a stride of the
    factor would fold."""
    n_zeros: int = Field(8, ge=1)
    """Zero crossings of the sinc on each side: more make the edge steeper."""


@EDITS.register("low-pass")
class LowPass(Edit):
    """Low-pass every channel along time: a blur in front of a stride (Zhang 2019; METHODS B-2).

    A Hann-windowed sinc with its -6 dB point at the new Nyquist frequency, of zero phase; frames
    are mirrored at both ends. In front of a strided convolution it does what it would do between
    the convolution and the decimation, since filters commute.
    """

    Params: ClassVar[type[Config]] = LowPassParams

    def change(
        self, values: Float[Tensor, "batch frame d_in"], time: TimeBase
    ) -> Float[Tensor, "batch frame d_in"]:
        """Move towards the filtered values, by the strength."""
        del time
        taps = torch.from_numpy(sinc_taps(self.params.factor, self.params.n_zeros)).to(values)
        reach = len(taps) // 2
        rows = values.transpose(1, 2)
        mode = "reflect" if reach < values.shape[1] else "replicate"
        padded = F.pad(rows, (reach, reach), mode=mode).flatten(0, 1)[:, None]
        filtered = F.conv1d(padded, taps[None, None]).reshape(rows.shape).transpose(1, 2)
        changed: Tensor = values + self.params.strength * (filtered - values)
        return changed


def sinc_taps(factor: int, n_zeros: int) -> Float[np.ndarray, " tap"]:
    """A Hann-windowed sinc of gain 1 at 0 Hz, for a decimation by a factor.

    >>> len(sinc_taps(4, 8))
    65
    """
    reach = factor * n_zeros
    places = np.arange(-reach, reach + 1)
    taps = np.sinc(places / factor) * np.cos(np.pi * places / (2 * (reach + 1))) ** 2
    return np.asarray(taps / taps.sum())
