"""How far changed sounds are from others, and from themselves without the change."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from auscult.analyses.parts.steering.trials import Piece
from auscult.core.audio import Audio
from auscult.core.distances import si_sdr_db, stft_distance
from auscult.core.errors import AudioError
from auscult.measures.embedding import Embedder
from auscult.measures.fidelity import (
    clipping_share,
    frechet_at_infinity,
    kernel_distance,
    median_distance,
    same_level,
    standing_share,
)
from auscult.measures.steering import random_halves

_HALVES = 200


class Quality:
    """Distances of changed sounds from sounds of the corpus, at equal level.

    Args:
        embedders: What distances are taken in.
        sample_rate: Of the sounds.
        corpus: Sounds that are not steered themselves.
    """

    def __init__(
        self, embedders: Sequence[Embedder], sample_rate: int, corpus: Sequence[Piece]
    ) -> None:
        self._embedders = embedders
        self._rate = sample_rate
        waveforms = np.stack([one.waveform for one in corpus])
        self._corpus = {one.name: self._embed(one, waveforms) for one in embedders}
        self._widths = {name: median_distance(own.values) for name, own in self._corpus.items()}

    def _embed(self, embedder: Embedder, sounds: Float[np.ndarray, "clip time"]) -> Any:
        made = [Audio(np.ascontiguousarray(s[None], dtype=np.float32), self._rate) for s in sounds]
        return embedder.embed(made)

    def distances(
        self, sounds: Float[np.ndarray, "clip time"], plain: Float[np.ndarray, "clip time"]
    ) -> dict[str, float]:
        """Kernel distance from the corpus by embedding, at the level of the plain sounds."""
        levelled = same_level(plain, sounds)
        return {
            one.name: kernel_distance(
                self._corpus[one.name].values,
                self._embed(one, levelled).values,
                self._widths[one.name],
            )
            for one in self._embedders
        }

    def bounds(
        self, plain: Float[np.ndarray, "clip time"], rng: np.random.Generator
    ) -> dict[str, float]:
        """What chance alone gives the untouched round trip: 97.5 % of the distances of its halves.

        A codec that is asked twice answers the same, so there is no other seed to compare with;
        other recordings take its place.
        """
        halves = random_halves(len(plain), _HALVES, rng)
        drawn = self.of_halves(plain, plain, halves)
        return {name: float(np.quantile(some, 0.975)) for name, some in drawn.items()}

    def of_halves(
        self,
        sounds: Float[np.ndarray, "clip time"],
        plain: Float[np.ndarray, "clip time"],
        halves: Int[np.ndarray, "draw half"],
    ) -> dict[str, Float[np.ndarray, " draw"]]:
        """The distances of some halves of the sounds, by embedding."""
        levelled = same_level(plain, sounds)
        found = {}
        for one in self._embedders:
            embedded = self._embed(one, levelled)
            own, width = self._corpus[one.name].values, self._widths[one.name]
            found[one.name] = np.array(
                [kernel_distance(own, embedded.of(half), width) for half in halves]
            )
        return found

    def frechet(
        self,
        sounds: Float[np.ndarray, "clip time"],
        plain: Float[np.ndarray, "clip time"],
        rng: np.random.Generator,
    ) -> dict[str, float]:
        """Fréchet distance from the corpus by embedding, extrapolated to infinitely many sounds."""
        levelled = same_level(plain, sounds)
        return {
            one.name: frechet_at_infinity(
                self._corpus[one.name].values, self._embed(one, levelled).values, rng
            )
            for one in self._embedders
        }


def fidelity(
    sounds: Float[np.ndarray, "clip time"], plain: Float[np.ndarray, "clip time"]
) -> dict[str, float]:
    """How far versions are from those without the control, clip by clip; means over clips."""
    reference, changed = (torch.from_numpy(np.asarray(one, np.float32)) for one in (plain, sounds))
    kept = reference.square().mean(-1) > 0
    try:
        spectra = stft_distance(reference[kept], changed[kept])
        ratio = float(si_sdr_db(reference[kept], changed[kept]).mean())
        log_magnitude = float(spectra.log_magnitude.mean())
    except AudioError:
        ratio = log_magnitude = float("nan")
    return {
        "si_sdr_db": ratio,
        "log_spectrum": log_magnitude,
        "clipping": clipping_share(sounds),
        "standing": standing_share(sounds),
    }
