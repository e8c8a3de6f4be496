"""Behind a quantiser no gradient passes: count in latent frames, which can be moved one by one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import TapError
from auscult.core.timebase import TimeBase
from auscult.models.base import AudioModel
from auscult.models.stimulus import harmonic_noise
from auscult.taps.point import ResolvedTap
from auscult.taps.support import heard_latents, moved_frames, read_from_latents

_N_LATENTS = (48, 96, 192, 384, 768)
_ENOUGH = 192


@dataclass(frozen=True)
class _Moves:
    """What the first of some latents moves, and how that advances from latent to latent.

    Attributes:
        first: First frame that it moves.
        last: Last frame that it moves.
        per_latent: Frames by which both advance.
        all_later: Whether it moves everything after its first frame.
        everywhere: Whether it moves every frame.
    """

    first: int
    last: int
    per_latent: int
    all_later: bool = False
    everywhere: bool = False


def time_from_latents(
    model: AudioModel, tap: ResolvedTap, latent_time: TimeBase, hint: TimeBase | None, longest: int
) -> TimeBase:
    """Find the frames that a latent moves, and place them in time.

    Replacing latent ``k`` moves the outputs a + q·k … b + q·k, so output ``j`` hears the latents
    from (j − b) / q to (j − a) / q: the map of a transposed convolution of stride q.

    Args:
        model: A codec.
        tap: A tap of its quantiser or decoder.
        latent_time: Time base of its latents.
        hint: What is declared for the tap, if anything: it says whether the past has an end.
        longest: Samples of the longest clip to try.

    Raises:
        TapError: Outputs do not follow the latents evenly.
    """
    placed: TimeBase | None = None
    for n_latents in _N_LATENTS:
        if n_latents > 96 and n_latents * latent_time.hop > longest:
            break
        latents = _latents(model, n_latents, latent_time)
        start = latents.shape[-1] // 2
        positions = range(start, min(start + 3, latents.shape[-1]))
        moved = [
            moved_frames(lambda z: read_from_latents(model, tap, z), latents, position)
            for position in positions
        ]
        found = _advance([m for m in moved if m is not None], len(moved))
        if found is None and moved[0] is not None:
            found = _by_gradient(model, tap, latents, start, moved[0])
        if found is None:
            continue
        n_frames = len(read_from_latents(model, tap, latents))
        placed = _placed(latent_time, found, start, Fraction(n_frames, latents.shape[-1]))
        # A decoder that reaches beyond the clip looks like one that never forgets.
        bounded = not (found.all_later or found.everywhere)
        known = hint is not None or latent_time.global_ or model.probe_samples
        if bounded or known or n_latents >= _ENOUGH:
            return placed
    if placed is None:
        raise TapError(f"the frames of {tap.address} do not follow the latents evenly")
    return placed


def _advance(moved: list[tuple[int, int]], n_wanted: int) -> _Moves | None:
    """Whether the moved frames advance evenly from latent to latent, clear of the clip's ends."""
    if not moved or len(moved) < n_wanted:
        return None
    first, last = moved[0]
    if len(set(moved)) == 1 and first == 0:
        return _Moves(first, last, 1, everywhere=True)
    steps = {b[0] - a[0] for a, b in pairwise(moved)}
    ends = {b[1] - a[1] for a, b in pairwise(moved)}
    if len(steps) != 1 or (step := steps.pop()) <= 0:
        return None
    if ends not in ({0}, {step}):
        return None
    return _Moves(first, last, step, all_later=ends == {0})


def _by_gradient(
    model: AudioModel,
    tap: ResolvedTap,
    latents: Float[Tensor, "1 d_latent frame"],
    position: int,
    near: tuple[int, int],
) -> _Moves | None:
    """What a latent moves, where its reach fades below rounding: from what each output hears.

    Args:
        model: A codec.
        tap: A tap of its decoder.
        latents: Of synthetic sound.
        position: The latent.
        near: First and last output that were seen to move; the true ones lie at most two latents
            further out.
    """
    n_frames, n_latents = len(read_from_latents(model, tap, latents)), latents.shape[-1]
    if n_frames % n_latents:
        return None
    step = n_frames // n_latents
    heard = heard_latents(model, tap, latents)

    def reaches(frame: int, latent: int) -> bool:
        found = heard(frame) if 0 <= frame < n_frames else None
        return found is not None and found[0] <= latent <= found[1]

    if not all(reaches(frame, position) for frame in near):
        return None
    first = _edge(near[0], near[0] - 2 * step, lambda frame: reaches(frame, position))
    last = _edge(near[1], near[1] + 2 * step, lambda frame: reaches(frame, position))
    if first is None or last is None:
        return None
    ends = [(first + step, True), (first + step - 1, False), (last + step, True)]
    ends.append((last + step + 1, False))
    even = all(reaches(frame, position + 1) == wanted for frame, wanted in ends)
    return _Moves(first, last, step) if even else None


def _edge(inside: int, outside: int, holds: Callable[[int], bool]) -> int | None:
    """The last place, going outwards, where something holds; None if it holds outside too."""
    if holds(outside):
        return None
    while abs(outside - inside) > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside


def _placed(latent_time: TimeBase, found: _Moves, start: int, ratio: Fraction) -> TimeBase:
    """The time base of frames that the latents from ``start`` on move as ``found`` says."""
    hop = latent_time.hop
    if found.everywhere or latent_time.global_:
        return replace(latent_time, hop=hop / ratio, global_=True)
    per_latent = found.per_latent
    first, last = found.first - per_latent * start, found.last - per_latent * start
    if found.all_later or latent_time.unbounded_past:
        right = latent_time.offset + (latent_time.span - 1) / 2 + hop * Fraction(-first, per_latent)
        return replace(
            latent_time, hop=hop / per_latent, offset=right, span=Fraction(1), unbounded_past=True
        )
    return replace(
        latent_time,
        hop=hop / per_latent,
        offset=latent_time.offset - hop * Fraction(first + last, 2 * per_latent),
        span=latent_time.span + hop * Fraction(last - first, per_latent),
    )


_cache: "WeakKeyDictionary[AudioModel, dict[int, Tensor]]" = WeakKeyDictionary()


def _latents(
    model: AudioModel, n_latents: int, latent_time: TimeBase
) -> Float[Tensor, "1 d_latent frame"]:
    """The latents of synthetic sound."""
    known = _cache.setdefault(model, {})
    if n_latents not in known:
        if model.codec is None:
            raise TapError(f"{model.name} has no latents")
        n_samples = model.probe_samples or int(n_latents * latent_time.hop)
        with torch.no_grad():
            sound = harmonic_noise(model.sample_rate, model.n_channels, n_samples)
            known[n_latents] = model.codec.encode(sound)
    return known[n_latents]
