"""What the template of a concept study is filled with, from the model at hand."""

import json
from collections.abc import Sequence

import torch

from auscult.core.errors import TapError, UnknownNameError
from auscult.models.base import AudioModel
from auscult.taps.capture import run_capture
from auscult.taps.point import resolve

TIMES_WIDER = (4, 16, 32)
"""Widths of dictionaries over that of the vectors; published were 4 to 256."""
PENALTIES = (0.005, 0.05, 0.15)
"""Published penalties, 0.005 to 0.15."""
_LIKELY = ("latent", "latent.q")


def concept_values(model: AudioModel, preset: str, taps: Sequence[str]) -> dict[str, str]:
    """Taps and the grid of dictionaries of a concept study of a model.

    Args:
        model: Its latents are studied, before and after its quantiser where it has one.
        preset: ``sound``: the penalty on what a probe reads; ``published``: before the norm.
        taps: Addresses to study instead.

    Raises:
        TapError: The model has no latents and no tap was given.
    """
    addresses = tuple(taps) or tuple(tap for tap in _LIKELY if _is_there(model, tap))
    if not addresses:
        raise TapError("this model has no tap 'latent'; say where to listen with --tap ADDRESS")
    d_in = _width(model, addresses[0])
    return {
        "TAPS": ", ".join(json.dumps(tap) for tap in addresses),
        "WIDTHS": ", ".join(str(times * d_in) for times in TIMES_WIDER),
        "PENALTIES": ", ".join(str(penalty) for penalty in PENALTIES),
        "PENALTY_ON": '"h"' if preset == "published" else '"f"',
    }


def _is_there(model: AudioModel, tap: str) -> bool:
    try:
        return bool(resolve(model, [tap]))
    except (TapError, UnknownNameError):
        return False


def _width(model: AudioModel, tap: str) -> int:
    address = resolve(model, [tap])[0].address
    n_samples = max(model.probe_samples, model.sample_rate)
    sound = torch.zeros(1, model.n_channels, n_samples)
    return run_capture(model, sound, [address])[address].d_in
