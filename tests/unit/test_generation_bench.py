"""The bench of steering while a sound is made: lengths, windows, nulls and bounds, one by one."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch

from auscult.analyses.generation import convergence
from auscult.analyses.generation_steering import _judged
from auscult.analyses.parts.generation.bench import Bench, BenchParams
from auscult.analyses.parts.generation.claims import PK_04, order_judged, trusted
from auscult.analyses.parts.generation.course import Course, Taught, make_prompts, steps_of
from auscult.core.errors import ConfigError, UnknownNameError
from auscult.core.timebase import TimeBase
from auscult.measures.convergence import leads
from auscult.measures.course import Log
from auscult.measures.probe_scores import Scores
from auscult.measures.probe_targets import Target
from auscult.measures.probes import MAJORITY, SHUFFLED, Probe, Reading
from auscult.models.generation import Generator
from auscult.testing.planted_generation import HOP, N_STEPS, RATE
from auscult.testing.studies import open_study

SETTINGS = {"concepts": ("pitch", "loudness"), "n_windows": 2, "n_made": 6, "n_prompts": 4,
            "n_random": 2, "n_seeds": 2, "strength": 0.5, "start_s": 0.1}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    spec = {
        "name": "bench",
        "model": {
            "type": "python", "path": "auscult.testing.planted_generation",
            "factory": "PlantedGenerator", "encode": "encode", "decode": "decode",
        },
        "sounds": {"type": "notes", "n": 4, "seconds": 0.2, "sample_rate": RATE},
        "record": {"taps": ["latent"]},
    }  # fmt: skip
    with open_study(spec, tmp_path_factory.mktemp("bench")) as context:
        yield context


def built(study) -> Bench:
    return Bench(study, *steps_of(study), BenchParams.model_validate(SETTINGS))


@pytest.fixture(scope="module")
def bench(study) -> Bench:
    return built(study)


@pytest.mark.parametrize("length", [1.0, 40.0])
def test_what_is_added_has_the_length_asked_for_whatever_the_directions(bench, length):
    direction = length * np.array([0.0, 3.0, 4.0])
    window = bench.windows[1]
    for place, wanted in (("say", 0.5 * 7.0), ("state", 0.5 * 7.0 / len(window))):
        edit = bench._edit(place, window, direction, 7.0)
        assert np.linalg.norm(edit.edit.params.direction) == pytest.approx(wanted)
        assert (edit.steps, edit.rows) == (window, ("conditional",))


def test_frames_before_the_start_are_left_alone(bench):
    edit = bench._edit("state", bench.windows[0], np.ones(3), 1.0)
    time = TimeBase(RATE).after_conv(HOP, HOP)
    moved = edit.edit(torch.zeros(1, 20, 3), time).abs().sum(2)[0]
    assert not moved[:4].any()
    assert moved[6:].all()


def test_prompts_that_are_steered_are_not_those_that_directions_are_made_from(bench):
    assert len(bench.made) == 6
    assert len(bench.prompts) == 4
    assert not {one.seed for one in bench.made} & {one.seed for one in bench.prompts}


def test_windows_part_all_steps(bench):
    assert [step for window in bench.windows for step in window] == list(range(N_STEPS))


def test_other_seeds_make_other_sounds(bench):
    first, second = (bench.moved(one) for one in bench.reseeded)
    assert np.abs(first).max() > 0.1
    assert np.abs(first - second).max() > 0.1


@pytest.mark.parametrize(("distances", "bound"), [((0.2, 0.7), 0.7), ((-3.0, -1.0), 0.0)])
def test_the_farthest_of_other_seeds_bounds_quality_and_the_same_sounds_always_pass(
    study, distances, bound, monkeypatch
):
    left = iter(distances)
    monkeypatch.setattr(Bench, "distance", lambda self, sounds: next(left))
    assert built(study).bound == bound


def rows_of(bench, steps, chance, monkeypatch):
    """Pitch by so many s.d. in each window, nothing else, beside means under random directions."""
    plain = bench.plain

    def heard(size):
        return type(plain)(plain.sounds, plain.values + np.array([size, 0.0]) * bench.spread)

    monkeypatch.setattr(bench, "reseeded", [plain, heard(-1.0)])
    return bench._rows("state", 0, [heard(one) for one in steps], np.array(chance))


@pytest.mark.parametrize(
    ("size", "n", "verdict"),
    [
        (0.3, 19, "holds"),
        (30.0, 19, "explained by control"),
        (0.3, 18, "cannot be tested here"),
        (30.0, 18, "explained by control"),
    ],
)
def test_a_row_is_read_against_its_strongest_nulls(bench, size, n, verdict, monkeypatch):
    """The largest of random directions, whichever way they go, and the worst of the seeds."""
    chance = np.concatenate([[-size], np.full(n - 1, size / 10)])
    row = rows_of(bench, [5.0, 0.0], [chance, chance], monkeypatch)[0]
    assert (row["effect"], row["isolation"]) == pytest.approx((5.0, 1.0))
    assert (row["random"], row["n_random"]) == (pytest.approx(size), n)
    assert row["seed"] == pytest.approx(1.0)
    assert row["verdict"] == verdict


def test_random_directions_choose_their_best_window_as_concepts_do(bench, monkeypatch):
    calm, wild = np.full(19, 0.1), np.concatenate([np.full(18, 0.1), [6.0]])
    first, second = rows_of(bench, [5.0, 0.0], [calm, wild], monkeypatch)
    assert (first["random here"], second["random here"]) == pytest.approx((0.1, 6.0))
    assert first["random"] == second["random"] == pytest.approx(6.0)
    assert first["verdict"] == "explained by control"


def test_intervals_are_of_all_windows_at_once(bench):
    moved = np.random.default_rng(0).normal(size=(6, 30))
    low, high = bench._intervals("state", 0, moved)
    alone = [bench._intervals("state", 0, one[None]) for one in moved]
    assert all(low[i] < alone[i][0][0] and high[i] > alone[i][1][0] for i in range(6))


def test_what_is_told_of_a_concept_is_its_best_window_that_holds(bench):
    base = {"place": "say", "concept": "pitch", "low": 0.0, "high": 9.0, "random": 0.1,
            "n_random": 19, "seed": 0.1, "reason": "so"}  # fmt: skip
    rows = [
        base | {"first": first, "last": first + 9, "effect": effect, "verdict": verdict}
        for first, effect, verdict in (
            (0, 1.0, "holds"), (10, 2.0, "holds"), (20, 5.0, "explained by control"),
        )
    ]  # fmt: skip
    told = _judged("say", "pitch", rows, bench)
    assert (told.verdict, told.measurement.value) == ("holds", 2.0)
    assert told.measurement.controls == {
        "95 % of random directions in any window": 0.1,
        "another seed": 0.1,
    }
    assert "steps 10 to 19" in told.sentence


@pytest.mark.parametrize(
    ("last", "verdict"), [(1, "holds"), (2, "does not hold"), (4, "does not hold")]
)
def test_probes_are_trusted_where_states_are_familiar_from_half_way_on(last, verdict):
    target = Target(np.zeros(1, int), ("a", "b"), np.zeros(1), np.arange(2.0))
    log = Log({"x": target}, 2, 5)
    strange = np.tile(np.where(np.arange(5) <= last, 3.0, 1.0), (2, 1))
    far = {"state": strange, "estimate": np.ones((2, 5))}
    course = Course([], np.linspace(0, 1, 5), log, log, log, log, np.zeros((2, 1, 1)), (0,), far)
    told = trusted("latent", course, edge=2.0)
    assert told.verdict == verdict
    assert told.measurement.value == pytest.approx(strange[0, :-1].mean())
    assert told.measurement.controls["95 % of held-out recordings"] == 2.0


def order_of(lead_heard, n=16):
    """PK-04 for concepts that settle at steps 6, 11, 16 in states, and so much apart in sound."""
    wavering = np.random.default_rng(0).normal(size=(3, n))

    def at(*means):
        return {name: mean + one for name, mean, one in zip(PK_04, means, wavering, strict=True)}

    steps = {"states": at(6, 11, 16), "straight": at(12, 12, 12),
             "heard": at(10, 10 + lead_heard, 10 + 2 * lead_heard)}  # fmt: skip
    names, rng = np.array([f"{i:02d}" for i in range(n)]), np.random.default_rng(1)
    order = {key: leads(steps[key], steps["straight"], names, rng) for key in ("states", "heard")}
    scores = Scores({}, {"balanced accuracy": (0.5, 0.7)}, 100, 10)
    nulls = {name: {"balanced accuracy": 0.1} for name in (MAJORITY, SHUFFLED)}
    reading = Reading(Mock(spec=Probe), scores, nulls)
    teaching = Mock(spec=Taught, readings=dict.fromkeys(PK_04, reading))
    return order_judged("latent", teaching, steps, order)


@pytest.mark.parametrize(("lead", "verdict"), [(5.0, "holds"), (0.2, "does not hold")])
def test_the_order_must_be_heard_by_the_same_test_and_not_only_on_average(lead, verdict):
    told = order_of(lead)
    assert told.verdict == verdict
    assert "heard in decoded estimates, pitch before centroid: by" in told.sentence
    assert "(p = " in told.sentence


def test_an_order_that_is_heard_the_other_way_round_does_not_hold():
    told = order_of(-5.0)
    assert told.verdict == "does not hold"
    assert "pitch before centroid: by -" in told.sentence


WISHES = {"instrument": ("flute", "oboe"), "pitch_midi": (60, 61, 62), "loudness_db": ()}


def generator() -> Generator:
    return Generator("flow", 4, "latent", 8, lambda prompts, watch: None, wishes=WISHES)


class TestPrompts:
    def asked(self, n=12, texts=(), wishes=None, open_=()):
        return make_prompts(generator(), n, texts, wishes or {}, open_, seed=3)

    def test_each_has_a_seed_and_a_name_of_its_own(self):
        prompts = self.asked()
        assert len({one.seed for one in prompts}) == len({one.name for one in prompts}) == 12

    def test_a_grid_holds_every_combination_once_before_any_comes_again(self):
        asked = [tuple(one.wishes.items()) for one in self.asked()]
        assert len(set(asked[:6])) == 6
        assert asked[6:] == asked[:6]

    def test_a_wish_that_is_left_open_is_not_asked_for(self):
        assert {tuple(one.wishes) for one in self.asked(open_=("pitch_midi",))} == {("instrument",)}

    def test_values_that_are_named_are_those_that_are_asked_for(self):
        prompts = self.asked(wishes={"pitch_midi": [61], "loudness_db": [-20.0]})
        assert {one.wishes["pitch_midi"] for one in prompts} == {61}
        assert {one.wishes["loudness_db"] for one in prompts} == {-20.0}

    def test_words_are_asked_for_as_they_are(self):
        assert [one.text for one in self.asked(2, texts=("rain",))] == ["rain", "rain"]

    @pytest.mark.parametrize(
        ("wishes", "open_", "error", "words"),
        [
            ({"tempo": [3]}, (), ConfigError, "tempo"),
            ({}, ("tempo",), ConfigError, "tempo"),
            ({"pitch_midi": [20]}, (), UnknownNameError, "20"),
        ],
    )
    def test_what_the_generator_does_not_take_is_refused(self, wishes, open_, error, words):
        with pytest.raises(error, match=words):
            self.asked(wishes=wishes, open_=open_)


def test_sound_that_is_heard_at_some_steps_settles_at_one_of_those():
    target = Target(np.zeros(1, int), ("a", "b"), np.zeros(1), np.arange(2.0))
    logs = {name: Log({"x": target}, 1, n) for name, n in (("whole", 5), ("heard", 3))}
    for log, shares in ((logs["whole"], [0, 0, 0, 1, 1]), (logs["heard"], [0, 1, 1])):
        log.p["x"][0] = np.stack([1 - np.array(shares, float), np.array(shares, float)], 1)
    whole = logs["whole"]
    course = Course([], np.linspace(0, 1, 5), whole, whole, whole, logs["heard"],
                    np.zeros((1, 3, 1)), (0, 3, 4), {})  # fmt: skip
    steps = convergence(course, 0.9)
    for place in ("states", "estimates", "straight", "heard"):
        assert steps[place]["x"].tolist() == [3.0]
