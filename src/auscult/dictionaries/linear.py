"""The linear encoder and decoder that most sparse dictionaries are made of."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from auscult.dictionaries.base import SaeLensForm
from auscult.dictionaries.products import affine_product, laid_out

ENCODER = frozenset({"linear.encoder", "linear.encoder_bias"})
DECODER = frozenset({"linear.decoder"})
BIAS = frozenset({"linear.decoder_bias"})

Frozen = Literal["no", "decoder", "soft-decoder", "encoder"]
"""Which weights keep their random start; biases are always trained."""

_ACTIVATIONS_AT_ONCE, _FLOATS_AT_ONCE = 1 << 21, 1 << 18
_FEWEST_AT_ONCE, _MOST_AT_ONCE = 256, 1 << 14

NO_LENGTH = 1e-30
"""Divided by this, a row of zeros stays one."""

SOFT_COSINE = 0.8
"""How near a soft-frozen atom stays to its start (Korznikov et al. 2026, figure 1)."""


class Scratch:
    """Named tensors that are overwritten at each step.

    Fresh ones of a few megabytes would be handed back to the system and cleared by it every time,
    which costs more than what is computed in them.
    """

    def __init__(self) -> None:
        self._held: dict[str, Tensor] = {}
        self._views: dict[str, Tensor] = {}

    def __call__(
        self, name: str, like: Tensor, *shape: int, dtype: torch.dtype | None = None
    ) -> Tensor:
        """A tensor of this shape, on the device and of the type of another, holding anything."""
        dtype = dtype or like.dtype
        held = self._views.get(name)
        kind = (dtype, like.device)
        if held is not None and held.shape == shape and (held.dtype, held.device) == kind:
            return held
        memory, size = self._held.get(name), math.prod(shape)
        if memory is None or len(memory) < size or (memory.dtype, memory.device) != kind:
            memory = self._held[name] = like.new_empty(size, dtype=dtype)
        self._views[name] = memory[:size].view(shape)
        return self._views[name]

    def clear(self) -> None:
        """Let go of all of them."""
        self._held.clear()
        self._views.clear()


class LinearCoder(nn.Module):
    """``p = W_e (v - b_d) + b_e`` on the way in, ``v̂ = z D + b_d`` on the way out.

    Encoder and decoder both have one row a feature. The decoder bias is subtracted from the input
    as well (Bricken et al. 2023, "Pre-encoder bias"), as SAELens does with
    ``apply_b_dec_to_input``.

    Weights may be frozen at their random start, as baselines that show how much of a result needs
    no learned direction (Korznikov et al. 2026, "Sanity Checks for Sparse Autoencoders"): the
    decoder, the decoder within a cosine of 0.8 of its start, or the encoder. Frozen weights are
    buffers: the training loop never sees them.

    Attributes:
        encoder: W_e.
        encoder_bias: b_e.
        decoder: D, the atoms.
        decoder_bias: b_d.
        frozen: Which weights are not trained.
        bf16: Whether large products read bfloat16 where nothing is differentiated by autograd.
    """

    encoder: Tensor
    decoder: Tensor
    start: Tensor

    def __init__(self, d_in: int, n_features: int, frozen: Frozen = "no") -> None:
        super().__init__()
        self.frozen = frozen
        self.bf16 = False
        self._weights("encoder", n_features, d_in)
        self.encoder_bias = nn.Parameter(torch.zeros(n_features))
        self._weights("decoder", n_features, d_in)
        self.decoder_bias = nn.Parameter(torch.zeros(d_in))
        if frozen == "soft-decoder":
            self.register_buffer("start", torch.zeros(n_features, d_in))
        self.scratch = Scratch()

    def _weights(self, name: str, *shape: int) -> None:
        values = torch.zeros(shape)
        if self.frozen == name:
            self.register_buffer(name, values)
        else:
            self.register_parameter(name, nn.Parameter(values))

    @property
    def held(self) -> frozenset[str]:
        """Names of the weights that are not trained."""
        return {"decoder": DECODER, "encoder": frozenset({"linear.encoder"})}.get(
            self.frozen, frozenset()
        )

    @torch.no_grad()
    def initialise(self, rng: np.random.Generator, encoder_scale: float = 1.0) -> None:
        """Random unit rows in the decoder, a scaled copy in the encoder (Gao et al. 2024)."""
        rows = rng.standard_normal(tuple(self.decoder.shape))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        self.decoder.copy_(torch.from_numpy(rows))
        self.encoder.copy_(self.decoder).mul_(encoder_scale)
        if self.frozen == "soft-decoder":
            self.start.copy_(self.decoder)

    def pre_activations(
        self, vectors: Float[Tensor, "n d_in"], *, rectified: bool = False
    ) -> Float[Tensor, "n n_features"]:
        """``p`` of every feature, or ``relu(p)``."""
        weights = (vectors, *self.parameters())
        if torch.is_grad_enabled() and any(each.requires_grad for each in weights):
            centred = vectors - self.decoder_bias
            pre = torch.addmm(self.encoder_bias, centred, self.encoder.T)
            return pre.relu() if rectified else pre
        dtype, encoder = self.operands(vectors), self.encoder.detach()
        # One pass over the vectors less: b_d goes into the bias behind the product.
        bias = (self.encoder_bias.detach() - encoder @ self.decoder_bias.detach()).to(dtype)
        if dtype == vectors.dtype:
            return affine_product(vectors, encoder, bias, rectified=rectified)
        out, lowered = vectors.new_empty(len(vectors), len(bias)), encoder.to(dtype)
        for start, stop in pieces(*out.shape):
            x = vectors[start:stop].to(dtype)
            out[start:stop].copy_(affine_product(x, lowered, bias, rectified=rectified))
        return out

    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_in"]:
        """``v̂`` from activations."""
        return torch.addmm(self.decoder_bias, acts, self.decoder)

    def operands(self, vectors: Float[Tensor, "n d_in"]) -> torch.dtype:
        """What the large products of a gradient read."""
        return torch.bfloat16 if self.bf16 and vectors.dtype == torch.float32 else vectors.dtype

    def lowered(self, name: str, values: Tensor, dtype: torch.dtype) -> Tensor:
        """The same values as operands of large products; no copy where they are that already."""
        if values.dtype == dtype:
            return values
        return self.scratch(f"{name} lowered", values, *values.shape, dtype=dtype).copy_(values)

    @torch.no_grad()
    def less_bias(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_in"]
    ) -> tuple[Float[Tensor, "n d_in"], Float[Tensor, "n d_in"]]:
        """Vectors and targets less ``b_d``; both are overwritten at the next step."""
        centred, goal = (
            self.scratch(name, vectors, *vectors.shape) for name in ("centred", "goal")
        )
        torch.sub(vectors, self.decoder_bias, out=centred)
        if targets is vectors:
            return centred, centred
        return centred, torch.sub(targets, self.decoder_bias, out=goal)

    @torch.no_grad()
    def pre_in_pieces(
        self, centred: Float[Tensor, "n d_in"]
    ) -> Iterator[tuple[int, Float[Tensor, "m n_features"]]]:
        """``p`` of some vectors at a time, and the first one's number."""
        dtype, n_features = self.operands(centred), len(self.encoder_bias)
        x = self.lowered("centred", centred, dtype)
        encoder = self.lowered("encoder", self.encoder, dtype)
        bias = self.encoder_bias.to(dtype)
        for start, stop in pieces(len(centred), n_features):
            if start == 0 and stop < len(centred):
                encoder = laid_out(encoder, stop)
            yield start, affine_product(x[start:stop], encoder, bias)

    @torch.no_grad()
    def remove_parallel_gradient(self) -> None:
        """Take out of the decoder's gradient what would only change the length of a row.

        The rows are kept at unit length, so this part would be undone after the step, but not
        before it had misled Adam's moments (Bricken et al. 2023).
        """
        if self.decoder.grad is None:
            return
        for gradient, rows in zip(
            blocks(self.decoder.grad), blocks(self.decoder.detach()), strict=True
        ):
            along = (gradient * rows).sum(1, keepdim=True)
            gradient.addcmul_(along, rows, value=-1.0)

    @torch.no_grad()
    def normalise_rows(self) -> None:
        """Bring the decoder's rows to unit length, and back to where a soft-frozen one may be."""
        if self.frozen == "decoder":
            return
        for rows in blocks(self.decoder.detach()):
            rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_(min=NO_LENGTH))
        if self.frozen == "soft-decoder":
            # The nearest unit row of a cosine of 0.8 lies in the plane of the row and its start.
            cosine = (self.decoder * self.start).sum(1, keepdim=True)
            across = self.decoder - cosine * self.start
            across.div_(row_norms(across)).mul_((1.0 - SOFT_COSINE**2) ** 0.5)
            edge = SOFT_COSINE * self.start + across
            self.decoder.copy_(torch.where(cosine < SOFT_COSINE, edge, self.decoder))

    @torch.no_grad()
    def revive(
        self, dead: Int64[Tensor, " n_dead"], directions: Float[Tensor, "n_dead d_in"]
    ) -> Sequence[str]:
        """Begin features anew (Bricken et al. 2023, "Neuron resampling").

        Atoms become the directions, encoders those of the atoms at a fifth of the mean length of
        the others, their biases 0. Frozen weights stay.
        """
        alive = torch.ones(len(self.encoder_bias), dtype=torch.bool, device=dead.device)
        alive[dead] = False
        lengths = torch.linalg.vector_norm(self.encoder[alive], dim=1)
        length = 0.2 * float(lengths.mean()) if len(lengths) else 0.2
        rewritten = ["linear.encoder_bias"]
        self.encoder_bias[dead] = 0.0
        if self.frozen == "no":
            self.decoder[dead] = directions
            rewritten.append("linear.decoder")
        if self.frozen != "encoder":
            self.encoder[dead] = length * self.decoder[dead]
            rewritten.append("linear.encoder")
        return rewritten

    @torch.no_grad()
    def fold_row_norms(self) -> None:
        """Bring the decoder's rows to unit length, and the encoder with them: ``z ← n z``.

        ``v̂`` stays for a ReLU; not for a top-k, where it changes who is selected.
        """
        norms = row_norms(self.decoder)
        self.decoder.div_(norms)
        self.encoder.mul_(norms)
        self.encoder_bias.mul_(norms.squeeze(1))

    def saelens(
        self, architecture: str, settings: Mapping[str, Any], **further: Tensor
    ) -> SaeLensForm:
        """The same tensors under SAELens' names and in its layout, and further ones as they are."""
        tensors = {
            "W_enc": self.encoder.detach().T,
            "b_enc": self.encoder_bias.detach(),
            "W_dec": self.decoder.detach(),
            "b_dec": self.decoder_bias.detach(),
        }
        return SaeLensForm(architecture, tensors | further, settings)


