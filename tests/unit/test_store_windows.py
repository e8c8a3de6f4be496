"""Frames beside one another, against a loop over clips."""

import numpy as np
import pytest

from auscult.core.errors import NoVectorsError
from auscult.core.timebase import TimeBase
from auscult.dictionaries.joined import JoinedSource
from auscult.store.reader import ActivationStore
from auscult.store.sampling import Sampling
from auscult.store.writer import StoreWriter


@pytest.fixture
def store(tmp_path):
    """Three clips of 12, 1 and 9 frames; the third has a hole at its frame 4."""
    rng = np.random.default_rng(0)
    with StoreWriter(
        tmp_path / "s", d_in=3, time=TimeBase(1000), sampling=Sampling(), seed=0, provenance={}
    ) as writer:
        for name, n in (("a", 12), ("b", 1), ("c", 9)):
            valid = np.arange(n) != (4 if name == "c" else -1)
            writer.add(name, name, rng.standard_normal((n, 3)).astype(np.float32), valid=valid)
        writer.finish()
    return ActivationStore.open(tmp_path / "s")


def by_hand(store, offsets, first, last):
    places, rows = [], []
    for clip in store.clips:
        frames, values = store.clip(clip.clip_id)
        known = dict(zip(frames.tolist(), values, strict=True))
        for t in frames.tolist():
            if all(t + i in known for i in range(first, last + 1)):
                places.append((clip.clip_id, t))
                rows.append(np.concatenate([known[t + i] for i in offsets]))
    return places, np.array(rows)


@pytest.mark.parametrize("offsets", [[0, 1], [-1, 0, 1], [2], [0]])
def test_windows_are_those_found_by_hand(store, offsets):
    view = store.windows(offsets)
    first, last = min(0, *offsets), max(0, *offsets)
    places, rows = by_hand(store, offsets, first, last)
    clips, frames = view.locate(np.arange(view.n_vectors))
    assert list(zip(clips, frames.tolist(), strict=True)) == places
    np.testing.assert_array_equal(view.rows(np.arange(view.n_vectors)), rows)


def test_views_of_one_reach_have_the_same_frames(store):
    near, far = store.windows([0], (-2, 2)), store.windows([-2, 0, 2])
    joined = JoinedSource([near, far])
    rows = joined.rows(np.arange(joined.n_vectors))
    np.testing.assert_array_equal(rows[:, :3], rows[:, 6:9])
    assert near.digest != store.windows([0], (-1, 1)).digest


def test_a_selection_has_its_own_windows(store):
    view = store.select(["c"]).windows([0, 1])
    assert set(view.locate(np.arange(view.n_vectors))[0]) == {"c"}


def test_windows_longer_than_every_stretch_are_refused(store):
    with pytest.raises(NoVectorsError, match="longest unbroken stretch has 12 frames"):
        store.windows([0, 12])
    with pytest.raises(NoVectorsError, match="must lie within"):
        store.windows([3], (0, 2))
