"""One sound three ways, and a wave as the sum of its partials (Post 0, Figs. 1 and 2)."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

_FLOOR = 1e-5
"""-100 dB re full scale: what is quieter counts as silence."""


@dataclass(frozen=True)
class PartialSum:
    """A stretch of sound and its strongest spectral lines.

    Attributes:
        f_hz: Frequency of each line, the strongest first.
        waves: Each line as a wave over the stretch.
        wave: The stretch, under its window.
        captured: Share of the energy that the first 1, 2, … lines rebuild together.
    """

    f_hz: Float[np.ndarray, " partial"]
    waves: Float[np.ndarray, "partial time"]
    wave: Float[np.ndarray, " time"]
    captured: Float[np.ndarray, " partial"]


def partial_sum(
    stretch: Float[np.ndarray, " time"], sample_rate: int, n_partials: int
) -> PartialSum:
    """Take the strongest lines out of a stretch, one after another (matching pursuit on sines).

    Each is the sine, of the frequency of the highest bin of the eightfold padded transform, that
    leaves the least energy; bins are ``sample_rate / (8 n)`` apart.
    """
    n = len(stretch)
    window = np.hanning(n + 2)[1:-1]
    wave = stretch.astype(np.float64) * window
    left, total = wave.copy(), max(float(np.sum(wave**2)), 1e-30)
    t = np.arange(n) / sample_rate
    f_hz, waves, captured = [], [], []
    for _ in range(n_partials):
        spectrum = np.abs(np.fft.rfft(left * window, 8 * n))
        hz = float(spectrum.argmax()) * sample_rate / (8 * n)
        basis = np.stack([np.cos(2 * np.pi * hz * t), np.sin(2 * np.pi * hz * t)]) * window
        weights = np.linalg.lstsq(basis.T, left, rcond=None)[0]
        made = weights @ basis
        left = left - made
        f_hz.append(hz)
        waves.append(made)
        captured.append(1 - float(np.sum(left**2)) / total)
    return PartialSum(np.array(f_hz), np.stack(waves), wave, np.array(captured))


def spectrogram_db(
    waveform: Float[np.ndarray, " time"], sample_rate: int, n_bands: int = 48, window: int = 1024
) -> tuple[
    Float[np.ndarray, "band frame"], Float[np.ndarray, " band"], Float[np.ndarray, " frame"]
]:
    """Levels in bands even in octaves, in dB re full scale, not below -100 dB.

    Returns:
        Levels; centres of the bands in Hz; centres of the frames in seconds.
    """
    hop = window // 2
    padded = np.pad(waveform, (0, max(0, window - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) * (4 / window)
    hz = np.fft.rfftfreq(window, 1 / sample_rate)
    edges = np.geomspace(2.5 * sample_rate / window, sample_rate / 2, n_bands + 1)
    centres = np.sqrt(edges[1:] * edges[:-1])
    bands = np.stack([np.interp(centre, hz, np.arange(len(hz))) for centre in centres])
    low = np.floor(bands).astype(int)
    inside = [np.flatnonzero((hz >= a) & (hz < b)) for a, b in pairwise(edges)]
    levels = np.stack(
        [
            np.sqrt(np.mean(spectrum[:, rows if len(rows) else [place]] ** 2, axis=1))
            for rows, place in zip(inside, low, strict=True)
        ]
    )
    times = (np.arange(len(frames)) * hop + window / 2) / sample_rate
    return 20 * np.log10(np.maximum(levels, _FLOOR)), centres, times


def read_from(
    features: Float[np.ndarray, "frame d"],
    target: Float[np.ndarray, "frame band"],
    held_out: Bool[np.ndarray, " frame"],
) -> float:
    """Held-out share of a target's variance that a ridge readout of features explains, from 0."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fitted = make_pipeline(StandardScaler(), RidgeCV(np.geomspace(1e-1, 1e5, 13)))
    fitted.fit(features[~held_out], target[~held_out])
    left = np.square(target[held_out] - fitted.predict(features[held_out])).sum()
    total = np.square(target[held_out] - target[~held_out].mean(0)).sum()
    return max(0.0, 1 - float(left / total)) if total > 0 else float("nan")


def pooled_levels(
    values: Float[np.ndarray, "frame channel"],
    frame_s: Float[np.ndarray, " frame"],
    times_s: Float[np.ndarray, " time"],
    reach_s: float,
) -> Float[np.ndarray, "time channel"]:
    """Log root mean square of every channel around each time; zero where no frame is near."""
    pooled = np.zeros((len(times_s), values.shape[1]))
    for row, at in enumerate(times_s.tolist()):
        near = np.abs(frame_s - at) <= reach_s
        if not near.any():
            near = np.abs(frame_s - at) == np.abs(frame_s - at).min()
        pooled[row] = np.log(np.sqrt(np.mean(np.square(values[near]), axis=0)) + 1e-6)
    return pooled
