"""A spec small enough to run in seconds, which still takes every step of a real one."""

from pathlib import Path
from typing import Any

import pytest


def tiny_spec(**changes: Any) -> dict[str, Any]:
    """A study of a random toy network on synthetic notes."""
    spec: dict[str, Any] = {
        "name": "tiny",
        "seed": 3,
        "model": {"type": "toy-samplecnn", "weights": "random"},
        "sounds": {
            "type": "notes",
            "n": 6,
            "seconds": 0.5,
            "clip_seconds": 0.5,
            "split": {"train": 0.5, "test": 0.5},
        },
        "record": {
            "taps": ["conv.0"],
            "sampling": {"policy": "runs", "frames_per_clip": 512, "run_frames": 64},
        },
        "controls": {"recordings": 4},
        "dictionaries": [{"name": "features", "type": "topk", "n_features": 8, "k": 2}],
        "train": {"steps": 20, "batch": 256, "seeds": [0, 1], "checkpoint_every": 5},
        "analyses": [{"type": "filters"}, {"type": "features", "most_vectors": 500}],
    }
    return {**spec, **changes}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished tiny run, which tests only read."""
    from auscult.experiment.run import run

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    run(tiny_spec(), folder)
    return folder
