"""Contract of a model family.

Subclass :class:`ModelContract`, say how to build it, inherit the suite.
"""

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Weights
from auscult.models.stimulus import harmonic_noise
from auscult.models.structures import first_tensor
from auscult.taps.capture import capture, intervene
from auscult.taps.layout import surveyed
from auscult.taps.probe import verify_time_base


def _negated(values: Tensor, time: TimeBase) -> Tensor:
    del time
    return -values


class ModelContract:
    """What every model family promises.

    Attributes:
        section: The ``[model]`` section of a small instance, without weights.
        verified: Roles or paths whose declared time base is compared with the input gradient; all
            that the family lists and declares when empty.
        n_samples: Length of the clips it is tried on; 0 for that of its probes, or half a second.
    """

    section: ClassVar[dict[str, Any]]
    verified: ClassVar[tuple[str, ...]] = ()
    n_samples: ClassVar[int] = 0

    @classmethod
    def build(cls, weights: Weights = "random", seed: int = 0) -> AudioModel:
        """Make the model from its section."""
        family, params = MODELS.parse(cls.section, "model")
        return family.build(params, weights, seed)

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls) -> AudioModel:
        """One instance for the whole suite, so that a test that leaves traces is found out."""
        return cls.build()

    def sound(self, model: AudioModel, seed: int = 0, n_clips: int = 2) -> Tensor:
        """Synthetic sound that suits the model."""
        n_samples = self.n_samples or model.probe_samples or model.sample_rate // 2
        return harmonic_noise(model.sample_rate, model.n_channels, n_samples, n_clips, seed)

    def output(self, model: AudioModel, sound: Tensor) -> Tensor:
        """The first tensor that the model returns, without gradients."""
        with torch.no_grad():
            found = first_tensor(model.forward(sound))
        assert found is not None
        return found

    def addresses(self, model: AudioModel) -> list[str]:
        """The listed taps that fire in a pass, and once."""
        calls = {path: firing.n_calls for path, firing in surveyed(model).items()}
        return [
            tap.role or tap.path
            for tap in model.taps()
            if not tap.decodes and ("out" in tap.methods or calls.get(tap.path, 1) == 1)
        ]

    def test_it_says_what_it_hears(self, model: AudioModel) -> None:
        """Its rate, its channels, its weights, its name."""
        assert model.sample_rate > 0
        assert model.n_channels > 0
        assert model.weights == "random"
        assert model.name
        assert not model.module.training

    def test_its_roles_are_its_own(self, model: AudioModel) -> None:
        """No role twice, and each leads to a module."""
        roles = [tap.role for tap in model.taps() if tap.role]
        assert len(set(roles)) == len(roles)
        for tap in model.taps():
            model.module.get_submodule(tap.path)

    def test_its_output_depends_on_the_sound(self, model: AudioModel) -> None:
        """Two sounds differ in it by a tenth of its size.

        They do not in a random network with loud biases or stale statistics, nor in a codec with
        empty tables.
        """
        one, other = (self.output(model, self.sound(model, seed)) for seed in (0, 1))
        one, other = one.double(), other.double()
        assert float((one - other).norm()) > 0.1 * float(one.norm())

    def test_clips_of_a_batch_do_not_meet(self, model: AudioModel) -> None:
        """A clip's output is the same alone and beside another, to rounding."""
        sound = self.sound(model)
        together, alone = self.output(model, sound), self.output(model, sound[:1])
        torch.testing.assert_close(together[:1], alone, rtol=1e-3, atol=1e-4)

    def test_the_seed_decides_random_weights(self) -> None:
        """Equal seeds give equal weights, others others; torch's own state plays no part."""
        weights = []
        for seed in (1, 1, 2):
            torch.rand(seed)
            weights.append(
                torch.cat([p.flatten() for p in self.build(seed=seed).module.parameters()])
            )
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])

    def test_capturing_every_tap_leaves_it_bit_equal(self, model: AudioModel) -> None:
        """And what is captured is as wide as it says, one clip a row."""
        sound, addresses = self.sound(model), self.addresses(model)
        before = self.output(model, sound)
        with torch.no_grad(), capture(model, addresses) as captured:
            during = first_tensor(model.forward(sound))
        assert set(captured) == set(addresses)
        assert all(len(responses.values) == len(sound) for responses in captured.values())
        assert during is not None
        assert torch.equal(during, before)
        assert torch.equal(self.output(model, sound), before)

    def test_an_edit_acts_and_is_undone(self, model: AudioModel) -> None:
        """At the first tap that the sound passes; also after an error in the block."""
        sound, first = self.sound(model), self.addresses(model)[0]
        before = self.output(model, sound)
        with intervene(model, {first: _negated}):
            assert not torch.equal(self.output(model, sound), before)
        with pytest.raises(ZeroDivisionError), intervene(model, {first: _negated}):
            raise ZeroDivisionError
        assert torch.equal(self.output(model, sound), before)

    def test_declared_time_bases_are_those_of_the_gradient(self, model: AudioModel) -> None:
        """Hop and support, exactly, wherever a time base is declared."""
        wanted = self.verified or tuple(
            tap.role or tap.path for tap in model.taps() if model.time_base(tap) is not None
        )
        checked = {address: verify_time_base(model, address) for address in wanted}
        assert {address: c for address, c in checked.items() if not c.equal} == {}
