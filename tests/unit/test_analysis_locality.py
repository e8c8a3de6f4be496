import numpy as np
import pytest

from auscult.analyses.base import ANALYSES, BASE, Condition
from auscult.analyses.locality import Locality
from auscult.blocks import Finding, Scatter, Table, load_blocks, save_blocks
from auscult.core.errors import ConfigError
from auscult.measures.directions import ratio_interval
from auscult.report.shapes import check_shapes
from tests.planted_dynamics import CELLS, Planted, machine, wandering

NOISE, RANDOM = Condition(sounds="noise"), Condition(weights="random")
MOVES = {BASE: machine, NOISE: wandering, RANDOM: wandering}


def answer(context, **params):
    cls, parsed = ANALYSES.parse({"type": "locality", **params}, "analysis")
    return cls().run(context, parsed)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return Planted(tmp_path_factory.mktemp("machine"), MOVES, lags=(2, 1))


@pytest.fixture(scope="module")
def result(planted):
    return answer(planted)


def table(result):
    return next(block for block in Locality().view(result) if isinstance(block, Table))


def test_the_shortest_lag_is_taken(result):
    assert (result.facts["lag"], result.facts["dictionary"]) == (1, "lag 1")


def test_another_dictionary_can_be_asked_for(planted):
    assert answer(planted, dictionary="lag 2").facts["lag"] == 2


def test_a_dictionary_that_is_not_there_is_refused(planted):
    with pytest.raises(ConfigError, match="lag 9"):
        answer(planted, dictionary="lag 9")


def test_the_published_rows_stand_below_ours(result):
    rows = table(result).rows
    assert len(rows) == CELLS + 5
    assert rows[-1][:5] == (
        "published: archetype 104",
        11_766,
        0.6,
        4.1,
        pytest.approx(0.146, abs=1e-3),
    )


def test_every_start_is_counted_once(result):
    # Six recordings of 300 frames have 299 generators each.
    assert sum(row[1] for row in result.facts["tables"]["layer"]) == 6 * 299


def test_the_scatter_has_every_condition(result):
    scatter = next(block for block in Locality().view(result) if isinstance(block, Scatter))
    assert len(set(scatter.groups)) == 4
    assert len(scatter.x) == len(scatter.y) == len(scatter.labels)


def test_its_page_can_be_saved(result, tmp_path):
    view = Locality().view(result)
    save_blocks(tmp_path, view)
    assert len(load_blocks(tmp_path)) == len(view)
    assert isinstance(view[0], Finding)
    for block in view:
        check_shapes(block)


def test_what_beats_random_states_holds_as_published_even_if_noise_does_as_well(tmp_path):
    context = Planted(tmp_path, dict.fromkeys(MOVES, machine))
    published = answer(context, reading="published").judgements[0]
    sound = answer(context).judgements[0]
    assert (published.verdict, sound.verdict) == ("holds", "explained by control")


def test_standstill_cannot_be_tested(tmp_path):
    moves = {**MOVES, BASE: lambda n_frames, rng: np.ones((n_frames, 2))}
    result = answer(Planted(tmp_path, moves))
    assert result.judgements[0].verdict == "cannot be tested here"
    save_blocks(tmp_path, Locality().view(result))


def test_few_archetypes_and_both_signs_are_measured(tmp_path):
    atoms = np.array([[1.0, 0.0]])
    result = answer(Planted(tmp_path, MOVES, atoms, both=True))
    names = {row[0] for row in result.facts["tables"]["layer"]}
    assert names == {"archetype 0", "archetype 0, opposite"}


def test_a_single_channel_and_a_single_recording_are_measured(tmp_path):
    moves = dict.fromkeys(MOVES, lambda n_frames, rng: rng.normal(size=(n_frames, 1)))
    result = answer(Planted(tmp_path, moves, np.array([[1.0], [-1.0]]), n_recordings=1))
    assert np.isfinite(result.measurements[0].value)
    assert result.judgements[0].verdict != "holds"


def test_an_archetype_with_a_handful_of_starts_is_left_out(tmp_path):
    # Nine starts in the direction of the second atom at the end of the last clip, none elsewhere.
    def rare(n_frames, rng):
        path = np.cumsum(np.tile([1.0, 0.0], (n_frames, 1)), axis=0)
        path[-9:, 1] += 10.0 * np.arange(1, 10)
        return path + 0.01 * rng.normal(size=path.shape)

    context = Planted(tmp_path, dict.fromkeys(MOVES, rare), np.eye(2), n_recordings=1)
    assert [row[0] for row in answer(context).facts["tables"]["layer"]] == ["archetype 0"]


def test_the_interval_of_ratios_brackets_the_planted_ratio():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(4000, 2))
    tops = np.arange(4000) % 3 - 1
    ids = np.arange(4000) // 200
    radii = np.full(2, np.sqrt(np.pi / 2) * 2)
    low, high = ratio_interval(states, tops, np.arange(2), radii, ids, rng)
    assert low < 0.5 < high
    assert high - low < 0.05


def test_recordings_without_any_of_the_starts_say_nothing():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(400, 2))
    tops = np.where(np.arange(400) < 40, 0, -1)
    low, high = ratio_interval(states, tops, np.array([0]), np.ones(1), np.arange(400) // 20, rng)
    assert np.isfinite([low, high]).all()


def test_a_single_recording_of_a_machine_cannot_be_judged_against_chance(tmp_path):
    judgement = answer(Planted(tmp_path, MOVES, n_recordings=1)).judgements[0]
    assert judgement.verdict == "cannot be tested here"
    assert "one recording" in judgement.reason
