"""How response vectors move: roughness, turning, recurrence, linear steps (METHODS A-19, A-21)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex, Float

from auscult.core.errors import ConfigError
from auscult.measures.geometry import unit_rows

# Anonymous: paths of one list differ in length, and beartype looks at a random one of them.
Trajectory = Float[np.ndarray, "_ d"]


def moving(
    generators: Float[np.ndarray, "n d"], share_of_rms: float = 1e-6
) -> tuple[Bool[np.ndarray, " n"], float]:
    """Generators that are not standstill, and the root mean square of all norms (METHODS A-9).

    Divide by the second answer to normalise; report one minus the mean of the first. With constant
    input all generators are rounding errors or zeros: compare the norm with that of real sounds.
    """
    norms = np.linalg.norm(generators, axis=1).astype(np.float64)
    rms = float(np.sqrt(np.mean(np.square(norms)))) if len(norms) else 0.0
    return (norms > 0) & (norms >= share_of_rms * rms), rms


def roughness(trajectories: Sequence[Trajectory]) -> float:
    """Path roughness Σ‖g[t+1] − g[t]‖² / Σ‖g[t]‖² over clips (METHODS A-19).

    0 for uniform motion, 2 for independent generators, 3 for independent states, 4 for a path that
    turns back at each step. NaN for standstill.
    """
    change = energy = 0.0
    for trajectory in trajectories:
        g = np.diff(trajectory.astype(np.float64), axis=0)
        change += float(np.square(np.diff(g, axis=0)).sum())
        energy += float(np.square(g).sum())
    return change / energy if energy > 0 else float("nan")


def turning_angles_deg(trajectory: Trajectory) -> Float[np.ndarray, " n"]:
    """Angle between successive generators, 0 straight on, 180 back; standstill left out (A-19)."""
    cosines = _successive_cosines(trajectory, 1)
    return np.asarray(np.degrees(np.arccos(np.clip(cosines, -1, 1))))


def generator_autocorrelation(trajectories: Sequence[Trajectory], lag: int = 1) -> float:
    """Coherence of motion E[cos(g[t], g[t + lag])], -1 to 1 (METHODS A-14); NaN for standstill.

    Bias: neighbouring frames share input samples; with independent input samples and stride 1 a
    linear layer reaches what its filters' autocorrelation says. Read against white noise.
    """
    if lag < 1:
        raise ConfigError(f"a lag of {lag} compares nothing; give at least 1")
    cosines = np.concatenate([_successive_cosines(t, lag) for t in trajectories])
    return float(cosines.mean()) if len(cosines) else float("nan")


def _successive_cosines(trajectory: Trajectory, lag: int) -> Float[np.ndarray, " n"]:
    unit = unit_rows(np.diff(trajectory.astype(np.float64), axis=0))
    if len(unit) <= lag:
        return np.zeros(0)
    a, b = unit[:-lag], unit[lag:]
    moved = np.any(a != 0, axis=1) & np.any(b != 0, axis=1)
    return np.asarray(np.sum(a[moved] * b[moved], axis=1))


def recurrence_rate(
    trajectory: Trajectory, radius_share: float = 0.1, apart: int = 1, n_most: int = 3000
) -> float:
    """Share of pairs of frames that lie close together (METHODS A-19), 0 to 1.

    Args:
        trajectory: Of one clip; longer ones are cut after ``n_most`` frames.
        radius_share: Close means within this share of the root mean square distance of all pairs.
        apart: Frames less than this apart do not count as a return.
        n_most: Largest number of frames.
    """
    x = trajectory[:n_most].astype(np.float64)
    if len(x) <= apart:
        return float("nan")
    x = x - x.mean(axis=0)
    norms = np.square(x).sum(axis=1)
    squared = norms[:, None] + norms - 2 * x @ x.T
    rows, columns = np.triu_indices(len(x), apart)
    limit = radius_share**2 * 2 * float(norms.mean())
    return float(np.mean(squared[rows, columns] <= limit)) if limit > 0 else float("nan")


@dataclass(frozen=True)
class Plane:
    """Principal plane of pooled vectors, for plotting paths on common axes (METHODS A-19).

    Attributes:
        mean: Of the pooled vectors.
        axes: Two orthonormal directions, signed so that each one's largest entry is positive.
    """

    mean: Float[np.ndarray, " d"]
    axes: Float[np.ndarray, "2 d"]

    def project(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n 2"]:
        """Coordinates in the plane."""
        return np.asarray((x - self.mean) @ self.axes.T)

    def variance_share(self, x: Float[np.ndarray, "n d"]) -> float:
        """Share of the variance of some vectors that the plane shows, 0 to 1; NaN for one point."""
        total = float(np.square(x - x.mean(axis=0)).sum())
        shown = self.project(x)
        shown = shown - shown.mean(axis=0)
        return float(np.square(shown).sum()) / total if total > 0 else float("nan")


def principal_plane(x: Float[np.ndarray, "n d"]) -> Plane:
    """Fit the plane of greatest variance: on real sounds, then use it for all (METHODS A-19)."""
    mean = x.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(np.cov((x - mean).T))
    axes = axes[:, :-3:-1].T
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    return Plane(mean, axes * signs[:, None])


@dataclass(frozen=True)
class LinearStep:
    """A linear map from a state to the state some frames later (METHODS A-21 ii).

    Attributes:
        weights: The map; ``x @ weights + bias`` is the prediction.
        bias: Added to it.
    """

    weights: Float[np.ndarray, "d_in d_out"]
    bias: Float[np.ndarray, " d_out"]

    def predict(self, x: Float[np.ndarray, "n d_in"]) -> Float[np.ndarray, "n d_out"]:
        """Predict the targets of some states."""
        return np.asarray(x @ self.weights + self.bias)


def fit_linear(
    x: Float[np.ndarray, "n d_in"], y: Float[np.ndarray, "n d_out"], ridge: float = 1e-8
) -> LinearStep:
    """Least squares with a little ridge, a share of the mean variance (METHODS A-17, A-21)."""
    mean_x, mean_y = x.mean(axis=0, dtype=np.float64), y.mean(axis=0, dtype=np.float64)
    a, b = x - mean_x, y - mean_y
    gram = a.T @ a
    gram[np.diag_indices_from(gram)] += ridge * max(float(np.trace(gram)) / len(gram), 1e-300)
    weights = np.linalg.solve(gram, a.T @ b)
    return LinearStep(weights, mean_y - mean_x @ weights)


def r_squared(
    y: Float[np.ndarray, "n d"], predicted: Float[np.ndarray, "n d"], mean: Float[np.ndarray, " d"]
) -> float:
    """One minus squared error over squared distance from the training mean; at most 1.

    0 is as good as the mean, below 0 worse.
    """
    total = float(np.square(y - mean).sum())
    return 1 - float(np.square(y - predicted).sum()) / total if total > 0 else float("nan")


def dmd_spectrum(
    trajectories: Sequence[Trajectory], rank: int | None = None
) -> Complex[np.ndarray, " rank"]:
    """Eigenvalues of the best linear step, largest first (METHODS A-21; exact DMD, Tu et al. 2014).

    The absolute value is the growth per frame, the angle times the frame rate over 2π the frequency
    in Hz. Each clip loses its own mean. Bias: noise pulls the eigenvalues inwards.

    Args:
        trajectories: One per clip; steps do not cross clips.
        rank: Principal directions to keep; those with 99.99 % of the variance when None.
    """
    centred = [t - t.mean(axis=0, dtype=np.float64) for t in trajectories if len(t) > 1]
    if not centred:
        raise ConfigError("a dynamic mode needs a trajectory of at least two frames")
    before = np.concatenate([t[:-1] for t in centred]).T
    after = np.concatenate([t[1:] for t in centred]).T
    left, size, right = np.linalg.svd(before, full_matrices=False)
    power = np.cumsum(np.square(size))
    kept = int(np.searchsorted(power, 0.9999 * power[-1])) + 1 if rank is None else rank
    kept = min(kept, int(np.sum(size > 1e-12 * size[0])) if size[0] > 0 else 0)
    step = left[:, :kept].T @ after @ right[:kept].T / size[:kept]
    values = np.linalg.eigvals(step)
    return np.asarray(values[np.argsort(-np.abs(values), kind="stable")], dtype=np.complex128)


def principal_axes(x: Float[np.ndarray, "n d"], most: int) -> Float[np.ndarray, "d rank"]:
    """Directions of greatest variance as columns, all where there are no more than ``most``."""
    if x.shape[1] <= most:
        return np.eye(x.shape[1])
    _, axes = np.linalg.eigh(np.cov(x.T.astype(np.float64)))
    return np.ascontiguousarray(axes[:, ::-1][:, :most])
