import numpy as np
import pytest

from auscult.measures.absorption import absorption, determines, general_direction, specificity

RNG = np.random.default_rng(0)
G, A, B, OTHER = np.eye(6)[:4]


def planted(n=2000, rare=0.04):
    """Rows of a general class (direction G) with sub-classes, the rare one along A as well."""
    rng = np.random.default_rng(1)
    positive = rng.random(n) < 0.5
    sub = np.where(rng.random(n) < rare, 0, 1)
    x = 0.05 * rng.standard_normal((n, 6))
    x += np.where(positive[:, None], G, OTHER)
    x += np.where((positive & (sub == 0))[:, None], A, 0.0) + np.where(
        (positive & (sub == 1))[:, None], B, 0.0
    )
    return x.astype("f4"), positive, sub


def measured(acts, atoms, x, positive):
    n = len(x)
    recordings = np.arange(n) // 20
    test = recordings % 2 == 1
    general = general_direction(x, positive, recordings, test, np.random.default_rng(0))
    assert general.readable
    return general, absorption(general, x, acts.astype("f4"), atoms, positive, test)


def separate(positive, sub):
    """A feature for the class, one for each sub-class, one for the rest: nothing is absorbed."""
    on = np.stack([positive, positive & (sub == 0), positive & (sub == 1), ~positive], axis=1)
    return on * 1.0, np.stack([G, A, B, OTHER])


def absorbing(positive, sub):
    """The feature of the rare sub-class takes the class's direction and silences its feature."""
    on = np.stack(
        [positive & (sub == 1), positive & (sub == 0), positive & (sub == 1), ~positive], axis=1
    )
    return on * 1.0, np.stack([G, G + A, B, OTHER])


def test_features_of_their_own_absorb_nothing():
    x, positive, sub = planted()
    _, found = measured(*separate(positive, sub), x, positive)
    assert found.full_rate == 0.0
    assert found.main.tolist() == [0]


def test_a_rare_sub_class_that_speaks_for_the_class_absorbs_it():
    x, positive, sub = planted()
    acts, atoms = absorbing(positive, sub)
    general, found = measured(acts, atoms, x, positive)
    rare = (sub == 0)[general.found]
    assert (found.full == rare).all()
    assert found.full_rate == pytest.approx(rare.mean())
    assert set(found.absorbers[rare]) == {1}
    assert found.fraction[rare] == pytest.approx(1.0)
    lift = specificity(acts[positive], found.absorbers, sub[positive], sub[general.found])
    assert lift == pytest.approx(1 / (sub[positive] == 0).mean())


def test_a_frequent_sub_class_becomes_a_main_feature_instead():
    # With half of the class each, the second feature raises F1 by far more than 0.03.
    x, positive, sub = planted(rare=0.5)
    _, found = measured(*absorbing(positive, sub), x, positive)
    assert {0, 1} <= set(found.main)
    assert found.full_rate == 0.0


def test_an_absorber_must_point_at_the_class():
    x, positive, sub = planted()
    acts, _ = absorbing(positive, sub)
    _, found = measured(acts, np.stack([G, A - 0.3 * G, B, OTHER]), x, positive)
    assert found.full_rate < 0.01


def test_a_class_that_cannot_be_read_is_not_asked_about():
    x = np.random.default_rng(0).standard_normal((400, 6)).astype("f4")
    positive = np.random.default_rng(1).random(400) < 0.2
    recordings = np.arange(400) // 10
    test = recordings % 2 == 1
    assert not general_direction(x, positive, recordings, test, RNG).readable


def test_a_feature_that_knows_no_sub_class_has_a_lift_of_one():
    acts = np.ones((100, 2))
    sub = np.arange(100) % 4
    assert specificity(acts, np.array([1, -1]), sub, np.array([2, 0])) == pytest.approx(1.0)


def test_without_absorption_there_is_no_lift():
    assert np.isnan(specificity(np.ones((4, 2)), np.array([-1]), np.zeros(4, int), np.array([0])))


@pytest.mark.parametrize(
    ("specific", "general", "expected"),
    [
        (["a1", "a2", "b1"], ["a", "a", "b"], True),
        (["a", "a", "b"], ["a1", "a2", "b1"], False),
        (["a", "b", "c"], ["x", "y", "z"], False),
        (["a1", "a2", "a1"], ["a", "a", "b"], False),
        (["a1", "a2", "a3"], ["a", "a", "a"], False),
    ],
)
def test_which_label_determines_which(specific, general, expected):
    assert determines(np.array(specific), np.array(general)) is expected


def test_a_long_atom_that_hardly_points_at_the_class_is_no_absorber():
    x, positive, sub = planted()
    acts, atoms = absorbing(positive, sub)
    general, _ = measured(acts, atoms, x, positive)
    along = general.direction
    across = A - (A @ along) * along
    _, found = measured(acts, np.stack([G, along + 100 * across, B, OTHER]), x, positive)
    assert found.full_rate == 0.0
    _, near = measured(acts, np.stack([G, along + 10 * across, B, OTHER]), x, positive)
    assert near.full_rate > 0.0
