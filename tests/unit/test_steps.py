"""Reading and changing a generator at its steps."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from auscult.core.errors import SilentTapError, TapError, UnknownNameError, WidthError
from auscult.interventions.clamp import Clamp
from auscult.models.base import AudioModel
from auscult.models.generation import Prompt
from auscult.models.python import PythonModel
from auscult.taps.steps import ESTIMATE, STATE, Seen, StepEdit, trace
from auscult.testing.planted_generation import HOP, N_FRAMES, N_STEPS, RATE
from tests.known_dictionaries import topk

PROMPTS = [Prompt(f"p{i}", seed=i) for i in range(5)]


@pytest.fixture(scope="module")
def model() -> AudioModel:
    params = PythonModel.Params(
        path="auscult.testing.planted_generation",
        factory="PlantedGenerator",
        encode="encode",
        decode="decode",
        sample_rate=RATE,
    )
    return PythonModel.build(params, "trained", 0)


def seen_by(model: AudioModel, prompts: Sequence[Prompt] = PROMPTS, **more) -> list:
    found: list[tuple[tuple[str, ...], Seen]] = []
    for _ in trace(
        model, prompts, lambda p, s: found.append((tuple(x.name for x in p), s)), **more
    ):
        pass
    return found


def results(model: AudioModel, **more) -> torch.Tensor:
    return torch.cat([latents for _, latents in trace(model, PROMPTS, **more)])


def test_every_place_is_seen_once_at_every_step(model):
    found = seen_by(model, places=(STATE, ESTIMATE, "say"), rows=("conditional", "unconditional"))
    counts = {}
    for _, one in found:
        counts.setdefault((one.place, one.row), []).append(one.step)
    assert counts == {
        (STATE, None): list(range(N_STEPS + 1)),
        (ESTIMATE, None): list(range(N_STEPS)),
        ("say", "conditional"): list(range(N_STEPS)),
        ("say", "unconditional"): list(range(N_STEPS)),
    }


def test_rows_of_guidance_are_told_apart(model):
    found = {
        one.row: one.values
        for _, one in seen_by(
            model, places=("say",), steps=[3], rows=("conditional", "unconditional")
        )
    }
    # The planted network hears its unconditional rows with their channels reversed.
    torch.testing.assert_close(found["unconditional"], found["conditional"].flip(2))


def test_the_last_state_is_what_is_decoded(model):
    last = [one.values for _, one in seen_by(model, places=(STATE,), steps=[N_STEPS])]
    torch.testing.assert_close(torch.cat(last).transpose(1, 2), results(model), rtol=0, atol=0)


def test_batches_change_nothing(model):
    one, many = results(model, n_batch=1), results(model, n_batch=5)
    torch.testing.assert_close(one, many, rtol=0, atol=0)


def test_what_is_seen_is_an_own_copy(model):
    def spoil(prompts, seen):
        seen.values.fill_(1e6)

    spoiled = results(model, see=spoil, places=(STATE, ESTIMATE, "hear", "say"))
    torch.testing.assert_close(spoiled, results(model), rtol=0, atol=0)


def test_a_state_is_changed_at_the_steps_asked_for_and_stays_changed(model):
    before = [one.values for _, one in seen_by(model, places=(STATE,))]
    edit = StepEdit(STATE, lambda values, time: values + 0.25, range(4, 5))
    after = [one.values for _, one in seen_by(model, places=(STATE,), edits=[edit])]
    moved = torch.stack(after) - torch.stack(before)
    assert torch.all(moved[:4] == 0)
    torch.testing.assert_close(moved[4:], torch.full_like(moved[4:], 0.25))


def test_a_feature_is_set_at_one_step_within_a_span(model):
    one = topk(np.eye(3, dtype=np.float32), k=3)
    params = Clamp.Params(features=(0,), to=0.5, start_s=0.2, stop_s=0.6)
    edit = StepEdit(STATE, Clamp(params, one), [N_STEPS])
    before, after = results(model), results(model, edits=[edit])
    seconds = (torch.arange(N_FRAMES) + 0.5) * HOP / RATE
    inside = (seconds >= 0.2) & (seconds < 0.6)
    # What the dictionary cannot say, a negative value, is kept beside the feature.
    torch.testing.assert_close(
        after[:, 0, inside], before[:, 0, inside] + 0.5 - before[:, 0, inside].relu()
    )
    assert (after[:, 0, inside] != before[:, 0, inside]).all()
    torch.testing.assert_close(after[:, 1:], before[:, 1:])
    torch.testing.assert_close(after[..., ~inside], before[..., ~inside], rtol=0, atol=0)


def test_an_inner_tap_is_changed_in_one_row_only(model):
    edit = StepEdit("say", lambda values, time: values + 1, [2], ("unconditional",))
    rows = ("conditional", "unconditional")
    found = {
        (one.step, one.row): one.values
        for _, one in seen_by(model, places=("say",), rows=rows, edits=[edit])
    }
    plain = {
        (one.step, one.row): one.values for _, one in seen_by(model, places=("say",), rows=rows)
    }
    moved = {key for key in found if not torch.equal(found[key], plain[key])}
    assert moved == {(2, "unconditional")}
    # What the planted generator goes on from is its conditional row.
    torch.testing.assert_close(results(model, edits=[edit]), results(model), rtol=0, atol=0)


def test_an_inner_edit_of_the_conditional_row_changes_the_result(model):
    edit = StepEdit("say", lambda values, time: values + 1, [2], ("conditional",))
    torch.testing.assert_close(results(model, edits=[edit]), results(model) + 1)


def test_nothing_is_left_behind_after_an_error(model):
    def fail(values, time):
        raise ZeroDivisionError

    before = results(model)
    with pytest.raises(ZeroDivisionError):
        results(model, edits=[StepEdit("say", fail, [3])])
    assert not model.module.say._forward_hooks
    torch.testing.assert_close(results(model), before, rtol=0, atol=0)


def test_frames_lie_where_those_of_the_latents_lie(model):
    (_, one), *_ = seen_by(model, PROMPTS[:1], places=(STATE,), steps=[0])
    assert one.values.shape == (1, N_FRAMES, 3)
    assert one.time.hop == 320


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"places": ("sya",)}, UnknownNameError, "say"),
        ({"places": ("say@0",)}, TapError, "once a step"),
        ({"places": ("measure",)}, SilentTapError, "measure said nothing"),
        ({"places": ("say",), "steps": [N_STEPS]}, SilentTapError, "say said nothing"),
        (
            {"edits": [StepEdit("measure", lambda values, time: values, [1])]},
            SilentTapError,
            "nothing was changed",
        ),
        (
            {"edits": [StepEdit(STATE, lambda values, time: values[:, :2], [1])]},
            WidthError,
            "returned the shape",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(model, more, error, words):
    with pytest.raises(error, match=words):
        results(model, **more)


def test_a_model_without_a_generator_is_refused(model):
    params = PythonModel.Params(
        path="auscult.testing.planted_generation", factory="Notes", encode="encode",
        decode="decode", sample_rate=RATE,
    )  # fmt: skip
    with pytest.raises(TapError, match="no sound in steps"):
        seen_by(PythonModel.build(params, "trained", 0))
