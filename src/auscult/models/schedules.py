"""What a scheduler of diffusers says of one step: how much is noise, and which clean latents.

Every scheduler holds a sample ``x = a · x₀ + s · ε``; they differ in how they say a and s, and in
what their network predicts.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import ConfigError

Convention = Literal["flow", "edm", "sigmas", "solver", "alphas"]
"""How a scheduler says its noise.

A straight flow ``(1 - σ) x₀ + σ ε``; ``x₀ + σ ε`` with inputs and outputs scaled around the network
(EDM, Karras et al. 2022), or with inputs scaled alone; ``a² + s² = 1`` from σ (the DPM solvers), or
by timestep.
"""

_OUT_OF_ORDER = ("KDPM2", "DPMSolverSDE", "PNDM")
"""Their network hears midpoints, or one sample twice, which are no states of a trajectory."""


@dataclass(frozen=True)
class Mixture:
    """How much of a sample is signal and how much is noise.

    Attributes:
        signal: Factor a of the clean latents.
        noise: Factor s of noise of unit deviation.
        deviation: Of clean latents, as the scheduler supposes it.
    """

    signal: float
    noise: float
    deviation: float = 1.0

    @property
    def share(self) -> float:
        """The noise's part of the sample's standard deviation, from 0 to 1."""
        signal = self.signal * self.deviation
        return float(self.noise / (self.noise**2 + signal**2) ** 0.5) if self.noise else 0.0


def convention_of(scheduler: Any) -> Convention:
    """How a scheduler says its noise, found by what it offers.

    Raises:
        ConfigError: In none of the known ways, or its samples are not one behind another.
    """
    name = type(scheduler).__name__
    if name.startswith(_OUT_OF_ORDER):
        raise ConfigError(
            f"the scheduler {name} evaluates its network between states: give the pipeline one "
            f"that does not, such as DDIMScheduler or DPMSolverMultistepScheduler"
        )
    if hasattr(scheduler, "precondition_outputs"):
        return "edm"
    if name.startswith("FlowMatch"):
        return "flow"
    if hasattr(scheduler, "_sigma_to_alpha_sigma_t"):
        return "solver"
    # Where the first noise depends on the schedule it is a property, elsewhere the number 1.
    if hasattr(scheduler, "sigmas") and hasattr(type(scheduler), "init_noise_sigma"):
        return "sigmas"
    if hasattr(scheduler, "alphas_cumprod"):
        return "alphas"
    raise ConfigError(
        f"the scheduler {name} does not say how much noise a step holds in a way that is known "
        f"here: give the pipeline one that does, such as DDIMScheduler"
    )


def is_flow(scheduler: Any) -> bool:
    """Whether its samples lie on a straight line between noise and result."""
    return _prediction(scheduler) == "flow_prediction"


def mixture_at(scheduler: Any, timestep: Tensor) -> Mixture:
    """Signal and noise of the sample that goes into a step."""
    convention = convention_of(scheduler)
    if convention == "alphas":
        kept = float(scheduler.alphas_cumprod[int(timestep)])
        return Mixture(kept**0.5, (1 - kept) ** 0.5)
    sigma = _sigma(scheduler, timestep)
    if convention == "flow":
        noise = 1 - sigma if _rises(scheduler) else sigma
        return Mixture(1 - noise, noise)
    if convention == "edm":
        return Mixture(1.0, sigma, float(scheduler.config.sigma_data))
    if convention == "sigmas":
        return Mixture(1.0, sigma)
    signal, noise = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[scheduler.step_index])
    return Mixture(float(signal), float(noise))


def clean_estimate(
    scheduler: Any, timestep: Tensor, sample: Float[Tensor, "*shape"], said: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """The clean latents x₀ that a network's prediction amounts to, jumped to in one step.

    From ``x = a x₀ + s ε``: of a prediction of ε, ``(x - s ε) / a``; of v (Salimans & Ho 2022,
    appendix D), ``a x - s v`` where a² + s² = 1, and the same after scaling by √(a² + s²)
    elsewhere; of a flow's velocity ``ε - x₀``, ``x - s v`` (a schedule whose σ rises has the
    opposite velocity). Clipping and thresholding, which some
    schedulers add for pictures, are left out.

    Args:
        scheduler: At this step; it is not moved on.
        timestep: Of the step.
        sample: What goes into it.
        said: What the network predicts of it, guidance included.

    Raises:
        ConfigError: The kind of prediction is not known.
    """
    mixture, kind = mixture_at(scheduler, timestep), _prediction(scheduler)
    clean: Tensor
    if convention_of(scheduler) == "edm":
        clean = scheduler.precondition_outputs(sample, said, mixture.noise)
        return clean
    if kind in ("sample", "original_sample"):
        return said
    if kind == "epsilon":
        clean = (sample - mixture.noise * said) / mixture.signal
        return clean
    if kind == "v_prediction":
        squared = mixture.signal**2 + mixture.noise**2
        return mixture.signal / squared * sample - mixture.noise / math.sqrt(squared) * said
    if kind == "flow_prediction":
        return sample + mixture.noise * said * (1 if _rises(scheduler) else -1)
    raise ConfigError(
        f"the scheduler {type(scheduler).__name__} has its network predict {kind!r}, of which no "
        f"clean estimate is known here"
    )


def _prediction(scheduler: Any) -> str:
    if convention_of(scheduler) == "flow":
        return "flow_prediction"
    return str(getattr(scheduler.config, "prediction_type", "epsilon"))


def _rises(scheduler: Any) -> bool:
    """Whether a flow's σ says how much is signal, from 0 to 1, and its network predicts x₀ - ε."""
    return bool(getattr(scheduler.config, "invert_sigmas", False))


def _sigma(scheduler: Any, timestep: Tensor) -> float:
    """The noise level of the step at hand; a scheduler that has not begun yet is told where."""
    if scheduler.step_index is None:
        scheduler._init_step_index(timestep)
    return float(scheduler.sigmas[scheduler.step_index])
