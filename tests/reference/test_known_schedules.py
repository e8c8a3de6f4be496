"""Clean estimates and noise levels beside what the schedulers of diffusers say themselves."""

import copy

import pytest
import torch

from auscult.core.errors import ConfigError
from auscult.models.schedules import clean_estimate, is_flow, mixture_at

diffusers = pytest.importorskip("diffusers")
# diffusers 0.42 asks NumPy 2 for arrays in the old way.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]

PREDICTIONS = ("epsilon", "v_prediction", "sample")
OWN_ESTIMATE = {
    "DDIMScheduler": {"clip_sample": False},
    "DDPMScheduler": {"clip_sample": False},
    "EulerDiscreteScheduler": {},
    "EulerAncestralDiscreteScheduler": {},
    "HeunDiscreteScheduler": {},
    "LMSDiscreteScheduler": {},
}
"""Those that return ``pred_original_sample``."""
UNKNOWN = [("LMSDiscreteScheduler", "sample"), ("EulerAncestralDiscreteScheduler", "sample")]
"""What the library itself does not implement."""
CONVERTED = {
    "DPMSolverMultistepScheduler": {},
    "DPMSolverSinglestepScheduler": {},
    "UniPCMultistepScheduler": {},
    "SASolverScheduler": {},
}
"""Those that convert each prediction to clean latents before they solve."""
CONTINUOUS = ("EDMEulerScheduler", "EDMDPMSolverMultistepScheduler")


def walk(scheduler, n_steps=5):
    """Timestep, sample, prediction and state of the scheduler before and after each of its steps."""
    scheduler.set_timesteps(n_steps)
    rng = torch.Generator().manual_seed(0)
    sample = torch.randn(1, 4, 6, generator=rng) * float(scheduler.init_noise_sigma)
    for timestep in scheduler.timesteps:
        scheduler.scale_model_input(sample, timestep)
        said = torch.randn(1, 4, 6, generator=rng)
        estimate = clean_estimate(scheduler, timestep, sample, said)
        before = copy.deepcopy(scheduler)
        after = scheduler.step(said, timestep, sample)
        yield timestep, sample, said, estimate, before, after
        sample = after.prev_sample


def made(name, prediction, settings):
    return getattr(diffusers, name)(prediction_type=prediction, **settings)


@pytest.mark.parametrize(
    ("name", "prediction"),
    [(n, p) for n in OWN_ESTIMATE for p in PREDICTIONS if (n, p) not in UNKNOWN],
)
def test_estimates_are_those_that_a_step_returns(name, prediction):
    scheduler = made(name, prediction, OWN_ESTIMATE[name])
    for _, _, _, estimate, _, after in walk(scheduler):
        torch.testing.assert_close(estimate, after.pred_original_sample, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", CONVERTED)
def test_estimates_are_those_that_a_solver_goes_on_from(name, prediction):
    scheduler = made(name, prediction, CONVERTED[name])
    for _, sample, said, estimate, before, _ in walk(scheduler):
        converted = before.convert_model_output(said, sample=sample)
        torch.testing.assert_close(estimate, converted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_estimates_of_continuous_noise(name, prediction):
    scheduler = made(name, prediction, {"sigma_max": 80.0})
    for _, sample, said, estimate, before, after in walk(scheduler):
        if hasattr(after, "pred_original_sample"):
            converted = after.pred_original_sample
        else:
            converted = before.convert_model_output(said, sample=sample)
        torch.testing.assert_close(estimate, converted, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Should have:UserWarning")
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_estimates_of_stable_audios_own_scheduler(prediction):
    pytest.importorskip("torchsde", reason="newer than this environment: tests/SKIPS.md")
    scheduler = made("CosineDPMSolverMultistepScheduler", prediction, {"sigma_max": 80.0})
    for _, sample, said, estimate, before, _ in walk(scheduler):
        converted = before.convert_model_output(said, sample=sample)
        torch.testing.assert_close(estimate, converted, rtol=1e-4, atol=1e-4)


FLOWS = {
    "falling": ("FlowMatchEulerDiscreteScheduler", {}),
    "rising": ("FlowMatchEulerDiscreteScheduler", {"invert_sigmas": True}),
    "solver": (
        "DPMSolverMultistepScheduler",
        {"prediction_type": "flow_prediction", "use_flow_sigmas": True},
    ),
}


@pytest.mark.parametrize("kind", FLOWS)
def test_a_straight_flow_is_seen_through_from_anywhere(kind):
    """Given the true velocity every state of the flow leads to the clean latents in one step."""
    name, settings = FLOWS[kind]
    scheduler = getattr(diffusers, name)(**settings)
    assert is_flow(scheduler)
    scheduler.set_timesteps(6)
    rng = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 1, 4, 6, generator=rng)
    velocity = clean - noise if kind == "rising" else noise - clean
    state, times = noise, []
    for timestep in scheduler.timesteps:
        mixture = mixture_at(scheduler, timestep)
        times.append(mixture.signal)
        there = mixture.signal * clean + mixture.noise * noise
        estimate = clean_estimate(scheduler, timestep, there, velocity)
        torch.testing.assert_close(estimate, clean, rtol=1e-4, atol=1e-4)
        state = scheduler.step(velocity, timestep, state).prev_sample
    assert times == sorted(times)
    if kind != "solver":
        torch.testing.assert_close(state, clean, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "name", ["DDIMScheduler", "EulerDiscreteScheduler", "UniPCMultistepScheduler"]
)
def test_noise_is_as_the_scheduler_adds_it(name):
    """Signal and noise are what ``add_noise`` makes of ones and of nothing."""
    scheduler = getattr(diffusers, name)()
    scheduler.set_timesteps(5)
    for timestep in scheduler.timesteps:
        begun = copy.deepcopy(scheduler)
        mixture = mixture_at(begun, timestep)
        ones, none = torch.ones(1, 2, 3), torch.zeros(1, 2, 3)
        signal = scheduler.add_noise(ones, none, timestep[None]).mean()
        noise = scheduler.add_noise(none, ones, timestep[None]).mean()
        assert mixture.signal == pytest.approx(float(signal), rel=1e-4)
        assert mixture.noise == pytest.approx(float(noise), rel=1e-4)


@pytest.mark.parametrize("name", ["KDPM2DiscreteScheduler", "PNDMScheduler", "IPNDMScheduler"])
def test_schedulers_whose_samples_are_no_states_are_refused(name):
    """Between states, one sample twice, or with no word on the noise."""
    with pytest.raises(ConfigError, match=name):
        mixture_at(getattr(diffusers, name)(), torch.tensor(3))
