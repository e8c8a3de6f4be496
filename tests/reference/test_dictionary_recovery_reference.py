"""A recipe that is known to work finds planted directions; slow, because it trains."""

import numpy as np
import pytest

from auscult.dictionaries.topk import TopKDictionary
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.measures.null_dictionaries import atoms_of
from auscult.measures.recovery import plant, recovery
from auscult.store.source import ArraySource


@pytest.mark.slow
def test_topk_finds_planted_directions_and_a_frozen_decoder_does_not(tmp_path):
    truth = plant(24, 20_000, 2.0, np.eye(16), np.random.default_rng(0))
    source = ArraySource(truth.values)
    jobs = []
    for frozen in ("no", "decoder"):
        params = TopKDictionary.Params(n_features=24, k=2, frozen=frozen)
        built = TopKDictionary.build(params, 16, 0, source.statistics)
        jobs.append(TrainingJob(built, frozen))
    own, held = train(jobs, source, TrainSettings(steps=3000, batch=512, lr=3e-3), tmp_path)
    found, lucky = (recovery(truth.atoms, atoms_of(one)) for one in (own, held))
    assert found.recall > 0.7
    assert lucky.recall < 0.2
