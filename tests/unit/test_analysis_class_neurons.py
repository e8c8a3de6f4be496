"""Class-specific neurons as they are judged: planted ones, and labels that mean nothing."""

import pytest

from auscult.analyses.base import ANALYSES
from auscult.analyses.class_neurons import ClassNeuronsParams, chooser_of
from auscult.analyses.parts.neurons.tasks import Side, TaskSpec, tasks_of
from auscult.blocks import Gallery, Heatmap, Missing, Table
from auscult.core.errors import NothingToMeasureError
from auscult.measures.selectors import SELECTORS
from auscult.testing.planted_neurons import PlantedNeurons
from auscult.testing.planted_study import planted_spec
from auscult.testing.studies import answer

SMALL = {"share": 0.12, "n_cards": 1, "n_clips": 2, "n_deals": 60}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    tasks = [{"label": "class"}, {"label": "corpus", "name": "meaningless"}]
    return answer(planted_spec(folder, []), folder / "run", "class-neurons", tasks=tasks, **SMALL)


@pytest.mark.parametrize(
    ("asked", "of_lape", "of_others"),
    [
        ({}, "token", "clip"),
        ({"average": "clip"}, "clip", "clip"),
        ({"average": "token"}, "token", "token"),
    ],
)
def test_each_selector_averages_as_it_was_published_unless_asked(asked, of_lape, of_others):
    params = ClassNeuronsParams(**asked)
    found = {name: chooser_of(name, params).average for name in SELECTORS}
    assert found.pop("lape") == of_lape
    assert set(found.values()) == {of_others}


def test_planted_neurons_cover_every_class_and_dealt_labels_do_not(result):
    covers, found = result.judgements[:2]
    assert (covers.claim, covers.verdict) == ("AA-01", "holds")
    assert covers.measurement.value == 1
    assert covers.measurement.controls["labels dealt out anew, 95th percentile"] < 0.5
    assert 48 <= found.measurement.value <= 50


def test_the_planted_neurons_are_taken_and_hardly_any_other(result):
    truth = PlantedNeurons().truth()
    taken = result.arrays["class/members"]
    assert (taken & truth).sum() >= 47
    assert (taken & ~truth).sum() <= 1


def test_a_label_without_meaning_has_no_neurons(result):
    covers, found = result.judgements[2:]
    assert covers.verdict in ("explained by control", "does not hold")
    assert found.measurement.value == 0
    assert found.verdict == "does not hold"


def test_every_selector_stands_in_the_table_with_its_null(result):
    table = next(b for b in ANALYSES.get("class-neurons")().view(result) if isinstance(b, Table))
    assert len(table.rows) == 6
    assert len(table.rows[0]) == len(table.columns)
    found = {row[0]: row[7] for row in table.rows}
    assert all(46 <= n <= 50 for n in found.values())


def test_selectors_by_class_take_as_many_as_the_published_rule(result):
    rows = {row[0]: row for row in result.facts["tasks"]["class"]["rows"]}
    assert rows["margin"][2] == pytest.approx(rows["aape"][2], abs=0.5)


def test_its_page_shows_neurons_to_hear_beside_random_clips(result):
    blocks = ANALYSES.get("class-neurons")().view(result)
    gallery = next(b for b in blocks if isinstance(b, Gallery))
    assert len(gallery.items) == 8
    titles = [block.title for block in gallery.items[0].blocks]
    assert titles[:3] == ["How often it is on", "Strongest clips", "Random clips (control)"]
    assert titles[3] == "Tuning to tones"
    assert any(isinstance(b, Heatmap) for b in blocks)


def test_strongest_clips_of_a_planted_neuron_are_of_its_class(result):
    gallery = next(
        b for b in ANALYSES.get("class-neurons")().view(result) if isinstance(b, Gallery)
    )
    shown = {
        (item.name.rpartition(": ")[2], clip.label.partition(",")[0])
        for item in gallery.items
        for clip in item.blocks[1].clips
    }
    assert shown
    assert {heard for name, heard in shown if name != heard} == set()


def test_a_planted_neuron_is_tuned_to_the_band_of_its_class(result):
    gallery = next(
        b for b in ANALYSES.get("class-neurons")().view(result) if isinstance(b, Gallery)
    )
    item = next(item for item in gallery.items if item.name.endswith("c6"))
    curve = item.blocks[3]
    # Band 6 is the eighth multiple of 125 Hz.
    assert curve.x[curve.series[0].y.argmax()] == pytest.approx(1000, rel=0.15)


def test_too_few_recordings_are_said(tmp_path):
    spec = planted_spec(tmp_path, [], n_each=14)
    tasks = [{"label": "class", "fewest": 50}]
    result = answer(spec, tmp_path / "run", "class-neurons", tasks=tasks, **SMALL)
    assert [one.verdict for one in result.judgements] == ["cannot be tested here"] * 2
    page = ANALYSES.get("class-neurons")().view(result)
    assert any(isinstance(block, Missing) and "50 recordings" in block.reason for block in page)


def side(labels):
    names = tuple(f"r{place}" for place in range(len(labels)))
    return Side(names, names, tuple(labels))


def test_classes_are_those_of_both_sides_in_the_order_of_numbers():
    train = side([{"octave": n} for n in (10.0, 10.0, 9.0, 9.0, 2.0, 2.0)])
    test = side([{"octave": n} for n in (9.0, 10.0, 9.0, 10.0)])
    found = tasks_of({"train": train, "test": test}, [TaskSpec(label="octave", fewest=2)])
    assert found["octave"]["train"].classes == ("9", "10")
    assert found["octave"]["train"].labels.tolist() == [1, 1, 0, 0, -1, -1]


def test_a_task_may_ask_for_some_recordings_only():
    rows = [{"sex": s, "corpus": c} for s in "FM" for c in ("a", "a", "b")]
    spec = TaskSpec(label="sex", where={"corpus": "a"}, fewest=2)
    found = tasks_of({"train": side(rows), "test": side(rows)}, [spec])
    assert spec.title == "sex (a)"
    assert found["sex (a)"]["test"].labels.tolist() == [0, 0, -1, 1, 1, -1]


def test_a_task_without_two_classes_counts_those_there_are():
    with pytest.raises(NothingToMeasureError, match=r"sex has no two classes .* \(train: F 1\)"):
        tasks_of({"train": side([{"sex": "F", "corpus": "a"}])}, [TaskSpec(label="sex", fewest=2)])
