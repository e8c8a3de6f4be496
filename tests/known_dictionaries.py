"""A tap whose vectors are planted, with labels, and dictionaries of which the answer is known."""

import numpy as np
import torch

from auscult.analyses.base import BASE
from auscult.core.timebase import TimeBase
from auscult.dictionaries.linear import LinearCoder
from auscult.dictionaries.topk import TopKDictionary
from auscult.store.reader import ActivationStore
from auscult.store.sampling import Sampling
from auscult.store.writer import StoreWriter
from auscult.testing.planted import PlantedContext

D = 8
EYE = np.eye(D, dtype=np.float32)


def topk(rows, frozen="no", k=1):
    """A dictionary of these directions, its encoder their copy."""
    params = TopKDictionary.Params(
        n_features=len(rows), k=k, frozen=frozen, centre=False, scale=False
    )
    dictionary = TopKDictionary(params, rows.shape[1])
    with torch.no_grad():
        dictionary.linear.decoder.copy_(torch.from_numpy(rows))
        dictionary.linear.encoder.copy_(torch.from_numpy(rows))
    return dictionary.requires_grad_(False).eval()


def untouched(n_features, dtype=torch.float32):
    """A coder whose ``p`` are its vectors."""
    coder = LinearCoder(n_features, n_features).to(dtype)
    with torch.no_grad():
        coder.encoder.copy_(torch.eye(n_features))
    return coder


def dense(acts):
    """Entries as a matrix."""
    return acts.decode(torch.eye(acts.n_features, dtype=acts.values.dtype))


def rotated(seed, n=D):
    """Directions that have nothing to do with the truth."""
    rows = np.random.default_rng(seed).standard_normal((n, D))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("f4")


def frozen(seed=1, n=D, k=1):
    """The three sanity baselines, on directions drawn at random."""
    kinds = ("decoder", "soft-decoder", "encoder")
    return {f"frozen {kind}": [topk(rotated(seed, n), kind, k)] * 2 for kind in kinds}


class Told(PlantedContext):
    """A context of one tap with the clips and dictionaries that it is given.

    ``clips`` holds the vectors and labels of each clip; every second one is of the test side.
    Random weights say the same vectors, but dictionaries fitted to them may be others.
    """

    def __init__(self, folder, entries, clips, untrained=None):
        self.seed, self.taps = 0, ["tap"]
        self.entries, self.untrained = entries, untrained or entries
        writer = StoreWriter(
            folder, d_in=D, time=TimeBase(16_000), sampling=Sampling(), seed=0, provenance={}
        )
        self.sides = {"train": [], "test": []}
        for number, (values, labels) in enumerate(clips):
            name = f"{number:04d}"
            self.sides["test" if number % 2 else "train"].append(name)
            writer.add(name, name, torch.from_numpy(values.astype("f4")), labels=labels)
        writer.finish()
        writer.close()
        self._store = ActivationStore.open(folder)

    def store(self, tap, condition=None, split=None):
        return self._store if split is None else self._store.select(self.sides[split])

    def lag(self, name):
        return 0

    def dictionary_names(self, of):
        return list(self.entries) if of == "responses" else []

    def dictionaries(self, name, tap, condition=None, split="train"):
        asked = self.entries if condition in (None, BASE) else self.untrained
        return asked[name]


def stretches(n_clips=24):
    """Clips of twenty stretches of ten frames, each along one axis."""
    rng = np.random.default_rng(0)
    clips = []
    for _ in range(n_clips):
        which = np.repeat(rng.integers(0, D, 20), 10)
        clips.append((EYE[which] * np.exp(rng.standard_normal((200, 1)) * 0.3), {}))
    return clips
