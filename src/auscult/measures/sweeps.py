"""Sounds of which one parameter is swept: the stimuli of psychophysics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from auscult.core.errors import ConfigError

Render = Callable[[float, np.random.Generator, int, int], Float[np.ndarray, " time"]]

_F0_HZ = 220.0
_LEVEL = 0.1  # root mean square: -20 dB re full scale
_FADE_S = 0.01


@dataclass(frozen=True)
class Sweep:
    """One parameter, from where it is least to where it is most.

    Attributes:
        name: Of the parameter.
        unit: Of its values.
        low: First value.
        high: Last value.
        log: Whether steps are equal ratios.
        render: Makes a sound of a value; the phases of its partials are drawn.
    """

    name: str
    unit: str
    low: float
    high: float
    log: bool
    render: Render

    def steps(self, n: int) -> Float[np.ndarray, " step"]:
        """Values, the first one being the reference of thresholds."""
        if self.log:
            return np.geomspace(self.low, self.high, n)
        return np.linspace(self.low, self.high, n)


def _stack(
    hz: Float[np.ndarray, " partial"],
    amplitudes: Float[np.ndarray, " partial"],
    rng: np.random.Generator,
    n_samples: int,
    sample_rate: int,
) -> Float[np.ndarray, " time"]:
    """Partials below 0.45 of the rate with drawn phases, at -20 dB, faded in and out."""
    kept = hz < 0.45 * sample_rate
    t = np.arange(n_samples) / sample_rate
    phases = rng.uniform(0, 2 * np.pi, len(hz))[kept]
    tone = amplitudes[kept] @ np.sin(2 * np.pi * hz[kept][:, None] * t + phases[:, None])
    return _levelled(tone, sample_rate)


def _levelled(tone: Float[np.ndarray, " time"], sample_rate: int) -> Float[np.ndarray, " time"]:
    edge = min(max(1, round(_FADE_S * sample_rate)), len(tone) // 2)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    tone = tone * _LEVEL / max(float(np.sqrt(np.mean(np.square(tone)))), 1e-12)
    tone[:edge] *= ramp
    tone[len(tone) - edge :] *= ramp[::-1]
    return np.asarray(tone)


def _harmonics(f0_hz: float, n: int = 16) -> Float[np.ndarray, " partial"]:
    return f0_hz * np.arange(1, n + 1)


def _pitch(value: float, rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    return _stack(_harmonics(value), 1 / np.arange(1, 17), rng, n, rate)


def _level(value: float, rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    return np.asarray(_pitch(_F0_HZ, rng, n, rate) * 10 ** ((value + 20) / 20))


def _centroid(value: float, rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Harmonics under a bell two octaves wide whose middle is the value."""
    hz = _harmonics(_F0_HZ, 40)
    return _stack(hz, np.exp(-0.5 * np.square(np.log2(hz / value) / 0.8)), rng, n, rate)


def _attack(value: float, rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    tone = _pitch(_F0_HZ, rng, n, rate)
    return np.asarray(tone * np.clip(np.arange(n) / max(1.0, value * rate), 0, 1))


def _inharmonicity(value: float, rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    h = np.arange(1, 17)
    hz = _F0_HZ * h * np.sqrt((1 + value * h**2) / (1 + value))
    return _stack(hz, 1 / h, rng, n, rate)


def _am(value: float, rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    t = np.arange(n) / rate
    swing = 1 + 0.8 * np.sin(2 * np.pi * value * t + rng.uniform(0, 2 * np.pi))
    return _levelled(_pitch(_F0_HZ, rng, n, rate) * swing, rate)


def _fm(value: float, rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """A vibrato of a semitone up and down."""
    t = np.arange(n) / rate
    depth = 2 ** (1 / 12) - 1
    phase = (
        2
        * np.pi
        * _F0_HZ
        * (
            t
            - depth
            * np.cos(2 * np.pi * value * t + rng.uniform(0, 2 * np.pi))
            / (2 * np.pi * value)
        )
    )
    h = np.arange(1, 17)[:, None]
    tone = (1 / h[:, 0]) @ np.sin(h * phase + rng.uniform(0, 2 * np.pi, (16, 1)))
    return _levelled(tone, rate)


SWEEPS: Mapping[str, Sweep] = {
    one.name: one
    for one in (
        Sweep("pitch", "Hz", 80.0, 1600.0, True, _pitch),
        Sweep("level", "dB re full scale", -50.0, -10.0, False, _level),
        Sweep("centroid", "Hz", 300.0, 4000.0, True, _centroid),
        Sweep("attack", "s", 0.005, 0.3, True, _attack),
        Sweep("inharmonicity", "", 1e-5, 1e-2, True, _inharmonicity),
        Sweep("AM rate", "Hz", 2.0, 64.0, True, _am),
        Sweep("FM rate", "Hz", 2.0, 64.0, True, _fm),
    )
}
"""Every sweep by its name; what is not swept is a stack of 16 harmonics of 220 Hz at -20 dB."""


def sweep_sounds(
    sweep: Sweep,
    n_steps: int,
    n_repeats: int,
    seconds: float,
    sample_rate: int,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, "step repeat time"]]:
    """Values and sounds; repeats of a step differ in the phases of their partials.

    Raises:
        ConfigError: The sounds would be shorter than 50 ms.
    """
    n_samples = round(seconds * sample_rate)
    if seconds < 0.05:
        raise ConfigError(f"sounds of {seconds} s are too short to sweep anything")
    steps = sweep.steps(n_steps)
    sounds = [
        [sweep.render(float(value), rng, n_samples, sample_rate) for _ in range(n_repeats)]
        for value in steps
    ]
    return steps, np.array(sounds)
