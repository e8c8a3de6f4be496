"""What dictionaries share that select some of their activations: how to, and their gradient."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from auscult.dictionaries.linear import LinearCoder, Scratch, squared_error

_LONGEST_PARTITION = 1024
"""Rows up to this length are partitioned; beyond it ``torch.topk`` is as fast."""


@dataclass(frozen=True)
class SelectedGradient:
    """What :func:`selected_gradient` computed beside the gradient.

    Attributes:
        mse: The squared error.
        fired: On how many vectors each feature was on.
        left_over: ``targets - v̂``, if it was asked for.
    """

    mse: Float[Tensor, ""]
    fired: Float[Tensor, " n_features"]
    left_over: Float[Tensor, "n d_in"] | None


@torch.no_grad()
def selected_gradient(
    linear: LinearCoder,
    vectors: Float[Tensor, "n d_in"],
    targets: Float[Tensor, "n d_in"],
    select: Callable[[Tensor], Tensor],
    *,
    keep_left_over: bool,
) -> SelectedGradient:
    """The gradient of ``E ‖targets - v̂‖²`` by hand, for any rule that selects activations.

    With ``r = v̂ - v``, ``∂/∂z = 2 r Dᵀ / N`` where z ≠ 0: which are selected is constant almost
    everywhere. W_e and b_e follow as in any linear layer; b_d gets its share from both ends.
    """
    scratch, n = linear.scratch, len(vectors)
    wide, narrow = (n, len(linear.decoder)), (n, vectors.shape[1])
    centred = torch.sub(vectors, linear.decoder_bias, out=scratch("centred", vectors, *narrow))
    pre = scratch("pre", vectors, *wide)
    torch.addmm(linear.encoder_bias, centred, linear.encoder.T, out=pre)
    acts = select(pre)
    residual = scratch("residual", vectors, *narrow)
    torch.addmm(linear.decoder_bias, acts, linear.decoder, out=residual).sub_(targets)
    on = torch.sign(acts, out=scratch("on", vectors, *wide)).abs_()
    mse = residual.square().sum() / n
    left_over = residual.neg() if keep_left_over else None

    residual.mul_(2.0 / n)
    into_acts = torch.mm(residual, linear.decoder.T, out=pre).mul_(on)
    linear.backward(centred, acts, residual, into_acts)
    return SelectedGradient(mse, on.sum(0), left_over)


def auxiliary_term(
    linear: LinearCoder,
    vectors: Float[Tensor, "n d_in"],
    residual: Float[Tensor, "n d_in"],
    dead: Int64[Tensor, " n_dead"],
    weight: float,
    *,
    signed: bool = False,
) -> dict[str, Float[Tensor, ""]]:
    """The loss of the dead features, which have to explain the residual (Gao et al. 2024, A.2).

    ::

        aux = weight · E ‖e - z_dead D‖² / E ‖e - E e‖²

    ``z_dead`` keeps the ``d_in / 2`` largest of the dead features. Without dead features, or where
    nothing is left to explain, there is no term.
    """
    if len(dead) == 0 or weight == 0.0:
        return {}
    variance = (residual - residual.mean(0)).square().sum(1).mean()
    if float(variance) == 0.0:
        return {}
    pre = (vectors - linear.decoder_bias) @ linear.encoder[dead].T + linear.encoder_bias[dead]
    acts = keep_top(pre, min(max(1, vectors.shape[1] // 2), len(dead)), signed)
    error = squared_error(acts @ linear.decoder[dead], residual)
    return {"aux": weight * error / variance}


def keep_top(
    pre: Float[Tensor, "n n_features"], k: int, signed: bool
) -> Float[Tensor, "n n_features"]:
    """Keep the k largest positive entries of each row, or with ``signed`` by magnitude."""
    ranked = pre.abs() if signed else pre.relu()
    chosen = ranked.topk(k, dim=1, sorted=False).indices
    kept = pre if signed else ranked
    return torch.zeros_like(pre).scatter(1, chosen, kept.gather(1, chosen))


def keep_top_fast(
    pre: Float[Tensor, "n n_features"], k: int, signed: bool, scratch: Scratch
) -> Float[Tensor, "n n_features"]:
    """The same as :func:`keep_top`, without gradient and into memory that is overwritten next time.

    NumPy partitions short rows with vector instructions, six times faster than ``torch.topk``.
    Whatever reaches the k-th largest value is kept; only where several entries equal it are these
    too many, and then the slow way decides between them.
    """
    n, n_features = pre.shape
    if pre.device.type != "cpu" or pre.dtype != torch.float32 or n_features > _LONGEST_PARTITION:
        return keep_top(pre, k, signed)
    ranked = scratch("ranked", pre, n, n_features)
    torch.abs(pre, out=ranked) if signed else torch.clamp(pre, min=0, out=ranked)
    parted = scratch("parted", pre, n, n_features).copy_(ranked)
    parted.numpy().partition(n_features - k, axis=1)
    smallest = parted[:, n_features - k, None]
    reached = torch.ge(ranked, smallest, out=scratch("reached", pre, n, n_features))
    acts = torch.mul(pre if signed else ranked, reached, out=scratch("acts", pre, n, n_features))
    n_on = torch.sign(acts, out=reached).abs_().sum(1)
    return acts if n == 0 or float(n_on.max()) <= k else keep_top(pre, k, signed)


class RunningThreshold(nn.Module):
    """Keep the largest of a batch while training, and remember how large they had to be.

    Attributes:
        threshold: Running average of the smallest activation that a batch kept; 0 before training.
        n_batches: How many batches it has seen.
        smallest: The smallest activation that the last batch kept; NaN where it kept none.
    """

    threshold: Tensor
    n_batches: Tensor

    def __init__(self, memory: float) -> None:
        super().__init__()
        self.memory = memory
        self.smallest = float("nan")
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.int64))

    @property
    def notes(self) -> Mapping[str, float]:
        """For the log of training: the threshold before this batch."""
        return {"threshold": float(self.threshold)}

    def above(self, pre: Float[Tensor, "n n_features"]) -> Float[Tensor, "n n_features"]:
        """Keep what lies above the threshold; this is the encoding rule after training."""
        return pre * (pre > self.threshold)

    def keep(
        self, pre: Float[Tensor, "n n_features"], n_kept: int
    ) -> Float[Tensor, "n n_features"]:
        """Keep the ``n_kept`` largest positive entries of the whole batch."""
        flat = pre.relu().flatten()
        values, chosen = flat.topk(n_kept, sorted=False)
        self._note(values.detach())
        return torch.zeros_like(flat).scatter(0, chosen, values).reshape(pre.shape)

    @torch.no_grad()
    def keep_fast(
        self, pre: Float[Tensor, "n n_features"], n_kept: int, scratch: Scratch
    ) -> Float[Tensor, "n n_features"]:
        """The same as :meth:`keep`, without gradient and into memory that is overwritten next time.

        Only what exceeds four fifths of the threshold is ranked, unless that is too little: a
        batch has few entries that large.
        """
        if pre.device.type != "cpu" or pre.dtype != torch.float32:
            return self.keep(pre, n_kept)
        flat = pre.flatten()
        candidates = flat[flat > 0.8 * self.threshold].numpy()
        if len(candidates) < n_kept:
            candidates = flat[flat > 0].numpy()
        place = len(candidates) - n_kept
        if place > 0:
            candidates.partition(place)
            candidates = candidates[place:]
        if len(candidates) == 0:
            self.smallest = float("nan")
            return torch.zeros_like(pre)
        smallest = float(candidates.min())
        reached = torch.ge(pre, smallest, out=scratch("reached", pre, *pre.shape))
        acts = torch.mul(pre, reached, out=scratch("acts", pre, *pre.shape))
        if int(torch.count_nonzero(acts)) > n_kept:
            return self.keep(pre, n_kept)
        self.smallest = smallest
        return acts

    def _note(self, kept: Float[Tensor, " n_kept"]) -> None:
        positive = kept[kept > 0]
        self.smallest = float(positive.min()) if len(positive) else float("nan")

    @torch.no_grad()
    def follow(self) -> None:
        """Let the threshold follow the last batch.

        After t batches the past weighs ``(1 + t) / (10 + t)``, at most ``memory``: the average
        reaches over the last tenth of a short training, not over all of it.
        """
        if self.smallest != self.smallest:
            return
        t = int(self.n_batches)
        past = min(self.memory, (1 + t) / (10 + t)) if t else 0.0
        self.threshold.mul_(past).add_((1.0 - past) * self.smallest)
        self.n_batches += 1
