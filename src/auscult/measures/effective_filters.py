"""The filter that a unit of any depth is, around a sound: its gradient (METHODS B-3)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Num

from auscult.core.errors import NothingToMeasureError, TapError
from auscult.measures.spectra import bandwidth_hz, dominant_frequency_hz
from auscult.measures.stages import Stage
from auscult.models.base import AudioModel
from auscult.taps.capture import capture

_LONGEST = 1 << 17


def reference_samples(model: AudioModel, stage: Stage) -> int:
    """Length of a sound around whose middle a unit's filter is taken, at least an eighth second.

    Codecs cut what they hear to whole frames of their latents: a shorter sound may be cut to none.
    """
    if model.probe_samples:
        return model.probe_samples
    reach = float(stage.time.span) * (1 if stage.bounded else 2) + 4 * float(stage.time.hop)
    return max(int(np.ceil(reach)) + 1, model.sample_rate // 8)


def effective_filters(
    model: AudioModel,
    stage: Stage,
    references: Float[np.ndarray, "reference time"],
    channels: Int[np.ndarray, " channel"],
) -> Float[np.ndarray, "reference channel tap"]:
    """How each of some units weighs the samples it hears, linearised at each reference.

    The gradient of one frame in the middle of the clip. A linear network has the same filter at
    every reference; elsewhere the filter holds for small changes of that sound. Several input
    channels are summed: the sound is mono and heard by all. Behind a recurrence the filter is cut
    to twice the span of the convolutions.

    Raises:
        NothingToMeasureError: The clip has no frame that hears nothing of its ends, or no unit
            depends on the sound.
    """
    n_samples = references.shape[1]
    inside = stage.time.frames_within(0, n_samples)
    frames = inside if len(inside) else stage.time.frames_of(0, n_samples)
    if not len(frames) or stage.time.global_:
        raise NothingToMeasureError(f"no frame of {stage.address} lies within the clip")
    frame = frames[len(frames) // 2]
    sound = torch.from_numpy(references.astype(np.float32))[:, None]
    sound = sound.expand(-1, model.n_channels, -1).contiguous().requires_grad_(True)
    with torch.enable_grad():
        with capture(model, [stage.address], stop=True, detach=False) as captured:
            model.forward(sound)
        values = captured[stage.address].values
        if frame >= values.shape[1] or not values.requires_grad:
            raise NothingToMeasureError(f"{stage.address} does not depend smoothly on the sound")
        gradients = []
        for channel in channels.tolist():
            total = values[:, frame, channel].sum()
            (slope,) = torch.autograd.grad(total, sound, retain_graph=True)
            gradients.append(slope.sum(1).double().numpy())
    heard = stage.time.samples(frame)
    start = heard.start if stage.bounded else heard.stop - 2 * len(heard)
    kept = slice(max(0, start), min(n_samples, heard.stop))
    filters: np.ndarray = np.stack(gradients, 1)[..., kept]
    return filters


def loudest(
    waveform: Float[np.ndarray, " time"], n_samples: int
) -> Float[np.ndarray, " {n_samples}"]:
    """The loudest stretch of a sound; a shorter sound amid zeros."""
    if len(waveform) <= n_samples:
        lead = (n_samples - len(waveform)) // 2
        return np.pad(waveform, (lead, n_samples - len(waveform) - lead))
    energy = np.cumsum(np.square(waveform, dtype=np.float64))
    start = int(np.argmax(energy[n_samples - 1 :] - np.concatenate([[0.0], energy[:-n_samples]])))
    return waveform[start : start + n_samples]


@dataclass(frozen=True)
class Selectivity:
    """How narrow filters are; NaN for filters of zeros.

    Attributes:
        centre_hz: Frequency of the highest gain.
        lobe_hz: Width at -3 dB of the lobe around it. Bias: of a spectrum of many peaks this is
            the width of one of them, about the bound, however wide the whole is.
        noise_hz: Equivalent noise bandwidth: ∫ |W|² df / max |W|² over positive frequencies (both
            sides of a peak at 0 Hz or at half the rate, where the lobe is folded onto itself): the
            width of a rectangle that passes as much noise.
    """

    centre_hz: Float[np.ndarray, " n"]
    lobe_hz: Float[np.ndarray, " n"]
    noise_hz: Float[np.ndarray, " n"]

    @property
    def q(self) -> Float[np.ndarray, " n"]:
        """Centre over equivalent noise bandwidth."""
        return np.asarray(self.centre_hz / self.noise_hz)


def selectivity(filters: Float[np.ndarray, "n tap"], sample_rate: int) -> Selectivity:
    """Measure filters: centre, lobe and equivalent noise bandwidth (METHODS B-3)."""
    n_fft = _points(filters.shape[1])
    gain = np.square(np.abs(np.fft.rfft(filters, n_fft, axis=1)))
    peak = gain.max(1)
    reach, place = n_fft // filters.shape[1] // 2, gain.argmax(1)
    folded = (place <= reach) | (place >= gain.shape[1] - 1 - reach)
    sides = np.where(folded, 2.0, 1.0)
    # Half of the first and the last bin lies beyond 0 Hz and half the rate.
    total = (gain.sum(1) - (gain[:, 0] + gain[:, -1]) / 2) * sample_rate / n_fft
    noise = np.divide(total, peak, out=np.full(len(peak), np.nan), where=peak > 0)
    return Selectivity(
        np.where(peak > 0, dominant_frequency_hz(filters, sample_rate, n_fft), np.nan),
        bandwidth_hz(filters, sample_rate, n_fft=n_fft),
        noise * sides,
    )


def _points(n_taps: int) -> int:
    """Points of a transform that resolve a filter eightfold."""
    return min(1 << (8 * n_taps - 1).bit_length(), max(_LONGEST, 1 << (n_taps - 1).bit_length()))


def hann_sines(n_taps: int, n: int) -> Float[np.ndarray, "n tap"]:
    """Hann-windowed sines as long as a span: as narrow as filters of that length are made.

    Equivalent noise bandwidth 1.5 f_s / K, lobe 1.44 f_s / K: the positive control.

    Raises:
        TapError: The span is too short for a sine.
    """
    if n_taps < 4:
        raise TapError(f"a span of {n_taps} samples holds no windowed sine")
    places = np.linspace(0.2, 0.8, n) * 0.5
    window = np.hanning(n_taps + 2)[1:-1]
    return np.asarray(window * np.cos(2 * np.pi * places[:, None] * np.arange(n_taps)))


def tone_bandwidth_hz(
    tones_hz: Float[np.ndarray, " tone"], gain: Num[np.ndarray, "tone channel"]
) -> Float[np.ndarray, " channel"]:
    """Equivalent noise bandwidth of responses to stepped tones of an even grid (METHODS B-3).

    Bias: no less than the grid's step.
    """
    power = np.square(np.abs(gain))
    peak = power.max(0)
    total = power.sum(0) * float(np.mean(np.diff(tones_hz)))
    return np.asarray(np.divide(total, peak, out=np.full(len(peak), np.nan), where=peak > 0))
