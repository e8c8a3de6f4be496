"""Six ways to intervene on one of two notes, each with its doses and its controls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from auscult.analyses.parts.codecs.note_trials import EditFunction, NoteTrials
from auscult.core.timebase import TimeBase
from auscult.interventions.base import span_share

OWN = "own"
RANDOM = "random direction, as long"
ANOTHER = "another note's direction"
RANDOM_CHANNELS = "as many random channels"
ADD, ABLATE, MEAN, DENOISE, NOISE, WALK = (
    "direction subtracted",
    "direction projected out",
    "direction set to its mean without the note",
    "patched from the other note alone",
    "patched into the other note alone",
    "walk to the other note alone",
)
Maker = Callable[[float], EditFunction]
"""An edit from a dose."""

Span = tuple[float | None, float | None]
_CHANNELS = "share of channels, most moved first"
_SHARES = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Way:
    """A kind of intervention.

    Attributes:
        doses: Ascending; 0, which changes nothing, is left out.
        axis: What a dose is.
        at: The dose at which ways are compared.
        edits: By name, :data:`OWN` first, the controls after it; each makes an edit from a dose.
        of: The sound that is edited: "both" notes, or the "second" alone.
    """

    doses: tuple[float, ...]
    axis: str
    at: float
    edits: Mapping[str, Maker]
    of: str = "both"


def ways_of(trials: NoteTrials) -> dict[str, Way]:
    """Every way, for the pairs and the span of some trials."""
    own = trials.directions
    drawn = _normal(trials, own)
    drawn = drawn * own.norm(dim=1, keepdim=True) / drawn.norm(dim=1, keepdim=True)
    kinds = {OWN: own, RANDOM: drawn, ANOTHER: own.roll(1, dims=0)}
    span, rest = trials.span_s, trials.rest

    def along(
        make: Callable[[Tensor, float], EditFunction],
    ) -> dict[str, Callable[[float], EditFunction]]:
        return {k: lambda dose, d=d: make(d, dose) for k, d in kinds.items()}  # type: ignore[misc]

    moved, shuffled = own.abs(), _normal(trials, own)
    orders = {OWN: moved.argsort(1, descending=True), RANDOM_CHANNELS: shuffled.argsort(1)}

    def patched(source: Tensor) -> dict[str, Maker]:
        return {
            k: lambda share, o=o: patch(source, first_channels(o, share), 1.0, span)  # type: ignore[misc]
            for k, o in orders.items()
        }

    both, second = trials.values["both"], trials.values["second"]
    whole = torch.ones_like(own, dtype=torch.bool)
    return {
        ADD: Way((0.5, 1.0, 2.0), "strength", 1.0, along(lambda d, s: add(d, -s, span))),
        ABLATE: Way((0.5, 1.0), "strength", 1.0, along(lambda d, s: project(d, None, s, span))),
        MEAN: Way((0.5, 1.0), "strength", 1.0, along(lambda d, s: project(d, rest, s, span))),
        DENOISE: Way(_SHARES, _CHANNELS, 0.25, patched(second)),
        NOISE: Way(_SHARES, _CHANNELS, 0.25, patched(both), "second"),
        WALK: Way(
            (0.25, 0.5, 0.75, 1.0), "share of the way", 1.0,
            {OWN: lambda s: patch(second, whole, s, span)},
        ),
    }  # fmt: skip


def add(directions: Float[Tensor, "pair d"], strength: float, span_s: Span) -> EditFunction:
    """``x + s w``, each pair with its own direction: steering, in one pass over all pairs."""
    return _within(lambda x: x + strength * directions[:, None].to(x), span_s)


def project(
    directions: Float[Tensor, "pair d"],
    rest: Float[Tensor, "pair d"] | None,
    strength: float,
    span_s: Span,
) -> EditFunction:
    """``x - s ((x - m) · u) u``: the coordinate along u goes to that of m, or to zero."""

    def change(x: Tensor) -> Tensor:
        unit = torch.nn.functional.normalize(directions, dim=1).to(x)
        moved = x if rest is None else x - rest[:, None].to(x)
        along = torch.einsum("pfd,pd->pf", moved, unit)
        return x - strength * along[..., None] * unit[:, None]

    return _within(change, span_s)


def patch(
    source: Float[Tensor, "pair frame d"],
    channels: Bool[Tensor, "pair d"],
    strength: float,
    span_s: Span,
) -> EditFunction:
    """``x + s (source - x)`` on each pair's own channels."""
    return _within(lambda x: x + strength * channels[:, None] * (source.to(x) - x), span_s)


def first_channels(order: Int[Tensor, "pair d"], share: float) -> Bool[Tensor, "pair d"]:
    """A mask of the first channels of each pair's order, at least one."""
    n = max(1, round(share * order.shape[1]))
    mask = torch.zeros(order.shape, dtype=torch.bool)
    return mask.scatter(1, order[:, :n], value=True)


def _within(change: Callable[[Tensor], Tensor], span_s: Span) -> EditFunction:
    def edit(values: Tensor, time: TimeBase) -> Tensor:
        share = span_share(values.shape[1], time, *span_s)
        changed = change(values)
        if share is None:
            return changed
        return torch.where(share.to(values.device)[:, None] > 0, changed, values)

    return edit


def _normal(trials: NoteTrials, like: Tensor) -> Tensor:
    return torch.from_numpy(trials.rng.standard_normal(tuple(like.shape))).to(like)
