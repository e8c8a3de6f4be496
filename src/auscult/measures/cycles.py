"""Equal shapes at other phases, gains and in other company: do paths repeat? (METHODS A-21 iii)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from auscult.measures.geometry import unit_rows
from auscult.measures.reuse import path_distance
from auscult.measures.statistics import auc

N_CYCLES = 3
_HARMONICS = 8
_MOST_OTHERS = 3  # pairs of different shapes for each pair of one


@dataclass(frozen=True)
class CycleSounds:
    """Sounds in whose middle one of several shapes is repeated.

    Attributes:
        waves: Sounds.
        shape: Which shape each holds.
        start: First sample of the shape.
        stop: Sample after its last.
    """

    waves: Float[np.ndarray, "sound time"]
    shape: Int[np.ndarray, " sound"]
    start: int
    stop: int


def cycle_sounds(
    period: int, around: int, rng: np.random.Generator, n_shapes: int = 8, n_variants: int = 5
) -> CycleSounds:
    """Three cycles of a shape, at a random phase and gain, before and after other shapes.

    A shape is a sum of eight harmonics of random amplitude and phase; all have one period, so that
    nothing but the shape tells them apart.

    Args:
        period: Of a cycle, in samples.
        around: Samples of other shapes on both sides.
        rng: Draws shapes, phases, gains and company.
        n_shapes: Different shapes.
        n_variants: Sounds with each of them.
    """
    orders = np.arange(1, min(_HARMONICS, period // 4) + 1)
    size = (2 * n_shapes, len(orders))
    weights = rng.uniform(0, 1, size) / orders * np.exp(2j * np.pi * rng.random(size))
    weights = weights / np.linalg.norm(weights, axis=1, keepdims=True)

    def drawn(shape: int, n_samples: int) -> np.ndarray:
        t = np.arange(n_samples) + rng.uniform(0, period)
        turns = np.exp(2j * np.pi * orders[:, None] * t / period)
        return np.asarray((weights[shape] @ turns).real)

    waves, which = [], []
    for shape in range(n_shapes):
        for _ in range(n_variants):
            before, after = rng.integers(n_shapes, 2 * n_shapes, 2).tolist()
            gain = 0.1 * 10 ** (rng.uniform(-9, 9) / 20)
            parts = [drawn(before, around), drawn(shape, N_CYCLES * period)]
            waves.append(gain * np.concatenate([*parts, drawn(after, around)]))
            which.append(shape)
    sounds = np.stack(waves).astype(np.float32)
    return CycleSounds(sounds, np.array(which), around, around + N_CYCLES * period)


def path_retrieval(
    paths: Float[np.ndarray, "sound frame d"], shape: Int[np.ndarray, " sound"], most: int = 48
) -> tuple[float, Float[np.ndarray, " same"], Float[np.ndarray, " other"]]:
    """How well the distance between paths tells equal shapes from others (METHODS A-21 iii).

    Paths are centred on the mean of all, scaled to equal size and compared by dynamic time warping.

    Args:
        paths: One per sound.
        shape: The shape that each sound holds.
        most: Frames kept of each path, evenly spaced.

    Returns:
        Probability that two paths of one shape are nearer than two of different shapes, 0.5 by
        chance; distances of pairs of one shape, and of different ones.
    """
    rows = np.linspace(0, paths.shape[1] - 1, min(most, paths.shape[1])).round().astype(np.int64)
    kept = paths[:, rows].astype(np.float64)
    kept -= kept.mean(axis=(0, 1))
    flat = unit_rows(kept.reshape(len(kept), -1)) * np.sqrt(len(rows))
    scaled = flat.reshape(kept.shape)
    first, second = np.triu_indices(len(scaled), 1)
    alike = shape[first] == shape[second]
    same, other = np.flatnonzero(alike), np.flatnonzero(~alike)
    fewer = np.linspace(0, len(other) - 1, min(len(other), _MOST_OTHERS * len(same)))
    near, far = (
        np.array([path_distance(scaled[first[k]], scaled[second[k]]) for k in pairs])
        for pairs in (same, other[fewer.round().astype(np.int64)])
    )
    return auc(far, near), near, far
