"""Edits on many pairs at once are the registered edits, pair by pair; spans and doses hold."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from auscult.analyses.parts.codecs.note_edits import (
    DENOISE,
    NOISE,
    OWN,
    RANDOM_CHANNELS,
    WALK,
    add,
    first_channels,
    patch,
    project,
    ways_of,
)
from auscult.analyses.parts.codecs.note_trials import NoteTrials
from auscult.core.timebase import TimeBase
from auscult.interventions.ablate import Ablate, AblateParams
from auscult.interventions.patch import Patch, PatchParams
from auscult.interventions.steer import Steer, SteerParams

TIME = TimeBase(1_000, hop=Fraction(10), span=Fraction(10))
SPAN = (0.02, 0.05)


def drawn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


X, W, SOURCE = drawn(3, 8, 5), drawn(3, 5, seed=1), drawn(3, 8, 5, seed=2)


def by_pair(edit_of):
    """Slow twin: the registered edit of every pair."""
    return torch.cat([edit_of(i)(X[i : i + 1], TIME) for i in range(len(X))])


@pytest.mark.parametrize("span", [(None, None), SPAN])
def test_a_direction_is_added_and_projected_out_as_the_registered_edits_do(span):
    start, stop = span
    within = {"start_s": start, "stop_s": stop}
    fast = add(W, -0.7, span)(X, TIME)
    steered = by_pair(
        lambda i: Steer(SteerParams(direction=tuple(W[i].tolist()), strength=-0.7, **within))
    )
    torch.testing.assert_close(fast, steered)
    fast = project(W, None, 0.6, span)(X, TIME)
    ablated = by_pair(
        lambda i: Ablate(AblateParams(direction=tuple(W[i].tolist()), strength=0.6, **within))
    )
    torch.testing.assert_close(fast, ablated)


def test_frames_outside_the_span_are_the_very_frames():
    changed = add(W, 1.0, SPAN)(X, TIME)
    moved = (changed != X).any(-1)
    assert moved[0].tolist() == [False, False, True, True, True, False, False, False]


def test_a_coordinate_goes_to_that_of_the_mean_and_no_other_moves():
    rest = drawn(3, 5, seed=4)
    changed = project(W, rest, 1.0, (None, None))(X, TIME)
    unit = torch.nn.functional.normalize(W, dim=1)
    along = torch.einsum("pfd,pd->pf", changed, unit)
    wanted = torch.einsum("pd,pd->p", rest, unit)[:, None].expand_as(along)
    torch.testing.assert_close(along, wanted)
    left = changed - X
    across = left - torch.einsum("pfd,pd->pf", left, unit)[..., None] * unit[:, None]
    torch.testing.assert_close(across, torch.zeros_like(across), atol=1e-6, rtol=0)


def test_a_patch_of_all_channels_is_the_registered_one_and_of_some_leaves_the_rest():
    everything = torch.ones(3, 5, dtype=torch.bool)
    fast = patch(SOURCE, everything, 0.5, SPAN)(X, TIME)
    params = PatchParams(strength=0.5, start_s=SPAN[0], stop_s=SPAN[1])
    torch.testing.assert_close(fast, Patch(params, SOURCE)(X, TIME))
    some = first_channels(W.abs().argsort(1, descending=True), 0.4)
    assert some.sum(1).tolist() == [2, 2, 2]
    assert (W.abs()[some].min() >= 0) and torch.equal(
        some[0], W[0].abs() >= W[0].abs().sort().values[-2]
    )
    changed = patch(SOURCE, some, 1.0, (None, None))(X, TIME)
    assert torch.equal(changed == X, ~some[:, None].expand_as(X))


def test_a_planted_channel_is_enough_to_take_a_note_out_and_to_bring_it_in():
    """One channel of five holds the note: a fifth of the channels is the whole of it."""
    second = drawn(3, 8, 5)
    both = second.clone()
    both[..., 3] += 2.0
    directions = torch.zeros(3, 5)
    directions[:, 3] = 2.0
    trials = object.__new__(NoteTrials)  # what it measured, without a model
    trials.directions, trials.rest = directions, second.mean(1)
    trials.span_s, trials.rng = (None, None), np.random.default_rng(0)
    trials.values = {"both": both, "second": second}
    ways = ways_of(trials)
    torch.testing.assert_close(ways[DENOISE].edits[OWN](0.2)(both, TIME), second)
    torch.testing.assert_close(ways[NOISE].edits[OWN](0.2)(second, TIME), both)
    assert not torch.equal(ways[DENOISE].edits[RANDOM_CHANNELS](0.2)(both, TIME), second)
    torch.testing.assert_close(ways[WALK].edits[OWN](0.5)(both, TIME), (both + second) / 2)
    torch.testing.assert_close(ways["direction subtracted"].edits[OWN](1.0)(both, TIME), second)
