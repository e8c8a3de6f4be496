"""Where a first-layer study listens: the first convolution, before and after its nonlinearity."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from auscult.models.base import AudioModel
from auscult.models.stimulus import harmonic_noise
from auscult.models.survey import Firing, survey
from auscult.models.weights import first_conv

_LINEAR = (nn.Conv1d, nn.Conv2d, nn.Linear)
_IDLE = (nn.Identity, nn.Dropout, nn.Dropout1d)


@dataclass(frozen=True)
class FirstLayerTaps:
    """Addresses around the first convolution.

    Attributes:
        pre: Of the convolution, or of the batch norm directly behind it.
        post: Behind the nonlinearity, or "" where none acts on the convolution's own output.
        n_frames: Frames from a filter's window to the next one that shares no sample with it.
    """

    pre: str
    post: str
    n_frames: int


def first_layer_taps(model: AudioModel) -> FirstLayerTaps:
    """Find the taps of a first-layer study (METHODS A-0).

    The nonlinearity is the module that gets the convolution's output and keeps its shape; where
    none does, it may be a function, and what the next module of that shape gets is its result.

    Raises:
        TapError: The model has no convolution on the waveform.
    """
    found = first_conv(model)
    path = found.norm_path or found.path
    n_samples = model.probe_samples or model.sample_rate
    sound = harmonic_noise(model.sample_rate, model.n_channels, n_samples)
    fired = survey(model.module, lambda: model.forward(sound))
    said = next(firing for firing in fired if firing.path == path)
    # A container that ends with the convolution hands on the same tensor.
    same = [
        f for f in fired if f"{path}.".startswith(f"{f.path}.") and f.out_shape == said.out_shape
    ]
    paths = {firing.path for firing in same}
    behind = [f for f in fired[fired.index(said) + 1 :] if f.leaf and f.n_calls == 1]
    roles = {tap.path: tap.role for tap in model.taps() if tap.role}
    pre = next((roles[p] for p in sorted(paths, key=len, reverse=True) if p in roles), path)
    conv: Any = found.conv
    reach = max((k - 1) * d + 1 for k, d in zip(conv.kernel_size, conv.dilation, strict=True))
    n_frames = -(-reach // max(conv.stride))
    return FirstLayerTaps(pre, _behind(model, paths, said, behind, roles), n_frames)


def _behind(
    model: AudioModel, paths: set[str], said: Firing, behind: list[Firing], roles: dict[str, str]
) -> str:
    modules = dict(model.module.named_modules())
    for firing in behind:
        keeps = firing.in_shape == firing.out_shape == said.out_shape
        if firing.fed_by not in paths or not keeps:
            continue
        if isinstance(modules[firing.path], _IDLE):
            paths.add(firing.path)
        elif not isinstance(modules[firing.path], _LINEAR):
            return roles.get(firing.path) or firing.path
    for firing in behind:
        if firing.fed_by is None and firing.in_shape == said.out_shape:
            return f"{firing.path}:in"
    return ""
