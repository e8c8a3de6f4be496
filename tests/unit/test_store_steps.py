"""Steps of a generator in stores."""

import numpy as np
import pytest
import torch

from auscult.core.rng import named_rng
from auscult.dictionaries.base import DICTIONARIES
from auscult.measures.statistics import split_by_recording
from auscult.models.generation import Prompt
from auscult.models.python import PythonModel
from auscult.store.steps import record_steps
from auscult.taps.steps import ESTIMATE, STATE
from auscult.testing.planted_generation import N_FRAMES, N_STEPS, RATE

PROMPTS = [Prompt(f"p{i}", seed=i, wishes={"instrument": "flute"}) for i in range(4)]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    params = PythonModel.Params(
        path="auscult.testing.planted_generation", factory="PlantedGenerator", encode="encode",
        decode="decode", sample_rate=RATE,
    )  # fmt: skip
    model = PythonModel.build(params, "trained", 0)
    return record_steps(
        model, PROMPTS, tmp_path_factory.mktemp("steps"), (STATE, ESTIMATE, "say"),
        rows=("conditional", "unconditional"), n_batch=3,
    )  # fmt: skip


def test_a_clip_is_a_prompt_at_a_step_and_its_recording_the_prompt(stores):
    store = stores[STATE]
    assert store.n_vectors == len(PROMPTS) * (N_STEPS + 1) * N_FRAMES
    assert store.recording_ids == {one.name for one in PROMPTS}
    clip = next(one for one in store.clips if one.clip_id == "p2#0007")
    assert clip.labels == {
        "step": 7.0, "progress": 7 / N_STEPS, "row": "joint", "instrument": "flute",
    }  # fmt: skip


def test_rows_of_guidance_are_clips_of_their_own(stores):
    rows = {one.labels["row"] for one in stores["say"].clips}
    assert rows == {"conditional", "unconditional"}
    _, conditional = stores["say"].clip("p1#0003")
    _, unconditional = stores["say"].clip("p1#0003u")
    np.testing.assert_array_equal(unconditional, conditional[:, ::-1])


def test_splits_and_dictionaries_work_as_on_any_store(stores):
    store = stores[ESTIMATE]
    names = np.array([clip.recording_id for clip in store.clips])
    test = split_by_recording(names, named_rng(0, "split"), 0.5)
    assert not set(names[test]) & set(names[~test])
    train, held_out = (store.select(set(names[side])) for side in (~test, test))
    assert train.n_vectors + held_out.n_vectors == store.n_vectors
    cls, params = DICTIONARIES.parse({"type": "kmeans", "n_features": 24}, "dictionary")
    dictionary = cls(params, store.d_in)
    dictionary.fit_from(train, named_rng(0, "fit"))
    x = torch.from_numpy(held_out.rows(np.arange(held_out.n_vectors)))
    left = (dictionary(x) - x).square().sum() / (x - x.mean(0)).square().sum()
    assert left < 0.3
