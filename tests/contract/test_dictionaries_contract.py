import pytest

from auscult.dictionaries.base import DICTIONARIES
from auscult.testing.dictionaries import DictionaryContract, TrainingContract

FITTED = {
    "pca of few": {"type": "pca", "k": 3},
    "random ambient": {"type": "random", "space": "ambient", "signed": True, "k": 3},
    "codebook centred": {"type": "codebook", "centre": True, "scale": True},
}
TRAINED = {
    "relu weighted": {"type": "relu", "norm": "weighted"},
    "relu as it comes": {"type": "relu", "centre": False, "scale": False},
    "topk signed": {"type": "topk", "signed": True, "k": 3},
    "topk without aux": {"type": "topk", "aux_weight": 0.0},
}
DEFAULTS = {name: {"type": name} for name in DICTIONARIES.names()}
TRAINED |= {name: own for name, own in DEFAULTS.items() if DICTIONARIES.get(name).trainable}
ALL = DEFAULTS | FITTED | TRAINED


class TestDictionaries(DictionaryContract):
    @pytest.fixture(params=ALL)
    def section(self, request):
        return ALL[request.param]


class TestTraining(TrainingContract):
    @pytest.fixture(params=TRAINED)
    def section(self, request):
        return TRAINED[request.param]
