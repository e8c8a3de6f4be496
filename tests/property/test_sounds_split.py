"""Splits: each recording once, by its own content, whatever else is there."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auscult.core.errors import ConfigError
from auscult.sounds.base import Recording, split

SHARES = {"train": 0.8, "test": 0.2}


def recording(index, **labels):
    return Recording(f"{index}.wav", hashlib.sha256(str(index).encode()).hexdigest(), labels)


def side_by_name(recordings, shares=SHARES, seed=0, group=None):
    sides = split(recordings, shares, seed, group)
    return {one.recording_id: side for side, some in sides.items() for one in some}


indices = st.lists(st.integers(0, 10_000), min_size=2, max_size=30, unique=True)


@given(indices, st.integers(0, 5))
def test_every_recording_is_on_exactly_one_side(numbers, seed):
    sides = split([recording(i) for i in numbers], SHARES, seed)
    assert sorted(r.recording_id for side in sides.values() for r in side) == sorted(
        f"{i}.wav" for i in numbers
    )


@given(indices, st.integers(0, 5), st.randoms())
def test_order_does_not_matter(numbers, seed, random):
    shuffled = random.sample(numbers, len(numbers))
    before = side_by_name([recording(i) for i in numbers], seed=seed)
    assert side_by_name([recording(i) for i in shuffled], seed=seed) == before


@given(indices, st.integers(0, 5))
def test_no_side_with_a_share_is_empty(numbers, seed):
    sides = split([recording(i) for i in numbers], SHARES, seed)
    assert all(sides.values())


@given(indices, st.integers(0, 5))
def test_small_shares_that_leave_most_out_get_a_recording_each(numbers, seed):
    sides = split([recording(i) for i in numbers], {"train": 0.01, "test": 0.01}, seed)
    assert all(sides.values())


@given(indices, st.integers(0, 3))
def test_groups_stay_together(numbers, seed):
    recordings = [recording(i, artist=f"{i % 4}") for i in numbers]
    if len({i % 4 for i in numbers}) == 1:
        return
    sides = split(recordings, SHARES, seed, group="artist")
    artists = [{r.labels["artist"] for r in side} for side in sides.values()]
    assert not artists[0] & artists[1]


def test_files_that_join_a_folder_move_no_other_file():
    few = side_by_name([recording(i) for i in range(50)])
    many = side_by_name([recording(i) for i in range(200)])
    assert few == {name: many[name] for name in few}


def test_shares_are_met_on_average():
    sides = split([recording(i) for i in range(4_000)], SHARES, 0)
    # Standard deviation of a binomial share: sqrt(0.8 * 0.2 / 4000) = 0.0063.
    assert len(sides["train"]) / 4_000 == pytest.approx(0.8, abs=4 * 0.0063)


def test_another_seed_splits_otherwise():
    recordings = [recording(i) for i in range(50)]
    assert side_by_name(recordings, seed=0) != side_by_name(recordings, seed=1)


def test_the_name_of_a_file_does_not_matter():
    one, other = Recording("a.wav", "f" * 64), Recording("b/c.wav", "f" * 64)
    rest = [recording(i) for i in range(50)]
    assert side_by_name([one, *rest])["a.wav"] == side_by_name([other, *rest])["b/c.wav"]


def test_what_is_derived_goes_where_its_original_goes():
    originals = [recording(i) for i in range(40)]
    derived = [Recording(f"shuffled/{r.recording_id}", "0", {}, None, r.digest) for r in originals]
    expected = {f"shuffled/{name}": side for name, side in side_by_name(originals).items()}
    assert side_by_name(derived) == expected


def test_shares_below_one_leave_recordings_out():
    sides = split([recording(i) for i in range(400)], {"train": 0.25, "test": 0.25}, 0)
    assert sum(map(len, sides.values())) == pytest.approx(200, abs=40)


def test_shares_that_only_rounding_keeps_from_one_leave_nothing_out():
    sides = split([recording(i) for i in range(400)], {"a": 0.7, "b": 0.2, "c": 0.1}, 0)
    assert sum(map(len, sides.values())) == 400


def test_a_side_without_a_share_stays_empty():
    assert split([recording(1), recording(2)], {"train": 1.0, "test": 0.0}, 0)["test"] == []


def test_recordings_without_the_group_label_go_by_their_content():
    recordings = [recording(i) for i in range(30)]
    assert side_by_name(recordings, group="artist") == side_by_name(recordings)


def test_a_group_that_all_share_is_refused():
    with pytest.raises(ConfigError, match="split by another label"):
        split([recording(i, fold=1.0) for i in range(5)], SHARES, 0, group="fold")


@pytest.mark.parametrize("shares", [{"train": 0.8, "test": 0.3}, {"train": -0.1, "test": 1.0}, {}])
def test_shares_that_are_not_parts_of_one_are_refused(shares):
    with pytest.raises(ConfigError, match="parts of 1"):
        split([recording(1), recording(2)], shares, 0)
