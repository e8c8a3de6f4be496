"""What the first-layer template is filled with, from the model at hand."""

import json
from collections.abc import Sequence

from auscult.analyses.base import ANALYSES
from auscult.models.base import AudioModel
from auscult.taps.first_layer import first_layer_taps
from auscult.taps.point import resolve
from auscult.taps.probe import time_base

PRESETS = ("sound", "published")
_ANALYSES = (
    "filters",
    "responses",
    "features",
    "fragments",
    "onsets",
    "narrow-band",
    "archetypes",
    "transitions",
    "stability",
    "usage",
    "sufficiency",
    "weights-control",
    "data-control",
    "alignment",
    "state-dependence",
    "locality",
    "trajectories",
    "mixtures",
    "reuse",
    "next-state",
)
_FEATURES = {
    "sound": 'type = "topk"\nn_features = 64\nk = 4',
    "published": 'type = "relu"\nn_features = 64\nl1_weight = 0.03',
}
_ARCHETYPES = {
    "sound": 'type = "topk"\nn_features = 128\nk = 4\nsigned = true',
    "published": 'type = "relu"\nn_features = 128\nl1_weight = 0.03',
}


def first_layer_values(model: AudioModel, preset: str, taps: Sequence[str]) -> dict[str, str]:
    """Taps, lags, lengths and dictionaries of a first-layer study of a model.

    Args:
        model: Its first convolution gives taps and K; with ``taps`` their time bases do.
        preset: ``sound`` or ``published`` (one lag, one-sided L1 dictionaries).
        taps: Addresses to study instead of the first convolution's.

    Raises:
        TapError: The model has no convolution on the waveform, or a tap does not exist.
    """
    if taps:
        addresses = tuple(taps)
        times = [time_base(model, tap.point) for tap in resolve(model, taps)]
        reach = max(2, min(64, round(max(float(t.span / t.hop) for t in times))))
    else:
        found = first_layer_taps(model)
        addresses = tuple(tap for tap in (found.pre, found.post) if tap)
        reach = found.n_frames
    lags = [1] if preset == "published" else sorted({1, max(2, reach), max(4, 2 * reach)})
    run = max(128, 1 << (2 * max(lags)).bit_length())
    return {
        "TAPS": ", ".join(json.dumps(tap) for tap in addresses),
        "SECONDS": str(clip_seconds(model)),
        "FRAMES": str(max(4096, run)),
        "RUN": str(run),
        "FEATURES": _FEATURES[preset],
        "ARCHETYPES": "\n".join(_archetypes(lag, preset) for lag in lags),
        "ANALYSES": "\n".join(_analysis(name, preset) for name in _ANALYSES),
    }


def _archetypes(lag: int, preset: str) -> str:
    """One dictionary of generators; what is asked at longer lags needs few seeds."""
    name = "archetypes" if lag == 1 else f"archetypes lag={lag}"
    lines = ["[[dictionaries]]", f'name = "{name}"', 'of = "generators"', f"lag = {lag}"]
    if lag > 1:
        lines.append("n_seeds = 2")
    return "\n".join([*lines, _ARCHETYPES[preset], ""])


def clip_seconds(model: AudioModel) -> float:
    """What the model takes at once where that is sound enough to split, else two seconds."""
    seconds = model.probe_samples / model.sample_rate
    return round(seconds, 5) if seconds >= 1 else 2.0


def _analysis(name: str, preset: str) -> str:
    read_two_ways = "reading" in ANALYSES.get(name).Params.model_fields
    reading = f'reading = "{preset}"\n' if read_two_ways else ""
    return f'\n[[analyses]]\ntype = "{name}"\n{reading}'.rstrip()
