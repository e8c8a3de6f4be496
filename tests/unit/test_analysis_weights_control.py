"""The control of weights on planted movement: who is sparse, and at equal singular values."""

import numpy as np
import pytest

from auscult.analyses.base import ANALYSES, Condition
from auscult.core.errors import UnknownNameError
from auscult.testing.planted import PlantedContext, wandering

WIDTH = 16
CLS, PARAMS = ANALYSES.parse({"type": "weights-control"}, "test")
NOISE = Condition(sounds="noise")


def along(n_axes, coherent=False, n=300):
    """Steps along so many axes; coherent ones stay on an axis for ten frames."""

    def steps(rng):
        axes = rng.integers(0, n_axes, n)
        axes = np.repeat(axes[: n // 10], 10) if coherent else axes
        values = np.zeros((n, WIDTH))
        values[np.arange(n), axes] = 1.0
        return values

    return wandering(steps)


def heard(folder, axes, coherent=(), left_out=(), still=(), **params):
    """What the analysis says where each layer moves along so many axes."""
    known = {"trained": 3, "random": 3, "shuffled": 3, "random-matched": 3, "rare": 12}
    known |= {"rare-matched": 12, "tail": 12, **axes}
    plants = {
        Condition(weights=weights): along(n, weights in coherent)
        if weights not in still
        else lambda rng: np.ones((300, WIDTH))
        for weights, n in known.items()
        if weights not in left_out
    }
    plants[NOISE] = along(12)
    context = PlantedContext(folder, plants, dict.fromkeys(plants, [np.eye(WIDTH)] * 2))
    _, parsed = ANALYSES.parse({"type": "weights-control", **params}, "test")
    return CLS().run(context, parsed)


def test_handcrafted_layers_that_need_four_times_as_many_hold(tmp_path):
    found = heard(tmp_path, {}).judgements[0]
    assert found.verdict == "holds"
    assert found.measurement.value == 3
    assert found.measurement.controls["trained, another seed (1)"] == 3


def test_what_vanishes_at_equal_singular_values_is_explained_by_them(tmp_path):
    found = heard(tmp_path, {"rare-matched": 3}).judgements[0]
    assert found.verdict == "explained by control"


def test_the_published_reading_compares_layers_as_they_come(tmp_path):
    found = heard(tmp_path, {"rare-matched": 3}, reading="published").judgements[0]
    assert found.verdict == "holds"


def test_random_layers_that_are_denser_break_the_ordering(tmp_path):
    found = heard(tmp_path, {"random-matched": 8, "random": 8}).judgements[0]
    assert found.verdict == "does not hold"


def test_handcrafted_layers_as_sparse_as_trained_ones_do_not_hold(tmp_path):
    found = heard(tmp_path, {"rare-matched": 3, "rare": 3}).judgements[0]
    assert found.verdict == "does not hold"


def test_a_layer_that_does_not_move_cannot_be_compared(tmp_path):
    found = heard(tmp_path, {}, still=("rare-matched",))
    assert [one.verdict for one in found.judgements] == ["cannot be tested here"] * 2
    said = "handcrafted, singular values matched: only 0 of the drawn generators move"
    assert said in found.judgements[0].reason
    assert any("only 0 of" in getattr(block, "reason", "") for block in CLS().view(found))


def test_a_layer_that_was_not_recorded_is_an_error(tmp_path):
    with pytest.raises(UnknownNameError, match="rare-matched"):
        heard(tmp_path, {}, left_out=("rare-matched",))


def test_less_coherent_motion_of_handcrafted_layers_holds(tmp_path):
    coherent = ("trained", "random", "random-matched")
    found = heard(tmp_path, {}, coherent=coherent).judgements[1]
    # Nine of ten steps stay; the tenth stays by chance in a third.
    assert found.measurement.value == pytest.approx(0.9 + 0.1 / 3, abs=0.03)
    assert found.verdict == "holds"


def test_coherence_lost_only_without_equal_singular_values_is_explained(tmp_path):
    coherent = ("trained", "random", "random-matched", "rare-matched")
    found = heard(tmp_path, {}, coherent=coherent).judgements[1]
    assert found.verdict == "explained by control"


def test_equally_coherent_motion_does_not_hold(tmp_path):
    coherent = ("trained", "random", "random-matched", "rare-matched", "rare")
    assert heard(tmp_path, {}, coherent=coherent).judgements[1].verdict == "does not hold"


def test_every_layer_stands_in_the_table(tmp_path):
    found = heard(tmp_path, {})
    names = {one.name for one in found.measurements}
    assert {"Gini coefficient", "fvu", "l0", "effective number"} <= names
    gini = next(one for one in found.measurements if one.name == "Gini coefficient")
    assert len(gini.controls) == 6
