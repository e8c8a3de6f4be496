"""Two partials at once: do their lines meet, and do channels still part them (METHODS B-2)?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex, Float, Int, Shaped

from auscult.core.errors import NothingToMeasureError
from auscult.measures.folding import cosines, folded_hz
from auscult.measures.stages import Stage
from auscult.measures.tone_sweep import (
    FEWEST_FRAMES,
    Lines,
    clip_samples,
    peaks,
    steady_frames,
    steady_responses,
)
from auscult.models.base import AudioModel

_PHASES = 2 * np.pi * np.arange(4) / 4
"""Of the second partial: four of them part what follows its phase from what does not."""

_RMS = 0.05
"""Of each partial: together they are as loud as the tones of a sweep, -20 dB re full scale."""

_LOBE = 2


@dataclass(frozen=True)
class PairsHeard:
    """Configurations: a pair of partials at a stage.

    Attributes:
        pair: Row of the pair.
        stage: Row of the stage.
        foretold: Whether their folds lie closer than f_s / R, by arithmetic.
        wrong: The same with the frame rate of another stage.
        met: Whether their strongest lines, each in the other's company, lie closer than that.
        cosine: |cos| of their channel patterns, each in the other's company.
        cosine_alone: The same of each partial played alone.
        kept: |cos| of a partial's pattern alone and in company, mean of both: 1 for a linear
            network.
    """

    pair: Int[np.ndarray, " n"]
    stage: Int[np.ndarray, " n"]
    foretold: Bool[np.ndarray, " n"]
    wrong: Bool[np.ndarray, " n"]
    met: Bool[np.ndarray, " n"]
    cosine: Float[np.ndarray, " n"]
    cosine_alone: Float[np.ndarray, " n"]
    kept: Float[np.ndarray, " n"]

    def lost(self, least_cosine: float) -> Bool[np.ndarray, " n"]:
        """Whether lines meet and channels do not part them: a true loss of identity."""
        return self.met & (self.cosine > least_cosine)


def draw_pairs(
    tones_hz: Float[np.ndarray, " tone"],
    stages: Sequence[Stage],
    n: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, "pair 2"]:
    """Pairs of tones of a grid: half of them meet at the last stage by arithmetic, half do not.

    Pairs are drawn among those whose lines stay clear of 0 Hz and of half the frame rate there.
    """
    last = stages[-1]
    folds = folded_hz(tones_hz, last.rate_hz)
    clear = np.flatnonzero(
        (folds > last.resolution_hz / 2) & (folds < last.nyquist_hz - last.resolution_hz / 2)
    )
    first, second = np.triu_indices(len(clear), 1)
    both = np.stack([clear[first], clear[second]], 1)
    meet = np.abs(folds[both[:, 0]] - folds[both[:, 1]]) < last.resolution_hz
    kinds = [both[meet], both[~meet]]
    drawn = [kind[rng.permutation(len(kind))[: (n + i) // 2]] for i, kind in enumerate(kinds)]
    return np.sort(np.concatenate(drawn), 1)


def hear_pairs(
    model: AudioModel,
    stages: Sequence[Stage],
    tones_hz: Float[np.ndarray, " tone"],
    pairs: Int[np.ndarray, "pair 2"],
    alone: Mapping[str, Lines],
    n_frames: int = 48,
    advance: Callable[[float], None] | None = None,
) -> PairsHeard:
    """Play pairs of tones at four phases of the second, and part what follows each.

    What a stage says is averaged over the phases as it is, which leaves what follows the first
    partial, and turned back by each phase, which leaves what follows the second. So each keeps a
    line and a pattern of its own even where both lie on one line; in a linear network they are
    those of the partial alone.

    Args:
        model: The model.
        stages: Where to listen, all in one pass; those with too few frames are left out.
        tones_hz: The grid.
        pairs: Rows of it.
        alone: What every tone of the grid leaves at every stage when played alone.
        n_frames: Frames of the slowest stage that hear nothing of a sound's ends.
        advance: Is told which share of the pairs is done.

    Raises:
        NothingToMeasureError: No stage has enough frames, or there are no pairs.
    """
    n_samples = clip_samples(model, stages, n_frames)
    kept = [
        (place, stage)
        for place, stage in enumerate(stages)
        if len(steady_frames(stage.time, n_samples)) >= FEWEST_FRAMES and stage.address in alone
    ]
    if not kept or not len(pairs):
        raise NothingToMeasureError("there is no pair of tones, or no stage has enough frames")
    rows: dict[str, list[float]] = {name: [] for name in PairsHeard.__dataclass_fields__}
    for number, pair in enumerate(pairs):
        f_hz = tones_hz[pair]
        sound = _waves(f_hz, model.sample_rate, n_samples)
        heard = steady_responses(model, [s for _, s in kept], sound)
        for place, stage in kept:
            before = alone[stage.address].amplitudes[pair]
            told = _told(heard[stage.address], stage, f_hz, before)
            other = stages[(place + 1) % len(stages)]
            foretold = [_meet(f_hz, s.rate_hz, stage.resolution_hz) for s in (stage, other)]
            for name, value in zip(rows, (number, place, *foretold, *told), strict=True):
                rows[name].append(value)
        if advance is not None:
            advance((number + 1) / len(pairs))
    kinds: dict[str, type] = {"pair": np.int64, "stage": np.int64}
    kinds |= dict.fromkeys(("foretold", "wrong", "met"), np.bool_)
    return PairsHeard(**{k: np.array(v, dtype=kinds.get(k, np.float64)) for k, v in rows.items()})


def _told(
    values: Float[np.ndarray, "phase frame channel"],
    stage: Stage,
    f_hz: Float[np.ndarray, " 2"],
    before: Complex[np.ndarray, "2 channel"],
) -> tuple[bool, float, float, float]:
    """Whether lines meet; likeness of both patterns, of both alone, and of each with itself."""
    met, patterns = _parted(values, stage, f_hz)
    kept = [cosines(np.stack(two))[0] for two in zip(patterns, before, strict=True)]
    return met, float(cosines(patterns)[0]), float(cosines(before)[0]), float(np.mean(kept))


def agreement(foretold: Shaped[np.ndarray, " n"], observed: Shaped[np.ndarray, " n"]) -> float:
    """Balanced accuracy: mean of the shares foretold right among those that are and are not.

    0.5 for a foretelling that knows nothing, 1 for a perfect one; NaN where all are of one kind.

    >>> agreement(np.array([True, True, False]), np.array([True, False, False]))
    0.75
    """
    if observed.all() or not observed.any():
        return float("nan")
    return float((foretold[observed].mean() + (~foretold[~observed]).mean()) / 2)


def _meet(f_hz: Float[np.ndarray, " 2"], rate_hz: float, resolution_hz: float) -> bool:
    return bool(abs(np.diff(folded_hz(f_hz, rate_hz))[0]) < resolution_hz)


def _waves(
    f_hz: Float[np.ndarray, " 2"], sample_rate: int, n_samples: int
) -> Float[np.ndarray, "phase time"]:
    turning = 2 * np.pi * f_hz[:, None] * np.arange(n_samples) / sample_rate
    sound = np.sin(turning[0]) + np.sin(turning[1] + _PHASES[:, None])
    return np.asarray(np.sqrt(2) * _RMS * sound, dtype=np.float32)


def _parted(
    values: Float[np.ndarray, "phase frame channel"], stage: Stage, f_hz: Float[np.ndarray, " 2"]
) -> tuple[bool, Complex[np.ndarray, "2 channel"]]:
    """Whether the lines of both partials meet, and the pattern of each over channels."""
    n = values.shape[1]
    window = np.hanning(n + 2)[1:-1]
    moving = (values - values.mean(1, keepdims=True)) * window[:, None]
    turns = [np.ones(len(_PHASES)), np.exp(-1j * _direction(f_hz[1], stage.rate_hz) * _PHASES)]
    places = folded_hz(f_hz, stage.rate_hz) / stage.rate_hz
    lines, patterns = [], []
    for turn, place in zip(turns, places, strict=True):
        own = np.tensordot(turn, moving, 1) / len(_PHASES)
        power = np.square(np.abs(np.fft.fft(own, axis=0)[: n // 2 + 1])).sum(1)
        power[:_LOBE] = 0.0
        lines.append(float(peaks(power[None])[0]) * stage.rate_hz / n)
        patterns.append(np.exp(-2j * np.pi * place * np.arange(n)) @ own)
    return bool(abs(lines[0] - lines[1]) < stage.resolution_hz), np.stack(patterns)


def _direction(f_hz: float, rate_hz: float) -> float:
    """1 where a tone is folded an even number of times, -1 where its line turns backwards."""
    return 1.0 if f_hz % rate_hz <= rate_hz / 2 else -1.0
