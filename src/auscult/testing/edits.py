"""Contract of an edit: subclass :class:`EditContract`, name yours, inherit the suite."""

from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from auscult.core.timebase import TimeBase
from auscult.interventions.base import EDITS, Edit

TIME = TimeBase(1_000, hop=TimeBase(1_000).hop * 10)


class EditContract:
    """What every edit promises.

    Attributes:
        name: Registered name.
        params: Settings at which it changes values ``[2 12 6]`` of standard normal numbers.
    """

    name: ClassVar[str]
    params: ClassVar[dict[str, Any]] = {}

    def edit(self, **changes: Any) -> Edit:
        """The edit with its settings, some changed."""
        cls, params = EDITS.parse({"type": self.name, **self.params, **changes}, "edit")
        return cls(params)

    @pytest.fixture
    def values(self) -> torch.Tensor:
        """Response vectors of two clips."""
        return torch.randn(2, 12, 6, generator=torch.Generator().manual_seed(1))

    def test_it_changes_something(self, values: torch.Tensor) -> None:
        """At its settings."""
        assert not torch.equal(self.edit()(values, TIME), values)

    def test_strength_0_changes_nothing(self, values: torch.Tensor) -> None:
        """Bit for bit."""
        assert torch.equal(self.edit(strength=0.0)(values, TIME), values)

    def test_it_works_out_of_place(self, values: torch.Tensor) -> None:
        """The model's own tensor stays as it was."""
        before = values.clone()
        self.edit()(values, TIME)
        assert torch.equal(values, before)

    def test_frames_outside_the_span_stay_bit_equal(self, values: torch.Tensor) -> None:
        """Hops are centred at 0.005 s, 0.015 s, …; the span holds frames 3 to 6."""
        changed = self.edit(start_s=0.03, stop_s=0.07)(values, TIME)
        assert torch.equal(changed[:, :3], values[:, :3])
        assert torch.equal(changed[:, 7:], values[:, 7:])
        assert not torch.equal(changed[:, 3:7], values[:, 3:7])

    def test_the_model_is_restored(self, values: torch.Tensor) -> None:
        """Also after an error in the block."""
        from auscult.taps.capture import intervene
        from auscult.testing.known_answer import as_model

        del values
        model = as_model(nn.Sequential(nn.Conv1d(1, 6, 3), nn.ReLU(), nn.Conv1d(6, 1, 3)), 1_000)
        sound = torch.randn(1, 1, 64, generator=torch.Generator().manual_seed(2))
        before = model.forward(sound)
        with intervene(model, {"0": self.edit()}):
            during = model.forward(sound)
        assert not torch.equal(during, before)
        with pytest.raises(ZeroDivisionError), intervene(model, {"0": self.edit()}):
            raise ZeroDivisionError
        assert torch.equal(model.forward(sound), before)
