"""Planted filters: narrow ones follow partials and stay in their band, broad ones do neither."""

import numpy as np
import pytest

from auscult.core.timebase import TimeBase
from auscult.measures.mixture_hearing import (
    BANK_READERS,
    draw_mixtures,
    gammatone_layer,
    hear_mixtures,
)
from auscult.measures.partials import MixtureFit, following, pool
from auscult.measures.tones import gammatone_centres_hz
from auscult.testing.studies import answer, open_study

NET = """
import math
import torch

def waves(rate, centres, n):
    t = (torch.arange(n) - n / 2) / rate
    return torch.stack(
        [torch.cos(2 * math.pi * hz * t) * torch.exp(-0.5 * (t * hz / 3) ** 2) for hz in centres]
    )

class Net(torch.nn.Module):
    sample_rate = 8000
    def __init__(self, filters):
        super().__init__()
        self.conv = torch.nn.Conv1d(1, len(filters), filters.shape[1], 4, bias=False)
        self.conv.weight.data = (filters / filters.norm(dim=1, keepdim=True))[:, None]
        self.relu = torch.nn.ReLU()
    def forward(self, x):
        return self.relu(self.conv(x))

def narrow():
    return Net(waves(8000, [250.0 * 2 ** (k / 3) for k in range(10)], 512))

def short():
    return Net(torch.randn(10, 7, generator=torch.Generator().manual_seed(0)))

def one_narrow():
    click = torch.zeros(1, 512)
    click[:, 256] = 1.0
    return Net(torch.cat([waves(8000, [80.0 * 2 ** (32 / 12)], 512), click]))
"""


def spec(tmp_path, factory):
    path = tmp_path / "planted.py"
    path.write_text(NET)
    return {
        "name": "planted",
        "seed": 0,
        "model": {"type": "python", "path": str(path), "factory": factory},
        "sounds": {
            "type": "notes",
            "n": 4,
            "seconds": 1.0,
            "clip_seconds": 1.0,
            "split": {"train": 0.5, "test": 0.5},
        },
        "record": {
            "taps": ["relu"],
            "sampling": {"policy": "runs", "frames_per_clip": 256, "run_frames": 64},
        },
        "controls": {"recordings": 4},
    }


SMALL = {"n_mixtures": 24, "highest_hz": 3200.0, "n_gammatones": 12}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("narrow")
    return answer(spec(folder, "narrow"), folder / "study", "mixtures", **SMALL)


def test_narrow_filters_behind_a_rectifier_follow_partials(narrow):
    judged = narrow.judgements[0]
    assert judged.measurement.value > 0.6
    assert judged.verdict == "does not hold"


def test_the_same_filters_follow_nothing_of_another_mixture(narrow):
    assert narrow.judgements[0].measurement.controls["envelopes of another mixture"] == 0


def test_short_random_filters_follow_no_partial(tmp_path):
    judged = answer(spec(tmp_path, "short"), tmp_path / "study", "mixtures", **SMALL).judgements[0]
    assert judged.measurement.value < 0.05
    assert judged.measurement.controls["gammatone filters (must pass)"] > 0.5
    assert judged.verdict == "holds"


def test_what_the_spec_does_not_fit_is_said_to_be_untested(narrow):
    assert [j.verdict for j in narrow.judgements[1:]] == ["cannot be tested here"] * 2
    assert "generators" in narrow.judgements[2].reason


def test_the_page_lets_one_mixture_be_heard(narrow):
    lanes = narrow.blocks[0]
    assert lanes.clip.clip_id
    assert sum("envelope" in name for name in lanes.lanes) >= 2
    assert any("gammatone" in name for name in lanes.lanes)


