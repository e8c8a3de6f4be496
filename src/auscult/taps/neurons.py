"""Where a network's neurons are: taps behind an activation, found by the part they play.

Which module computes an activation differs from network to network; often none does, or one in
place. What comes *into* the second linear layer of an MLP is its neurons in every case, and what
comes into a convolution is what the convolution before it was made to say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from auscult.core.errors import TapError
from auscult.models.base import AudioModel, TokenGrid
from auscult.models.patterns import matches
from auscult.models.survey import Firing
from auscult.taps.layout import layout_of, surveyed
from auscult.taps.point import ResolvedTap, TapPoint, resolve, resolve_one

NeuronKind = Literal["mlp", "convolution", "recurrent"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
_ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Hardswish, nn.Softplus, nn.Tanh,
)  # fmt: skip
_ROLE = "**.mlp.act"


@dataclass(frozen=True)
class NeuronLayer:
    """The neurons of one tap.

    Attributes:
        address: The tap.
        n_neurons: How many: channels, or MLP units.
        n_places: Entries of a response vector that belong to one neuron: the frequency bands of a
            feature map, else 1. They lie side by side.
    """

    address: str
    n_neurons: int
    n_places: int = 1

    @property
    def d_in(self) -> int:
        """Width of the tap's response vectors."""
        return self.n_neurons * self.n_places


def neuron_taps(model: AudioModel, kind: NeuronKind | None = None) -> list[str]:
    """Addresses of the taps behind activations, in the order in which the sound passes them.

    Args:
        model: Its family's own role ``….mlp.act`` wins; else modules tell by what they fire.
        kind: ``mlp``: the input of the linear layer that narrows what another widened.
            ``convolution``: activation modules that speak in feature maps; without any, the inputs
            of convolutions. ``recurrent``: what recurrent layers say. None: MLPs where they
            repeat, as in a transformer; else all of these.

    Raises:
        TapError: There is none of the kind.
    """
    if kind is None:
        found = _mlp(model)
        if len(found) < 2:
            found = [*found, *_convolution(model), *_recurrent(model)]
    else:
        ways = {"mlp": _mlp, "convolution": _convolution, "recurrent": _recurrent}
        found = ways[kind](model)
    if not found:
        raise TapError(
            f"{model.name} has no {kind or 'mlp, convolution or recurrent'} neurons that can be "
            f"found by role: name the taps"
        )
    order = {path: place for place, path in enumerate(surveyed(model))}
    return sorted(found, key=lambda address: order.get(resolve_one(model, address).tap.path, -1))


def _mlp(model: AudioModel) -> list[str]:
    roles = [tap.role for tap in model.taps() if tap.role and matches(_ROLE, tap.role)]
    if roles:
        return roles
    linear = [
        (firing, module)
        for firing in surveyed(model).values()
        if isinstance(module := model.module.get_submodule(firing.path), nn.Linear)
    ]
    found = []
    for (before, wide), (here, narrow) in pairwise(linear):
        hidden = narrow.in_features
        # A gated unit computes both halves in one layer that is twice as wide.
        widened = wide.out_features in (hidden, 2 * hidden) and hidden > wide.in_features
        alone = before.n_calls == here.n_calls == 1
        together = _near(before.path, here.path)
        if widened and alone and together and hidden > narrow.out_features:
            found.append(f"{here.path}:in")
    return found


def _near(one: str, other: str) -> bool:
    """Whether two layers are parts of one block: siblings, or inside named parts of one.

    BERT keeps them in ``intermediate`` and ``output``; numbered parts are blocks of their own.
    """
    *a, first = one.split(".")
    *b, second = other.split(".")
    if a == b:
        return True
    numbered = any(parent[-1:] and parent[-1].isdigit() for parent in (a, b))
    alike = first == second or not (first.isdigit() or second.isdigit())
    return len(a) == len(b) and a[:-1] == b[:-1] and not numbered and alike


def _convolution(model: AudioModel) -> list[str]:
    fired = list(surveyed(model).values())
    convolutions = [f for f in fired if _is(model, f, _CONVOLUTIONS) and f.n_calls == 1]
    rank = {len(f.out_shape) for f in convolutions}
    acting = [
        f.path
        for f in fired
        if _is(model, f, _ACTIVATIONS) and f.n_calls == 1 and len(f.out_shape) in rank
    ]
    return acting or [f"{f.path}:in" for f in convolutions[1:]]


def _recurrent(model: AudioModel) -> list[str]:
    return [
        f.path
        for f in surveyed(model).values()
        if _is(model, f, (nn.RNN, nn.GRU, nn.LSTM)) and f.n_calls == 1
    ]


def _is(model: AudioModel, firing: Firing, kinds: tuple[type[nn.Module], ...]) -> bool:
    return isinstance(model.module.get_submodule(firing.path), kinds)


def neuron_layers(model: AudioModel, taps: Iterable[str | TapPoint]) -> list[NeuronLayer]:
    """How many neurons each tap has, and how many entries of its vectors make up one.

    Raises:
        TapError: A tap does not fire in a pass over the probe sound, so that its width is unknown.
    """
    fired = surveyed(model)
    return [_layer(model, tap, fired.get(tap.tap.path)) for tap in resolve(model, taps)]


def _layer(model: AudioModel, tap: ResolvedTap, firing: Firing | None) -> NeuronLayer:
    method = tap.tap.methods.get(tap.point.side)
    shape: Sequence[int] = ()
    if firing is not None and (method is None or method.name == "forward"):
        heard = tap.point.side == "in" if method is None else method.takes == "argument"
        shape = firing.in_shape if heard else firing.out_shape
    if len(shape) < 2:
        raise TapError(f"{tap.address} does not say how many neurons it has; tap a module's output")
    layout = layout_of(model, tap, torch.empty(tuple(shape), device="meta"))
    if isinstance(layout, TokenGrid):
        return NeuronLayer(tap.address, shape[-1] if len(shape) == 3 else shape[1])
    axes = dict(zip(layout, shape, strict=True))
    return NeuronLayer(tap.address, axes["c"], axes.get("f", 1))


def embedding_tap(model: AudioModel) -> str:
    """The usual embedding of a clip.

    What the linear layer of a classifier reads behind everything else; what the last block says; a
    codec's latents; else the last of the network's neurons.

    Raises:
        TapError: The network has none of these.
    """
    order = {path: place for place, path in enumerate(surveyed(model))}
    blocks = [tap for tap in model.taps() if matches("block.*", tap.role)]
    linear = [f for f in surveyed(model).values() if _is(model, f, (nn.Linear,)) and f.n_calls == 1]
    last = order.get(blocks[-1].path, -1) if blocks else -1
    if linear and order[linear[-1].path] > last:
        return f"{linear[-1].path}:in"
    if blocks:
        return blocks[-1].role
    latent = any(tap.role == "latent" for tap in model.taps())
    return "latent" if latent else neuron_taps(model)[-1]
