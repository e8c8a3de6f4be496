"""Which samples a frame hears, found by the input gradient.

Which frames a latent moves, found by moving it.
"""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from auscult.core.errors import SilentTapError
from auscult.core.rng import seed_of
from auscult.models.base import AudioModel
from auscult.models.stimulus import harmonic_noise
from auscult.taps.hooks import StopPass, attach
from auscult.taps.layout import joined, layout_of, to_frames, with_plain_gradient
from auscult.taps.point import ResolvedTap
from auscult.taps.session import Session
from auscult.taps.structure import Smooth, Structural

_FAINT = 1e6
"""How many times the smallest float a gradient is that still fades, and does not end."""


@dataclass(frozen=True)
class Support:
    """First and last input position that one frame hears."""

    frame: int
    first: int
    last: int


@dataclass(frozen=True)
class Reading:
    """The frames of a tap for one clip, attached to the input they came from.

    Attributes:
        sound: The input ``[1 channel time]``, which wants a gradient.
        frames: Items folded into the batch, their frames, their vectors.
    """

    sound: Tensor
    frames: Shaped[Tensor, "item frame d_in"]

    @property
    def n_items(self) -> int:
        """Frames of the clip that were folded into the batch; 1 when none were."""
        return len(self.frames)

    @property
    def n_frames(self) -> int:
        """Frames in all."""
        return len(self.frames) * self.frames.shape[1]


def read(model: AudioModel, tap: ResolvedTap, n_samples: int, shift: int = 0) -> Reading:
    """Run synthetic sound up to a tap, structurally, keeping the graph.

    Args:
        model: The model.
        tap: Where to read.
        n_samples: Length of the sound.
        shift: Start this many samples later in the same sound.

    Raises:
        TapError: The tap does not fire.
    """
    rate, channels = model.sample_rate, model.n_channels
    sound = harmonic_noise(rate, channels, n_samples + shift)[..., shift:].clone()
    sound.requires_grad_(True)
    with torch.inference_mode(False), torch.enable_grad(), Structural():
        return Reading(sound, _frames_at(model, tap, lambda: model.forward(sound)))


def _frames_at(
    model: AudioModel, tap: ResolvedTap, run: Callable[[], object]
) -> Shaped[Tensor, "item frame d_in"]:
    """What a tap says during a run, which ends there; of ``@*`` all calls behind one another."""
    seen: list[Tensor] = []
    session = Session(model, [tap], stop=True)

    def see(tensor: Tensor) -> None:
        if session.is_meant(tap):
            # The next module may work in place.
            seen.append(with_plain_gradient(tensor).clone())
            session.stop_if_done()

    with ExitStack() as stack:
        attach(stack, model, tap, see)
        with suppress(StopPass):
            run()
    session.check()
    calls = [to_frames(tensor, layout_of(model, tap, tensor)) for tensor in seen]
    return joined(tap.address, calls)


def supports(reading: Reading, frames: list[int]) -> list[Support]:
    """What each of some frames hears; frames are counted through the items.

    Frames without any gradient are left out.
    """
    rng = torch.Generator().manual_seed(seed_of(0, "projection"))
    weights = torch.randn(reading.frames.shape[-1], generator=rng)
    found = []
    # Callers capture without gradients; the support needs them all the same.
    with torch.inference_mode(False), torch.enable_grad():
        flat = reading.frames.flatten(0, 1)
        for frame in frames:
            if not flat.requires_grad:
                break
            value = (flat[frame] * weights).sum()
            gradient: Tensor | None = torch.autograd.grad(
                value, reading.sound, retain_graph=True, allow_unused=True
            )[0]
            ends = None if gradient is None else _ends(gradient)
            if ends is not None:
                found.append(Support(frame, *ends))
    return found