def read_bf16(dictionary: nn.Module, on: bool = True) -> None:
    """Let a dictionary's ``encode`` read bfloat16 from now on, or no longer; it is not saved.

    Where a processor multiplies it by itself this takes about half the time. Vectors and weights
    are rounded to 8 binary digits, so an activation is off by about a 300th of what was added up in
    it, and one near its threshold may be on or off: this is for going through much, not for the
    figures of a table. Types without a :class:`LinearCoder` stay as they are.
    """
    for module in dictionary.modules():
        if isinstance(module, LinearCoder):
            module.bf16 = on


def pieces(n: int, n_features: int) -> Iterator[tuple[int, int]]:
    """First and last of some vectors at a time, whose activations stay near the processor."""
    step = min(_MOST_AT_ONCE, max(_FEWEST_AT_ONCE, _ACTIVATIONS_AT_ONCE // n_features))
    for start in range(0, max(1, n), step):
        yield start, min(start + step, n)


def blocks(rows: Float[Tensor, "n d"]) -> tuple[Tensor, ...]:
    """The same rows, some at a time: what is computed of them stays near the processor."""
    at_once = max(1, _FLOATS_AT_ONCE // rows.shape[1])
    return torch.split(rows, at_once) if len(rows) > at_once else (rows,)


def gradient_of(parameter: Tensor) -> Tensor:
    """The tensor that holds a parameter's gradient, made where there is none."""
    if parameter.grad is None:
        parameter.grad = torch.empty_like(parameter)
    return parameter.grad


def row_norms(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n 1"]:
    """Length of each row; a row of zeros counts as 1, so that dividing by it changes nothing."""
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return torch.where(norms > 0, norms, 1.0)


def squared_error(
    estimate: Float[Tensor, "n d"], targets: Float[Tensor, "n d"]
) -> Float[Tensor, ""]:
    """Mean over vectors of the summed squared error; on scaled vectors this is the FVU."""
    return (estimate - targets).square().sum(1).mean()


def tied_form(atoms: Float[Tensor, "n_features d_in"], k: int, signed: bool) -> SaeLensForm:
    """SAELens' form of ``z = the k largest of D v``, ``v̂ = z D``."""
    tensors = {
        "W_enc": atoms.T,
        "b_enc": atoms.new_zeros(len(atoms)),
        "W_dec": atoms,
        "b_dec": atoms.new_zeros(atoms.shape[1]),
    }
    settings = {"k": k, "rescale_acts_by_decoder_norm": False}
    return SaeLensForm("abstopk" if signed else "topk", tensors, settings)
