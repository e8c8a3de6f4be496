"""What dictionaries are fitted to, from recordings that keep some frames only."""

import numpy as np
import pytest
import torch

from auscult.core.errors import NoVectorsError
from auscult.core.timebase import TimeBase
from auscult.experiment.feeds import feed_of
from auscult.experiment.spec import DictionarySpec
from auscult.store.reader import ActivationStore
from auscult.store.sampling import Sampling
from auscult.store.writer import StoreWriter

FRAMES = torch.arange(40.0)[:, None] * torch.ones(3)


def recorded(folder, sampling):
    writer = StoreWriter(
        folder, d_in=3, time=TimeBase(16_000), sampling=sampling, seed=0, provenance={}
    )
    writer.add("clip", "recording", FRAMES)
    writer.finish()
    writer.close()
    return ActivationStore.open(folder)


def feed(folder, sampling, context):
    section = {"name": "t", "type": "transcoder", "n_features": 8, "tap": "a", "target": "b"}
    entry = DictionarySpec.model_validate({**section, "context": context})
    store = recorded(folder, sampling)
    return feed_of(entry, "a", "trained", lambda tap, weights: store)


def test_context_is_the_frames_next_to_each(tmp_path):
    made = feed(tmp_path, Sampling(), context=1)
    rows = made.source.rows(np.arange(made.source.n_vectors))[:, ::3]
    assert (np.diff(rows, axis=1) == 1).all()
    np.testing.assert_array_equal(rows[:, 1], made.targets.rows(np.arange(len(rows)))[:, 0])


def test_context_between_frames_that_are_not_kept_is_refused(tmp_path):
    with pytest.raises(NoVectorsError, match="no multiples of the stored step of 2"):
        feed(tmp_path, Sampling(policy="stride", stride=2), context=1)


def test_without_context_every_second_frame_will_do(tmp_path):
    made = feed(tmp_path, Sampling(policy="stride", stride=2), context=0)
    assert made.source.n_vectors == 20