def fits(n_units=1, follow=lambda f_hz: 0, n=40):
    """Mixtures of three partials; every unit is explained by the partial that a rule picks."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(n):
        f_hz = 200 * 2 ** np.cumsum(rng.uniform(0.6, 1.8, 3))
        r_squared = np.full((n_units, 3), 0.05)
        r_squared[:, follow(f_hz)] = 0.95
        made.append(MixtureFit(f_hz, r_squared, np.ones(n_units)))
    return made


def near(fit, hz):
    """A unit that moves only where a partial lies near its frequency."""
    return np.full(1, 1.0 if np.abs(np.log2(fit.f_hz / hz)).min() < 1 / 4 else 0.0)


def test_a_unit_that_follows_the_highest_partial_wherever_it_lies_follows_no_band():
    found = following(fits(follow=lambda f_hz: 2))
    assert found.recall[0] == 1
    assert not found.consistent[0]


def test_a_unit_that_follows_the_partial_in_its_band_is_consistent():
    made = fits(follow=lambda f_hz: int(np.abs(np.log2(f_hz / 800)).argmin()))
    found = following([MixtureFit(f.f_hz, f.r_squared, near(f, 800)) for f in made])
    assert found.consistent[0]
    assert abs(np.log2(found.centre_hz[0] / 800)) < 1 / 3


def test_what_a_silent_unit_is_explained_by_does_not_count():
    made = fits(follow=lambda f_hz: 0)
    silent = [
        MixtureFit(f.f_hz, f.r_squared, np.full(1, float(i == 0))) for i, f in enumerate(made)
    ]
    found = following(silent)
    assert found.selectivity[0, 0] == pytest.approx(0.9)
    np.testing.assert_array_equal(found.selectivity[1:], 0)


def test_pooling_is_the_plain_mean_of_each_stretch():
    means, counts = pool(np.array([[1.0], [3.0], [5.0]]), np.array([0.1, 0.2, 2.5]), np.arange(4.0))
    np.testing.assert_array_equal(counts, [2, 0, 1])
    np.testing.assert_allclose(means[:, 0], [2, np.nan, 5])


def test_gammatones_are_consistent_and_units_of_noise_are_not():
    rate = 8000
    drawn = draw_mixtures(24, 2.0, (200.0, 3200.0), rate, 8000.0, 1)
    bank = gammatone_layer(gammatone_centres_hz(200.0, 3200.0, 12), rate)
    passed = hear_mixtures(bank, BANK_READERS, drawn, 0.8, 0.5, 1)["filters"]
    noise = np.random.default_rng(0).standard_normal((1, 16_000, 12)).astype(np.float32)
    failed = hear_mixtures(lambda waves: (noise, TimeBase(rate)), BANK_READERS, drawn, 0.8, 0.5, 1)[
        "filters"
    ]
    assert passed.own.consistent_share > 0.7
    assert failed.own.consistent.sum() == 0


CHANNELS = {
    "type": "random",
    "n_features": 2,
    "k": 2,
    "signed": True,
    "centre": False,
    "scale": False,
}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The narrow-band test of a net with one narrow channel and one that hears everything."""
    import torch

    from auscult.analyses.base import ANALYSES, Condition

    folder = tmp_path_factory.mktemp("tuned")
    section = {
        **spec(folder, "one_narrow"),
        "dictionaries": [
            {"name": "units", **CHANNELS},
            {"name": "moves", **CHANNELS, "of": "generators"},
        ],
    }
    cls, params = ANALYSES.parse({"type": "narrow-band", "lowest_hz": 160.0}, "analyses")
    with open_study(section, folder / "study", [Condition(weights="random")]) as context:
        fitted = context.dictionaries

        def channels(*asked):
            found = fitted(*asked)
            found[0].rows.copy_(torch.eye(2))
            return found

        context.dictionaries = channels
        return cls().run(context, params)


@pytest.mark.parametrize("kind", ["features", "archetypes"])
def test_a_planted_narrow_unit_is_found_and_a_broad_one_is_not(tuned, kind):
    one = next(m for m in tuned.measurements if m.name == f"share of {kind} that are narrow-band")
    assert one.value == 0.5
    rows = [r for r in tuned.facts["rows"] if r[1] == kind and r[2] == "as asked for"]
    narrow = {row[3]: row[7] >= 0.8 for row in rows}
    assert narrow == {0: True, 1: False}


def test_both_kinds_are_judged_under_the_same_claim(tuned):
    assert [j.claim for j in tuned.judgements] == ["P1-03", "P1-03"]
    assert [j.verdict for j in tuned.judgements] == ["does not hold"] * 2
