"""A stage told by tones alone: what each adds, and what none of them explains (METHODS B-5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from auscult.measures.decodability import AMPLITUDE, Levels, decodable, heard_in_chunks
from auscult.measures.stages import Stage
from auscult.models.base import AudioModel

_RIDGE = 1e-4
_N_SIMULATED = 3


@dataclass(frozen=True)
class ToneModel:
    """What every tone of a grid adds to a stage's frames, by itself and among strangers.

    Attributes:
        stage: Which.
        tones_hz: The grid.
        cosines: What the stage says to each tone alone, re silence, at the phase of a cosine and
            the amplitude 0.1.
        sines: The same for minus a sine, a quarter of a period on.
        quiet: What it says in silence.
        added: Coefficients of every tone's cosine, sine and level, and a constant, fitted to frames
            in which tones sound among others that were drawn at random.
        left: Frames of these contexts less the fit: harmonics, differences, and what company
            changes.
        n_strangers: Partials of such a context.
    """

    stage: Stage
    tones_hz: Float[np.ndarray, " tone"]
    cosines: Float[np.ndarray, "tone frame channel"]
    sines: Float[np.ndarray, "tone frame channel"]
    quiet: Float[np.ndarray, "frame channel"]
    added: Float[np.ndarray, "coefficient channel"]
    left: Float[np.ndarray, "context frame channel"]
    n_strangers: int

    def superposed(
        self, partials: Int[np.ndarray, " partial"], levels: Levels
    ) -> Float[np.ndarray, "context frame channel"]:
        """The sum of what the stage says to each partial alone: exact where it is linear."""
        weights = levels.amplitudes / AMPLITUDE
        return np.asarray(
            self.quiet
            + np.einsum("np,ptc->ntc", weights * np.cos(levels.phases), self.cosines[partials])
            + np.einsum("np,ptc->ntc", weights * np.sin(levels.phases), self.sines[partials])
        )

    def among_strangers(
        self, partials: Int[np.ndarray, " partial"], levels: Levels, rng: np.random.Generator
    ) -> Float[np.ndarray, "context frame channel"]:
        """What each partial adds in any company, and what was left over in a context of strangers.

        Left over is drawn from whole contexts, scaled to as many partials.
        """
        n_frames = self.left.shape[1]
        design = _design(self.tones_hz, self.stage, n_frames, partials, levels)
        drawn = self.left[rng.integers(0, len(self.left), len(levels.logs))]
        return np.asarray(design @ self.added + drawn * np.sqrt(len(partials) / self.n_strangers))

    def foretold(
        self, partials: Int[np.ndarray, " partial"], n_contexts: int, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, " partial"], Float[np.ndarray, " partial"]]:
        """Decodability in sums of tones, and among strangers, the mean of a few draws."""
        f_hz, told = self.tones_hz[partials], []
        for _ in range(_N_SIMULATED):
            levels = Levels.drawn(n_contexts, len(partials), rng)
            told.append(
                [
                    decodable(values, self.stage, f_hz, levels.logs)
                    for values in (
                        self.superposed(partials, levels),
                        self.among_strangers(partials, levels, rng),
                    )
                ]
            )
        superposed, strangers = np.mean(told, axis=0)
        return superposed, strangers


def fit_tones(
    model: AudioModel,
    stages: Sequence[Stage],
    tones_hz: Float[np.ndarray, " tone"],
    n_samples: int,
    rng: np.random.Generator,
    n_contexts: int = 384,
    n_strangers: int = 6,
) -> dict[str, ToneModel]:
    """Play every tone alone at two phases, and contexts of tones drawn at random.

    No signal whose partials are to be foretold is looked at. The fit is by ridge regression, the
    same design for every channel.

    Args:
        model: The model.
        stages: Where.
        tones_hz: The grid.
        n_samples: Length of every sound.
        rng: Draws contexts.
        n_contexts: Of tones drawn at random.
        n_strangers: Tones of each.
    """
    one = Levels(np.zeros((len(tones_hz), 1)), np.zeros((len(tones_hz), 1)))
    turned = Levels(one.logs, one.phases + np.pi / 2)
    cosines, sines = (
        heard_in_chunks(model, stages, each.sound(tones_hz[:, None], model.sample_rate, n_samples))
        for each in (one, turned)
    )
    n_strangers = min(n_strangers, len(tones_hz))
    silence = heard_in_chunks(model, stages, np.zeros((1, n_samples), np.float32))
    drawn = np.stack([rng.permutation(len(tones_hz))[:n_strangers] for _ in range(n_contexts)])
    levels = Levels.drawn(n_contexts, n_strangers, rng)
    sound = levels.sound(tones_hz[drawn], model.sample_rate, n_samples)
    heard = heard_in_chunks(model, stages, sound)
    found = {}
    for stage in stages:
        name, values = stage.address, heard[stage.address]
        design = _design(tones_hz, stage, values.shape[1], drawn, levels)
        added = _ridge(design, values)
        left = values - design @ added
        quiet = silence[name][0]
        found[name] = ToneModel(
            stage, tones_hz, cosines[name] - quiet, sines[name] - quiet, quiet, added, left,
            n_strangers,
        )  # fmt: skip
    return found


def _design(
    tones_hz: Float[np.ndarray, " tone"],
    stage: Stage,
    n_frames: int,
    partials: Int[np.ndarray, "*context partial"],
    levels: Levels,
) -> Float[np.ndarray, "context frame coefficient"]:
    """Columns: cosine of each tone at the frames' rate, its sine, its level; and a constant."""
    n, n_tones = len(levels.logs), len(tones_hz)
    which = np.broadcast_to(partials, levels.logs.shape)
    turning = 2 * np.pi * np.arange(n_frames) / stage.rate_hz
    angle = tones_hz[which][:, None] * turning[:, None] + levels.phases[:, None]
    amplitude = levels.amplitudes[:, None]
    design = np.zeros((n, n_frames, 3 * n_tones + 1))
    rows = np.arange(n)[:, None, None], np.arange(n_frames)[None, :, None]
    for part, values in enumerate(
        (amplitude * np.cos(angle), amplitude * np.sin(angle), amplitude * np.ones_like(angle))
    ):
        design[(*rows, part * n_tones + which[:, None])] = values
    design[..., -1] = 1.0
    return design


def _ridge(
    design: Float[np.ndarray, "context frame coefficient"],
    values: Float[np.ndarray, "context frame channel"],
) -> Float[np.ndarray, "coefficient channel"]:
    x = design.reshape(-1, design.shape[-1])
    gram = x.T @ x
    gram += _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.asarray(np.linalg.solve(gram, x.T @ values.reshape(-1, values.shape[-1])))
