"""Weights as they act: norms divided out, batch norms folded in.

Checkpoints read strictly, nothing unpickled.
"""

import hashlib
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from auscult.core.errors import CheckpointError, TapError
from auscult.core.rng import seed_of
from auscult.models.base import AudioModel
from auscult.models.stimulus import harmonic_noise
from auscult.models.survey import Firing, survey

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class FirstConv:
    """The convolution that meets the waveform.

    Attributes:
        path: Its module path.
        conv: The convolution.
        norm: The batch normalisation directly after it, or None.
        norm_path: Module path of that normalisation, or "".
    """

    path: str
    conv: nn.Module
    norm: nn.Module | None = None
    norm_path: str = ""


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over the names, shapes and contents of every tensor of a network."""
    told = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        told.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        told.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return told.hexdigest()


def effective_weight(module: nn.Module) -> Float[Tensor, "d_out d_in kernel"]:
    """The filters that a convolution over time applies, whichever way they are stored.

    Weight normalisation stores a direction v and a gain g and applies w = g · v / ‖v‖ (METHODS
    1.2). As a parametrisation ``module.weight`` already is w; the older style keeps ``weight_g``
    and ``weight_v`` and refreshes ``weight`` only when the module runs, so it is computed here. A
    two-dimensional convolution with one singleton axis, and a linear layer (a kernel of length
    one), are read as one-dimensional.

    Raises:
        TapError: The module has no weight of such a shape.
    """
    if hasattr(module, "weight_g") and hasattr(module, "weight_v"):
        old: Any = module
        gain, direction = old.weight_g, old.weight_v
        axes = [axis for axis in range(direction.ndim) if gain.shape[axis] == 1]
        weight = gain * direction / torch.linalg.vector_norm(direction, dim=axes, keepdim=True)
    else:
        weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim not in (2, 3, 4):
        raise TapError(f"a {type(module).__name__} has no filters over time")
    weight = weight.detach()
    if weight.ndim == 4:
        singleton = next((axis for axis in (3, 2) if weight.shape[axis] == 1), None)
        if singleton is None:
            shape = tuple(weight.shape[2:])
            raise TapError(f"a kernel of {shape} runs over two axes and is no filter over time")
        weight = weight.squeeze(singleton)
    if weight.ndim == 2:
        weight = weight[..., None]
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
        weight = weight.transpose(0, 1)
    return weight.contiguous()


@torch.no_grad()
def set_effective_weight(module: nn.Module, weight: Float[Tensor, "d_out d_in kernel"]) -> None:
    """Make a convolution apply these filters: the inverse of :func:`effective_weight`.

    Raises:
        TapError: The module has no filters of this shape.
    """
    present = effective_weight(module)
    if present.shape != weight.shape or isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
        raise TapError(
            f"filters of the shape {list(weight.shape)} do not fit a {type(module).__name__} with "
            f"{list(present.shape)}"
        )
    layer: Any = module
    if hasattr(layer, "weight_g") and hasattr(layer, "weight_v"):
        gain, direction = layer.weight_g, layer.weight_v
        direction.copy_(weight.reshape(direction.shape))
        axes = [axis for axis in range(direction.ndim) if gain.shape[axis] == 1]
        gain.copy_(torch.linalg.vector_norm(direction, dim=axes, keepdim=True))
    elif parametrize.is_parametrized(module, "weight"):
        layer.weight = weight.reshape(layer.weight.shape).to(layer.weight.dtype)
    else:
        layer.weight.copy_(weight.reshape(layer.weight.shape))


def folded_conv(
    conv: nn.Module, norm: nn.Module
) -> tuple[Float[Tensor, "d_out d_in kernel"], Float[Tensor, " d_out"]]:
    """Fold the batch normalisation directly after a convolution into its filters and bias.

    norm(w ∗ x + b) = (γ / √(σ² + ε)) · (w ∗ x) + β + (γ / √(σ² + ε)) · (b − μ)

    Raises:
        TapError: The norm keeps no statistics or has another number of channels.
    """
    weight = effective_weight(conv)
    mean, variance = getattr(norm, "running_mean", None), getattr(norm, "running_var", None)
    if mean is None or variance is None or len(mean) != len(weight):
        raise TapError(f"{norm} cannot be folded into a convolution of {len(weight)} channels")
    eps = float(getattr(norm, "eps", 0.0))
    gamma, beta = getattr(norm, "weight", None), getattr(norm, "bias", None)
    gamma = torch.ones_like(mean) if gamma is None else gamma.detach()
    beta = torch.zeros_like(mean) if beta is None else beta.detach()
    scale = gamma / (variance + eps).sqrt()
    bias = getattr(conv, "bias", None)
    bias = torch.zeros_like(mean) if bias is None else bias.detach()
    return weight * scale[:, None, None], beta + scale * (bias - mean)


def first_conv(model: AudioModel) -> FirstConv:
    """Find the first convolution that meets the waveform, and the batch norm directly after it.

    Raises:
        TapError: No convolution fires, or the first one hears something else (a spectrogram).
    """
    n_samples = model.probe_samples or model.sample_rate
    sound = harmonic_noise(model.sample_rate, model.n_channels, n_samples)
    modules = dict(model.module.named_modules())
    firings = survey(model.module, lambda: model.forward(sound))
    found = next((f for f in firings if isinstance(modules[f.path], _CONVOLUTIONS)), None)
    if found is None:
        raise TapError(f"{model.name} has no convolution: it has no filters on the waveform")
    conv = modules[found.path]
    if not _hears_waveform(model, conv, found):
        raise TapError(
            f"the first convolution of {model.name}, {found.path!r}, hears "
            f"{list(found.in_shape)} and not a waveform: it has no filters on the waveform"
        )
    after = (f for f in firings if f.fed_by == found.path and isinstance(modules[f.path], _NORMS))
    norm = next(after, None)
    if norm is None:
        return FirstConv(found.path, conv)
    return FirstConv(found.path, conv, modules[norm.path], norm.path)


def _hears_waveform(model: AudioModel, conv: nn.Module, firing: Firing) -> bool:
    """A waveform has as many channels as the model hears and one axis that is longer than 1."""
    layer: Any = conv
    kernel = tuple(int(k) for k in layer.kernel_size)
    long_axes = sum(size > 1 for size in firing.in_shape[2:])
    n_channels = int(layer.in_channels)
    return n_channels == model.n_channels and sum(k > 1 for k in kernel) <= 1 and long_axes <= 1


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        CheckpointError: It is missing, damaged, or of a format that could execute code.
    """
    if path.suffix != ".safetensors":
        raise CheckpointError(
            f"{path} is refused: only .safetensors files hold tensors and nothing that could run "
            "as "
            f"code; convert it with safetensors.torch.save_file"
        )
    try:
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def read_foreign(path: Path) -> dict[str, Any]:
    """Read a ``.pth`` file of others, for families whose weights are published in no other format.

    Only tensors, numbers, text and containers of them are read, and the plain record of a command
    line that training scripts keep beside their weights; anything else a pickle could name is
    refused before it is made.

    Raises:
        CheckpointError: It is missing, damaged, or asks for something to be executed.
    """
    try:
        with torch.serialization.safe_globals([Namespace]):
            held = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except (OSError, ValueError, RuntimeError, EOFError, UnpicklingError) as error:
        said = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{path} cannot be read as tensors alone, and nothing else of it is executed: {said}"
        ) from error
    if not isinstance(held, dict):
        raise CheckpointError(f"{path} holds a {type(held).__name__} and no tensors by name")
    return held


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Fill a module, every key and shape of which must match.

    Raises:
        CheckpointError: Listing missing and unexpected keys, or shapes that differ.
    """
    own = module.state_dict()
    refuse_keys(source, sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys()))
    other = [
        f"{key} is {list(tensors[key].shape)} and should be {list(own[key].shape)}"
        for key in own
        if own[key].shape != tensors[key].shape
    ]
    if other:
        raise CheckpointError(f"{source} does not fit: {_some(other)}")
    module.load_state_dict(dict(tensors))


def refuse_keys(source: str, missing: list[str], unexpected: list[str]) -> None:
    """Raise when a checkpoint and an architecture do not have the same keys.

    Raises:
        CheckpointError: Listing both kinds.
    """
    if missing or unexpected:
        raise CheckpointError(
            f"{source} does not fit the architecture: missing keys {_some(missing)}; "
            f"unexpected keys {_some(unexpected)}"
        )


def _some(items: list[str], most: int = 6) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return (", ".join(items[:most]) or "none") + more


@torch.no_grad()
def shuffle_weights(module: nn.Module, seed: int) -> None:
    """Permute the entries of each parameter.

    The distribution of values stays, their arrangement goes.

    Weight-normalised layers are permuted in what they store, direction and gain apart.
    """
    for name, parameter in module.named_parameters():
        rng = torch.Generator().manual_seed(seed_of(seed, "shuffle", name))
        order = torch.randperm(parameter.numel(), generator=rng)
        parameter.copy_(parameter.flatten()[order.to(parameter.device)].view_as(parameter))
