"""Sounds of a unit: the one it prefers, and what it hears of another (METHODS B-10)."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.stages import Stage
from auscult.models.base import AudioModel
from auscult.taps.capture import capture

_RMS = 0.1


def preferred_sound(
    model: AudioModel, stage: Stage, channel: int, n_samples: int, seed: int, n_steps: int = 24
) -> tuple[Float[np.ndarray, " time"], float]:
    """The sound of -20 dB re full scale that moves a unit most, by ascending its gradient.

    What is raised is the energy of the unit's motion, Σ (r[t] − mean)². Each step takes the
    gradient itself, brought to the level, half mixed with the sound before: for a linear unit this
    is power iteration and ends at the frequency of its highest gain.

    Args:
        model: The model.
        stage: Where the unit is.
        channel: Which unit.
        n_samples: Length of the sound.
        seed: Of the noise that it begins from.
        n_steps: Steps of ascent.

    Returns:
        The sound; and the unit's energy for it over that for the noise at the same level, in dB.

    Raises:
        NothingToMeasureError: The unit does not depend on the sound.
    """
    noise = named_rng(seed, "preferred", stage.address, channel).standard_normal(n_samples)
    sound = _at_level(torch.from_numpy(noise.astype(np.float32)))
    began = None
    for _ in range(n_steps):
        energy, slope = _energy(model, stage, channel, sound)
        began = energy if began is None else began
        if not float(slope.norm()) > 0:
            raise NothingToMeasureError(f"unit {channel} of {stage.address} hears nothing")
        sound = _at_level(0.5 * sound + 0.5 * _at_level(slope))
    energy, _ = _energy(model, stage, channel, sound)
    gain = 10 * np.log10(max(energy, 1e-300) / max(began or 0.0, 1e-300))
    return sound.numpy(), float(gain)


def _at_level(sound: Tensor) -> Tensor:
    return sound * (_RMS / sound.square().mean().sqrt().clamp_min(1e-20))


def _energy(model: AudioModel, stage: Stage, channel: int, sound: Tensor) -> tuple[float, Tensor]:
    """Energy of a unit's motion over its steady frames, and its slope."""
    frames = stage.time.frames_within(0, len(sound))
    with torch.enable_grad():
        own = sound.detach().clone().requires_grad_(True)
        batch = own[None, None].expand(-1, model.n_channels, -1)
        with capture(model, [stage.address], stop=True, detach=False) as captured:
            model.forward(batch.contiguous())
        values = captured[stage.address].values[0, :, channel]
        if len(frames) > 1:
            values = values[frames.start : frames.stop]
        moved = (values - values.mean()).square().sum()
        (slope,) = torch.autograd.grad(moved, own)
    return float(moved.detach()), slope


def heard_of(
    waveform: Float[np.ndarray, " time"],
    sample_rate: int,
    filter_taps: Float[np.ndarray, " tap"],
    activity: Float[np.ndarray, " frame"],
    frame_s: Float[np.ndarray, " frame"],
) -> Float[np.ndarray, " time"]:
    """What a unit hears of a sound: its band, as loud as the unit is active (masked resynthesis).

    The sound through the magnitude of the unit's linearised filter, with zero phase, times the
    unit's activity between its least and greatest.

    Args:
        waveform: The sound.
        sample_rate: In Hz.
        filter_taps: The unit's effective filter.
        activity: |r − mean| of the unit at each frame.
        frame_s: Centre of each frame in seconds.
    """
    n = len(waveform)
    gain = np.abs(np.fft.rfft(filter_taps, max(n, len(filter_taps))))
    places = np.linspace(0, len(gain) - 1, n // 2 + 1)
    gain = np.interp(places, np.arange(len(gain)), gain)
    band = np.fft.irfft(np.fft.rfft(waveform) * gain / max(float(gain.max()), 1e-20), n)
    span = float(np.ptp(activity))
    share = (activity - activity.min()) / span if span > 0 else np.zeros_like(activity)
    envelope = np.interp((np.arange(n) + 0.5) / sample_rate, frame_s, share)
    return np.asarray(band * envelope)
