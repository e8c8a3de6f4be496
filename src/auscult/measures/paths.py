"""How smooth the paths of response vectors are, together, and against a sine (METHODS A-19)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from auscult.core.errors import NothingToMeasureError
from auscult.core.timebase import TimeBase
from auscult.measures.dynamics import (
    Plane,
    Trajectory,
    principal_plane,
    recurrence_rate,
    roughness,
    turning_angles_deg,
)
from auscult.measures.statistics import bootstrap_interval

TURNING_EDGES_DEG = np.linspace(0, 180, 37)
FEWEST_FRAMES = 16
_SILENT = 1e-6


@dataclass(frozen=True)
class Stretch:
    """A stretch of a clip at a known level, with what stands around it.

    So that a layer hears no edge within the stretch.

    Attributes:
        piece: The stretch and its surroundings.
        piece_start: First sample of the piece within the clip.
        start: First sample of the stretch within the clip.
        stop: The sample after its last one.
    """

    piece: Float[np.ndarray, " time"]
    piece_start: int
    start: int
    stop: int


def loudest_stretch(
    waveform: Float[np.ndarray, " time"], n_samples: int, margin: int, level_db: float
) -> Stretch | None:
    """Cut out the loudest stretch and bring it to a level; None where there is only silence.

    Args:
        waveform: Of a clip.
        n_samples: Length of the stretch; the whole clip if it is shorter.
        margin: Samples to leave on each side, where there are so many.
        level_db: Root-mean-square level of the stretch, dB re full scale.
    """
    length = min(n_samples, len(waveform))
    if not length:
        return None
    power = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    starts = np.arange(0, len(waveform) - length + 1, max(1, length // 4))
    start = int(starts[np.argmax(power[starts + length] - power[starts])])
    rms = float(np.sqrt((power[start + length] - power[start]) / length))
    if not rms > _SILENT:
        return None
    first, last = max(0, start - margin), min(len(waveform), start + length + margin)
    piece = waveform[first:last] * (10 ** (level_db / 20) / rms)
    return Stretch(piece.astype(np.float32), first, start, start + length)


@dataclass(frozen=True)
class Path:
    """Response vectors to a stretch.

    Attributes:
        values: Frame by frame.
        times_s: Centre of each frame in seconds of the clip.
    """

    values: Float[np.ndarray, "frame d"]
    times_s: Float[np.ndarray, " frame"]


def path_within(
    values: Float[np.ndarray, "all_frames d"], time: TimeBase, stretch: Stretch
) -> Path:
    """Keep the frames whose centres lie in the stretch and that hear no edge of the piece.

    Where every frame hears an edge, because the layer hears so much, all of the stretch is kept.

    Args:
        values: Responses to the stretch's piece.
        time: Of the layer.
        stretch: What was heard.

    Raises:
        NothingToMeasureError: There are fewer than ``FEWEST_FRAMES``.
    """
    place = np.arange(len(values))
    centres = float(time.offset) + float(time.hop) * place + stretch.piece_start
    kept = (centres >= stretch.start) & (centres < stretch.stop)
    inside = time.frames_within(0, len(stretch.piece))
    whole = kept & (place >= inside.start) & (place < inside.stop)
    kept = whole if whole.sum() >= FEWEST_FRAMES else kept
    if kept.sum() < FEWEST_FRAMES:
        raise NothingToMeasureError(
            f"{int(kept.sum())} frames of a clip are too few for a path; make clips longer"
        )
    return Path(values[kept], (centres[kept] + 0.5) / time.sample_rate)


@dataclass(frozen=True)
class PathMeasures:
    """What several paths of one kind of input have in common; NaN for paths that stand still.

    Attributes:
        n_frames: Of all paths.
        roughness: Σ‖g[t+1] − g[t]‖² / Σ‖g[t]‖² over all paths, 0 to 4.
        turning_deg: Median angle between successive generators.
        recurrence: Share of pairs of frames that lie close together, mean over paths.
        plane_share: Share of the variance that the plane shows.
        by_path: Roughness of each path.
        energy: Σ‖g[t]‖² of each path: their weights in the common roughness.
        turning_shares: Share of angles in each bin of ``TURNING_EDGES_DEG``.
    """

    n_frames: int
    roughness: float
    turning_deg: float
    recurrence: float
    plane_share: float
    by_path: Float[np.ndarray, " path"]
    energy: Float[np.ndarray, " path"]
    turning_shares: Float[np.ndarray, " bin"]

    @property
    def step_power(self) -> float:
        """Mean squared length of a step."""
        return float(self.energy.sum()) / max(self.n_frames - len(self.energy), 1)

    def resampled(self, rows: np.ndarray) -> float:
        """Roughness over some of the paths, some of them several times."""
        known = rows[np.isfinite(self.by_path[rows])]
        weight = float(self.energy[known].sum())
        total = float(self.by_path[known] @ self.energy[known])
        return total / weight if weight > 0 else float("nan")


def measure_paths(
    paths: Sequence[Trajectory], plane: Plane, apart: int, still_power: float = 0.0
) -> PathMeasures:
    """Measure paths together.

    Args:
        paths: One per stretch of sound, frame by frame.
        plane: The common axes.
        apart: Frames nearer than this do not count as a return: neighbours share samples.
        still_power: A mean squared step at or below this is rounding: the paths stand still.
    """
    paths = [fitted_width(path) for path in paths]
    energy = np.array([np.square(np.diff(path.astype(np.float64), axis=0)).sum() for path in paths])
    n_frames = sum(len(path) for path in paths)
    if energy.sum() <= still_power * max(n_frames - len(paths), 1):
        nan = float("nan")
        empty = np.zeros(len(TURNING_EDGES_DEG) - 1)
        by_path = np.full(len(paths), nan)
        return PathMeasures(n_frames, nan, nan, nan, nan, by_path, energy, empty)
    angles = np.concatenate([turning_angles_deg(path) for path in paths])
    returns = np.array([recurrence_rate(path, apart=apart, n_most=2000) for path in paths])
    returns = returns[np.isfinite(returns)]
    counts = np.histogram(angles, TURNING_EDGES_DEG)[0]
    return PathMeasures(
        n_frames,
        roughness(paths),
        float(np.median(angles)) if len(angles) else float("nan"),
        float(returns.mean()) if len(returns) else float("nan"),
        plane.variance_share(np.concatenate(paths)),
        np.array([roughness([path]) for path in paths]),
        energy,
        counts / max(counts.sum(), 1),
    )


def smoother_than(
    own: tuple[PathMeasures, PathMeasures],
    nulls: Sequence[tuple[PathMeasures, PathMeasures]],
    recording_ids: Shaped[np.ndarray, " path"],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """95 % bootstrap interval of how much rougher paths are than in the smoothest null.

    Roughness is relative to that of a reference in the same condition; below 0 the paths are
    smoother. The paths of all conditions are resampled together, for they are of the same sounds.

    Args:
        own: The paths, and their reference.
        nulls: The same stretches under other conditions, each with its reference.
        recording_ids: Recording of each path.
        rng: Draws recordings.
    """

    def gap(rows: np.ndarray) -> float:
        relative = [one.resampled(rows) / other.roughness for one, other in (own, *nulls)]
        return relative[0] - min(relative[1:])

    return bootstrap_interval(gap, recording_ids, rng)


def fitted_width(path: Trajectory) -> Float[np.ndarray, "frame width"]:
    """A path of width 1 lies in a plane as well: its second coordinate is 0."""
    return path if path.shape[1] > 1 else np.hstack([path, np.zeros_like(path)])


def common_plane(paths: Sequence[Trajectory], n_most: int = 20_000) -> Plane:
    """Principal plane of the pooled frames of several paths, of some of them if there are many."""
    pooled = np.concatenate([fitted_width(path) for path in paths])
    rows = np.linspace(0, len(pooled) - 1, min(n_most, len(pooled))).astype(np.int64)
    return principal_plane(pooled[rows].astype(np.float64))


def sine_roughness(frequency_hz: float, hop_s: float) -> float:
    """Roughness of a sine's path through a linear layer, 2 − 2 cos(2π f h).

    Every coordinate of the path, and so of its generators, is a sine of that frequency; from one
    frame to the next a sine of phase advance θ changes by |e^{iθ} − 1|² = 2 − 2 cos θ of its power.

    >>> sine_roughness(0.0, 1e-3), round(sine_roughness(500.0, 1e-3), 9)
    (0.0, 4.0)
    """
    return float(2 - 2 * np.cos(2 * np.pi * frequency_hz * hop_s))


def equivalent_sine_hz(rough: float, hop_s: float) -> float:
    """Frequency of the sine that is as rough in a linear layer, up to half the frame rate.

    NaN for what is no roughness.

    >>> round(equivalent_sine_hz(sine_roughness(440.0, 1e-4), 1e-4), 6)
    440.0
    """
    if not 0 <= rough <= 4:
        return float("nan")
    return float(np.arccos(1 - rough / 2) / (2 * np.pi * hop_s))
