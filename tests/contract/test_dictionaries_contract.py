import pytest

from auscult.dictionaries.base import DICTIONARIES
from auscult.testing.dictionaries import DictionaryContract, TrainingContract

FITTED = {
    "pca of few": {"type": "pca", "k": 3},
    "random ambient": {"type": "random", "space": "ambient", "signed": True, "k": 3},
    "ica of few": {"type": "ica", "k": 3, "centre": False},
    "kmeans of few": {"type": "kmeans", "k": 3},
    "random of one": {"type": "random", "k": 1},
    "codebook centred": {"type": "codebook", "centre": True, "scale": True},
}
TRAINED = {
    "relu weighted": {"type": "relu", "norm": "weighted"},
    "relu as it comes": {"type": "relu", "centre": False, "scale": False},
    "topk signed": {"type": "topk", "signed": True, "k": 3},
    "topk without aux": {"type": "topk", "aux_weight": 0.0},
    "relu frozen decoder": {"type": "relu", "frozen": "decoder"},
    "relu soft-frozen decoder": {"type": "relu", "frozen": "soft-decoder"},
    "relu frozen encoder": {"type": "relu", "frozen": "encoder"},
    "topk frozen decoder": {"type": "topk", "frozen": "decoder"},
    "topk soft-frozen decoder": {"type": "topk", "frozen": "soft-decoder"},
    "topk frozen encoder": {"type": "topk", "frozen": "encoder"},
    "batch-topk of few": {"type": "batch-topk", "k": 2, "aux_weight": 0.0},
    "jump-relu towards an l0": {"type": "jump-relu", "target_l0": 2.0, "bandwidth": 0.2},
    "matryoshka of two": {"type": "matryoshka", "k": 2, "prefixes": (0.5, 1.0)},
    "rms-norm sound": {"type": "rms-norm", "l1_on": "f"},
    "matching-pursuit signed": {"type": "matching-pursuit", "k": 3, "signed": True},
    "matching-pursuit unscaled": {"type": "matching-pursuit", "k": 3, "scale": False},
    "matching-pursuit that stops": {
        "type": "matching-pursuit",
        "k": 6,
        "scale": False,
        "stop_below": 0.1,
        "stop_on_repeat": True,
    },
    "archetypal strict": {"type": "archetypal", "relaxation": 0.0, "n_candidates": 20},
    "archetypal of a sample": {"type": "archetypal", "candidates": "sample", "k": 3},
    "temporal without contrast": {"type": "temporal", "contrast_weight": 0.0, "aux_weight": 0.0},
    "transcoder with a penalty": {"type": "transcoder", "rule": "relu"},
    "transcoder with a shortcut": {"type": "transcoder", "skip": True, "k": 3},
    "transcoder, penalty and shortcut": {"type": "transcoder", "rule": "relu", "skip": True},
    "crosscoder with a penalty": {"type": "crosscoder", "rule": "relu"},
    "crosscoder of three": {"type": "crosscoder", "widths": (4, 2, 10), "k": 3},
    "rms-norm topk": {"type": "rms-norm", "l1_on": "topk", "k": 3},
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