def _ends(gradient: Float[Tensor, "1 axis position"]) -> tuple[int, int] | None:
    """First and last position that a gradient arrives at; None where none arrives.

    Through a recurrence it fades from frame to frame, until its floats end and not what is heard:
    an end that faint stands for the beginning, or the end, of the clip.
    """
    strength = gradient.abs().amax(1)[0]
    # A gradient that is not a number still says that something arrived.
    heard = (strength != 0).nonzero()
    if not len(heard):
        return None
    first, last = int(heard[0]), int(heard[-1])
    faint = _FAINT * torch.finfo(gradient.dtype).tiny
    return (
        0 if strength[first] < faint else first,
        len(strength) - 1 if strength[last] < faint else last,
    )


def moved_frames(
    run: Callable[[Tensor], Tensor], latents: Float[Tensor, "1 d_latent frame"], position: int
) -> tuple[int, int] | None:
    """First and last output frame that changes when one latent vector is replaced by others.

    The others are a thousand times larger, so that a small share of them is not lost in rounding.
    """
    changed: Tensor | None = None
    rng = torch.Generator().manual_seed(seed_of(0, "moved", position))
    before = run(latents)
    for _ in range(3):
        other = latents.clone()
        mix = torch.randn(latents.shape[1], generator=rng)
        other[0, :, position] = 1000 * latents.std() * mix
        different = (run(other) != before).any(-1)
        changed = different if changed is None else changed | different
    where = torch.zeros(0) if changed is None else changed.nonzero()
    return (int(where[0]), int(where[-1])) if len(where) else None


def read_from_latents(
    model: AudioModel,
    tap: ResolvedTap,
    latents: Float[Tensor, "1 d_latent frame"],
    graph: bool = False,
) -> Shaped[Tensor, "heard d_in"]:
    """What a tap behind the encoder says while latents are quantised and decoded.

    Args:
        model: A codec.
        tap: A tap of its quantiser or decoder.
        latents: What the encoder said, or something else.
        graph: Keep the way back to the latents, structurally, instead of smoothing the way there.

    Raises:
        SilentTapError: The tap fires in neither.
    """
    codec = model.codec
    if codec is None:
        raise SilentTapError(f"{tap.address}: {model.name} has no latents to start from")

    def run() -> None:
        if codec.quantise is not None:
            codec.quantise(latents)
        codec.decode(latents)

    with torch.set_grad_enabled(graph), Structural() if graph else Smooth():
        return _frames_at(model, tap, run).flatten(0, 1)


def heard_latents(
    model: AudioModel, tap: ResolvedTap, latents: Float[Tensor, "1 d_latent frame"]
) -> Callable[[int], tuple[int, int] | None]:
    """A function from an output frame to the first and the last latent that it hears.

    By the gradient, which keeps what rounding swallows: the ends of a long filter are small. None
    where no gradient arrives.
    """
    inputs = latents.detach().clone().requires_grad_(True)
    rng = torch.Generator().manual_seed(seed_of(0, "projection"))
    with torch.inference_mode(False), torch.enable_grad():
        frames = read_from_latents(model, tap, inputs, graph=True)
        weights = torch.randn(frames.shape[-1], generator=rng)

    def heard(frame: int) -> tuple[int, int] | None:
        if not frames.requires_grad:
            return None
        value = (frames[frame] * weights).sum()
        gradient: Tensor | None = torch.autograd.grad(
            value, inputs, retain_graph=True, allow_unused=True
        )[0]
        return None if gradient is None else _ends(gradient)

    return heard


def hop_from_lengths(count: Callable[[int], int], n_samples: int, near: Fraction) -> Fraction:
    """The hop as the distance between lengths at which a frame is added, found by bisection.

    For taps that hear the whole clip, whose gradient says nothing about frames. ``near`` may be
    several times too short: a clip of few frames tells little.
    """
    steps = 8

    def length_of(n_frames: int, low: int, high: int) -> int:
        for _ in range(3):
            if count(high) < n_frames:
                low, high = high, 2 * high - low
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if count(middle) >= n_frames else (middle, high)
        return high

    start = count(n_samples)
    reach = int(near * 2) + 2
    first = length_of(start + 1, n_samples, n_samples + reach)
    last = length_of(start + 1 + steps, first, first + int(near * (steps + 2)) + 2)
    return Fraction(last - first, steps)
