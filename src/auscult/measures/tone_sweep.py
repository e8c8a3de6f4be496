"""Steady tones through a model: on which line each lands at every stage (METHODS B-2, B-3)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float, Int

from auscult.core.errors import NothingToMeasureError
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.measures.folding import folded_hz
from auscult.measures.stages import Stage
from auscult.models.base import AudioModel
from auscult.taps.capture import capture

FEWEST_FRAMES = 12
_LOBE = 2
"""Half-width, in bins, of the main lobe of a Hann window."""

_HARMONICS = range(2, 10)
_CHUNK_S = 6.0
"""Seconds of sound that run at once: more would only fill the memory."""


@dataclass(frozen=True)
class Lines:
    """What steady tones become at one stage.

    Energies are summed over channels, without what stands still.

    Attributes:
        predicted_hz: a(f), where the stride must put each tone.
        peak_hz: The strongest line; NaN where all stands still.
        bin_hz: Distance of the lines that the observation could resolve.
        amplitudes: Complex amplitude of every channel at the predicted line.
        shift: How far the mean of every channel moves from its value in silence.
        energy: Of all that moves.
        at_fold: Share of the energy at the predicted line, 0 to 1.
        at_harmonics: Share at the folds of the tone's 2nd to 9th harmonics that lie elsewhere.
    """

    predicted_hz: Float[np.ndarray, " tone"]
    peak_hz: Float[np.ndarray, " tone"]
    bin_hz: float
    amplitudes: Complex[np.ndarray, "tone channel"]
    shift: Float[np.ndarray, "tone channel"]
    energy: Float[np.ndarray, " tone"]
    at_fold: Float[np.ndarray, " tone"]
    at_harmonics: Float[np.ndarray, " tone"]


def clip_samples(model: AudioModel, stages: Sequence[Stage], n_frames: int) -> int:
    """Length of a tone that gives every stage so many frames that hear nothing but the tone.

    Raises:
        NothingToMeasureError: There are no stages.
    """
    if not stages:
        raise NothingToMeasureError("the model has no stage with a place in time")
    if model.probe_samples:
        return model.probe_samples
    return max(math.ceil(s.time.span + n_frames * s.time.hop) for s in stages)


def tone_waves(
    tones_hz: Float[np.ndarray, " tone"], sample_rate: int, n_samples: int, rms: float = 0.1
) -> Float[np.ndarray, "tone time"]:
    """Sines of -20 dB re full scale."""
    phase = 2 * np.pi * tones_hz[:, None] * np.arange(n_samples) / sample_rate
    return np.asarray(rms * np.sqrt(2) * np.sin(phase), dtype=np.float32)


def sweep(
    model: AudioModel,
    stages: Sequence[Stage],
    tones_hz: Float[np.ndarray, " tone"],
    n_frames: int = 48,
    advance: Callable[[float], None] | None = None,
) -> dict[str, Lines]:
    """Play tones one at a time and find the lines they become at every stage.

    Stages that see too few frames of so long a tone are left out. Bias: a line within two bins of
    0 Hz cannot be told from what stands still.

    Args:
        model: The model.
        stages: Where to listen, all in one pass.
        tones_hz: Below half of the model's rate.
        n_frames: Frames of the slowest stage that hear the tone alone.
        advance: Is told which share of the tones is done.

    Raises:
        NothingToMeasureError: No stage has enough frames.
    """
    n_samples = clip_samples(model, stages, n_frames)
    steady = {stage.address: steady_frames(stage.time, n_samples) for stage in stages}
    stages = [s for s in stages if len(steady[s.address]) >= FEWEST_FRAMES]
    if not stages:
        raise NothingToMeasureError(
            f"a clip of {n_samples} samples has fewer than {FEWEST_FRAMES} frames at every stage"
        )
    waves = tone_waves(tones_hz, model.sample_rate, n_samples)
    silence = np.zeros((1, n_samples), np.float32)
    chunk = max(1, int(_CHUNK_S * model.sample_rate / n_samples))
    quiet = _heard(model, stages, silence, steady)
    found: dict[str, list[Lines]] = {stage.address: [] for stage in stages}
    for start in range(0, len(waves), chunk):
        some = slice(start, start + chunk)
        heard = _heard(model, stages, waves[some], steady)
        for stage in stages:
            rest = quiet[stage.address].mean(1)[0]
            found[stage.address].append(
                lines_of(heard[stage.address], tones_hz[some], stage.rate_hz, rest)
            )
        if advance is not None:
            advance(min(1.0, (start + chunk) / len(waves)))
    return {address: _joined(parts) for address, parts in found.items()}


def steady_responses(
    model: AudioModel, stages: Sequence[Stage], waves: Float[np.ndarray, "sound time"]
) -> dict[str, Float[np.ndarray, "sound frame channel"]]:
    """What every stage says to sounds, in the frames that hear nothing of their ends."""
    steady = {stage.address: steady_frames(stage.time, waves.shape[1]) for stage in stages}
    return _heard(model, stages, waves, steady)


def clear_tones(
    stages: Sequence[Stage],
    wanted_hz: Float[np.ndarray, " tone"],
    sample_rate: int,
    n_samples: int,
) -> Float[np.ndarray, " tone"]:
    """Tones near those wanted whose lines are clear of 0 Hz and local Nyquist at every stage.

    Each is raised in steps of 0.3 % until they do; one that never does within 30 % stays as it is.
    """
    return np.array([_clear(stages, hz, sample_rate, n_samples) for hz in wanted_hz.tolist()])


def _clear(stages: Sequence[Stage], hz: float, sample_rate: int, n_samples: int) -> float:
    for step in range(100):
        tried = hz * (1 + 0.003 * step)
        if tried >= 0.49 * sample_rate:
            break
        if all(_is_clear(stage, tried, n_samples) for stage in stages):
            return tried
    return hz


def _is_clear(stage: Stage, hz: float, n_samples: int) -> bool:
    n = len(steady_frames(stage.time, n_samples))
    if n < FEWEST_FRAMES:
        return True
    place = float(folded_hz(np.array([hz]), stage.rate_hz)[0]) * n / stage.rate_hz
    return bool(2 * _LOBE <= place <= n / 2 - 2 * _LOBE)


def steady_frames(time: TimeBase, n_samples: int) -> range:
    """Frames that hear nothing of the clip's ends; behind a recurrence the later half of them."""
    inside = time.frames_within(0, n_samples)
    if time.unbounded_past and not time.global_:
        return inside[len(inside) // 4 :]
    return inside


def heard_frames(
    values: Float[np.ndarray, " frame"], stage: Stage, rms: float = 0.1
) -> Float[np.ndarray, " time"] | None:
    """Up to a second of one channel as a sound: frames joined by a band-limited line.

    At the sound's own rate and the level of a tone; None where nothing moves.
    """
    from scipy.signal import resample

    level = float(np.sqrt(np.mean(np.square(values))))
    if level <= 0 or len(values) < 2:
        return None
    values = values[: int(stage.rate_hz) + 1] * (rms / level)
    return np.asarray(resample(values, round(len(values) * float(stage.time.hop))), np.float32)


def _heard(
    model: AudioModel,
    stages: Sequence[Stage],
    waves: Float[np.ndarray, "tone time"],
    steady: dict[str, range],
) -> dict[str, Float[np.ndarray, "tone frame channel"]]:
    """Response vectors of the steady frames at every stage, from one pass."""
    heard: dict[str, np.ndarray] = {}

    def keep(address: str, responses: Responses) -> None:
        frames = steady[address]
        # A network may give fewer frames than its time base has room for.
        stop = min(frames.stop, responses.values.shape[1])
        heard[address] = responses.values[:, frames.start : stop].double().numpy()

    batch = torch.from_numpy(waves)[:, None].expand(-1, model.n_channels, -1).contiguous()
    addresses = [stage.address for stage in stages]
    with torch.no_grad(), capture(model, addresses, stop=True, on_fire=keep):
        model.forward(batch)
    return heard


def lines_of(
    values: Float[np.ndarray, "tone frame channel"],
    tones_hz: Float[np.ndarray, " tone"],
    rate_hz: float,
    rest: Float[np.ndarray, " channel"],
) -> Lines:
    """Find the lines in what a stage says to tones.

    Args:
        values: Steady frames.
        tones_hz: Of the sounds.
        rate_hz: Frames per second.
        rest: What every channel says in silence.
    """
    n = values.shape[1]
    window = np.hanning(n + 2)[1:-1]
    means = values.mean(1)
    moving = values - means[:, None]
    spectrum = np.fft.rfft(moving * window[:, None], axis=1)
    power = np.square(np.abs(spectrum)).sum(2)
    power[:, :_LOBE] = 0.0
    bins = np.arange(power.shape[1])
    predicted = folded_hz(tones_hz, rate_hz)
    places = predicted * n / rate_hz
    total = power.sum(1)
    own = _near_lines(bins, places[:, None], n)
    folds = np.stack([folded_hz(h * tones_hz, rate_hz) for h in _HARMONICS], 1) * n / rate_hz
    others = _near_lines(bins, folds, n) & ~own
    turning = np.exp(-2j * np.pi * places[:, None] * np.arange(n) / n) * window
    amplitudes = np.einsum("tn,tnc->tc", turning, moving) * (2 / window.sum())
    return Lines(
        predicted,
        peaks(power) * rate_hz / n,
        rate_hz / n,
        amplitudes,
        means - rest,
        total,
        _share(power, own, total),
        _share(power, others, total),
    )


def _near_lines(
    bins: Int[np.ndarray, " f"], places: Float[np.ndarray, "tone line"], n: int
) -> np.ndarray:
    """Bins within a main lobe of some line, also around 0 Hz and half the rate."""
    distance = np.abs(bins - places[..., None])
    mirrored = np.abs(n - bins - places[..., None])
    near = np.minimum(distance, mirrored) <= _LOBE
    return np.asarray(near.any(1))


def _share(power: np.ndarray, where: np.ndarray, total: np.ndarray) -> np.ndarray:
    inside = np.where(where, power, 0.0).sum(1)
    return np.asarray(np.divide(inside, total, out=np.full(len(total), np.nan), where=total > 0))


def peaks(power: Float[np.ndarray, "tone f"]) -> Float[np.ndarray, " tone"]:
    """Place of the strongest line in bins, refined by a parabola through three logarithms."""
    places = np.full(len(power), np.nan)
    for row, spectrum in enumerate(power):
        i = int(spectrum.argmax())
        if spectrum[i] <= 0:
            continue
        places[row] = i
        if 0 < i < len(spectrum) - 1 and spectrum[i - 1] > 0 and spectrum[i + 1] > 0:
            before, here, after = np.log(spectrum[i - 1 : i + 2])
            bend = before - 2 * here + after
            places[row] += 0.5 * (before - after) / bend if bend < 0 else 0.0
    return places


def _joined(parts: list[Lines]) -> Lines:
    def of(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    names = ("predicted_hz", "peak_hz", "amplitudes", "shift", "energy", "at_fold", "at_harmonics")
    arrays = {name: of(name) for name in names}
    return Lines(bin_hz=parts[0].bin_hz, **arrays)
