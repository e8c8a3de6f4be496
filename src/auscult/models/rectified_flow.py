"""Sampling a rectified flow: Euler's steps along a velocity, each of which can be watched."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import InvariantError
from auscult.core.rng import seed_of
from auscult.models.generation import Step, Watch

Velocity = Callable[[Tensor, float], Tensor]
"""Latents and the time in [0, 1) to latents per unit of time."""


def euler(
    velocity: Velocity,
    noise: Float[Tensor, "prompt d_latent frame"],
    n_steps: int,
    watch: Watch | None = None,
) -> Float[Tensor, "prompt d_latent frame"]:
    """Go from noise to clean latents in equal steps (METHODS 2.5): ``x + v(x, t) / n_steps``.

    From ``x_t`` the straight line ends at ``x_t + (1 - t) v``: the one-step clean estimate. At the
    last step the two are the same.

    Args:
        velocity: Of the flow.
        noise: Where it begins.
        n_steps: Steps; there is one state more.
        watch: Sees them.

    Raises:
        InvariantError: The watch returned latents of another shape.
    """
    state = noise
    for index in range(n_steps):
        time = index / n_steps
        state = _changed(watch, Step(index, n_steps, time, state))
        flow = velocity(state, time)
        if watch is not None:
            watch(Step(index, n_steps, time, state, state + (1 - time) * flow))
        state = state + flow / n_steps
    return _changed(watch, Step(n_steps, n_steps, 1.0, state))


def _changed(watch: Watch | None, step: Step) -> Tensor:
    new = None if watch is None else watch(step)
    if new is None:
        return step.state
    if new.shape != step.state.shape:
        raise InvariantError(
            f"latents of the shape {list(new.shape)} cannot take the place of "
            f"{list(step.state.shape)}"
        )
    return new.to(step.state.dtype)


def noise_of(seeds: list[int], d_latent: int, n_frames: int) -> Float[Tensor, "prompt d_latent n"]:
    """Standard normal noise, each prompt's own: it does not depend on the batch."""
    drawn = [
        torch.randn(
            d_latent, n_frames, generator=torch.Generator().manual_seed(seed_of(seed, "noise"))
        )
        for seed in seeds
    ]
    return torch.stack(drawn)
