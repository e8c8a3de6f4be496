"""Networks that have learnt nothing but hear: fresh weights, and statistics that fit them."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from auscult.core.rng import seed_of


@torch.no_grad()
def redraw_weights(module: nn.Module, seed: int) -> None:
    """Draw every layer anew, under ``seed``; torch's global random state is left as it was.

    Filters and matrices are drawn He-uniform and biases are zero. torch's own defaults shrink a
    signal by √3 at each layer and add biases of up to 1 / √fan-in to it; of sound, which is quiet,
    nothing is left: 0.06 % of the energy of a default EnCodec's latents depends on what it hears,
    and a control that does not hear controls nothing. A weight-normalised layer computes ``weight``
    from what it stores, so its weight is drawn here and handed to the parametrisation.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "weights"))
        for layer in module.modules():
            if parametrize.is_parametrized(layer):
                _redraw_parametrized(layer)
            elif hasattr(layer, "weight_v") and hasattr(layer, "weight_g"):
                _redraw_weight_norm(layer)
            elif isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
                _draw(layer.weight)
                _silence_biases(layer)
            elif callable(reset := getattr(layer, "reset_parameters", None)):
                reset()
                if isinstance(layer, nn.RNNBase):
                    _silence_biases(layer)


def _redraw_parametrized(layer: nn.Module) -> None:
    names = [name for name, _ in layer.parametrizations.items()]  # type: ignore[operator, union-attr]
    for name in names:
        drawn = torch.empty_like(getattr(layer, name))
        _draw(drawn)
        setattr(layer, name, drawn)
    _silence_biases(layer)


def _redraw_weight_norm(layer: Any) -> None:
    gain, direction = layer.weight_g, layer.weight_v
    _draw(direction)
    axes = [axis for axis in range(direction.ndim) if gain.shape[axis] == 1]
    gain.copy_(torch.linalg.vector_norm(direction, dim=axes, keepdim=True))
    _silence_biases(layer)


def _draw(weight: Tensor) -> None:
    """Matrices and filters He-uniform (He et al. 2015, section 2.2), the rest small and normal."""
    if weight.ndim > 1:
        nn.init.kaiming_uniform_(weight, nonlinearity="relu")
    else:
        nn.init.normal_(weight, std=0.1)


def _silence_biases(layer: nn.Module) -> None:
    for name, parameter in layer.named_parameters(recurse=False):
        if name.startswith("bias"):
            nn.init.zeros_(parameter)


@torch.no_grad()
def recalibrate_norms(module: nn.Module, run: Callable[[], object]) -> None:
    """Take the statistics of every batch norm from one pass, the average over all calls within it.

    The statistics of a trained network do not fit fresh weights, and those of a fresh one (mean 0,
    variance 1) let a deep network ignore its input.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
            norm.momentum = None
        run()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval()
            norm.momentum = momentum


@torch.no_grad()
def level_convolutions(module: nn.Module, run: Callable[[], object]) -> None:
    """Scale every convolution so that what it says has a deviation of 1, in one pass.

    Layer-sequential unit variance (Mishkin & Matas 2016, section 3). Residual units with Snake
    activations, ``x + sin²(x)``, double a signal; He-uniform filters let it grow ten-thousandfold
    over an encoder of Oobleck, where Snakes turn thousands of times within one wave: such a network
    hashes its input. Convolutions that do not fire, or say nothing but a constant, stay as they
    are.

    Args:
        module: Holds the convolutions.
        run: One pass over sound.
    """
    levelled: set[nn.Module] = set()

    def level(layer: nn.Module, _: Any, output: Tensor) -> Tensor | None:
        deviation = float(output.std())
        if layer in levelled or not deviation > 0:
            return None
        levelled.add(layer)
        _scale(layer, 1 / deviation)
        return output / deviation

    convolutions = [
        layer for layer in module.modules() if isinstance(layer, nn.modules.conv._ConvNd)
    ]
    hooks = [layer.register_forward_hook(level) for layer in convolutions]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()


def _scale(layer: Any, factor: float) -> None:
    """Multiply what a layer says, whichever way its weight is stored."""
    if parametrize.is_parametrized(layer, "weight"):
        layer.parametrizations.weight.original0.mul_(factor)
    elif hasattr(layer, "weight_g"):
        layer.weight_g.mul_(factor)
    else:
        layer.weight.mul_(factor)
    if layer.bias is not None:
        layer.bias.mul_(factor)


@torch.no_grad()
def fill_codebooks(
    codebooks: list[Tensor], latents: Float[Tensor, "n d_latent"], seed: int
) -> None:
    """Fill the tables of a residual quantiser, in place, from what each level would have to code.

    The entries of a level are residual vectors picked at random, spread by a tenth of the
    residual's deviation so that no two are equal; the next level gets what the nearest entry leaves
    over. Without this a fresh EnCodec has all-zero tables: every code is 0 and no test on it can
    fail.
    """
    residual = latents.clone()
    for level, codebook in enumerate(codebooks):
        rng = torch.Generator().manual_seed(seed_of(seed, "codebook", level))
        picked = torch.randint(len(residual), (len(codebook),), generator=rng)
        noise = torch.randn(codebook.shape, generator=rng)
        codebook.copy_(residual[picked] + 0.1 * residual.std(0) * noise)
        nearest = torch.cdist(residual, codebook).argmin(-1)
        residual = residual - codebook[nearest]
