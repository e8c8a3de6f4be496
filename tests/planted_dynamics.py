"""A context of response vectors that move by a known rule, and dictionaries of known directions."""

from pathlib import Path

import numpy as np
import torch

from auscult.analyses.base import BASE
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary, DictionaryParams
from auscult.store.reader import ActivationStore
from auscult.store.sampling import Sampling
from auscult.store.writer import StoreWriter

TIME = TimeBase(1000)
CELLS = 8
ANGLES = 2 * np.pi * np.arange(CELLS) / CELLS
CENTRES = 5 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
SPREAD = 0.1


class Fixed(Dictionary):
    """Activations are products with given atoms; negative ones count when ``both`` is set."""

    def __init__(self, atoms, both=False):
        super().__init__(DictionaryParams(n_features=len(atoms)), atoms.shape[1])
        self.given = torch.from_numpy(np.asarray(atoms, dtype=np.float32))
        self.both = both
        self.ready = True

    @property
    def atoms(self):
        return self.given

    @property
    def signed(self):
        return self.both

    def activate(self, vectors):
        acts = vectors @ self.given.T
        return acts if self.both else acts.relu()

    def reconstruct(self, acts):
        return acts @ self.given


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def machine(n_frames, rng):
    """From each cell to the next one round a ring: the state decides where it goes."""
    cells = (rng.integers(CELLS) + np.arange(n_frames)) % CELLS
    return CENTRES[cells] + SPREAD * rng.normal(size=(n_frames, 2))


def wandering(n_frames, rng):
    """Independent states: where it goes is not decided by where it is."""
    return 5 * rng.normal(size=(n_frames, 2))


class Planted:
    """A context with one store for each condition, of as many recordings of one clip each."""

    def __init__(self, folder: Path, movements, atoms=None, lags=(1,), n_recordings=6, **kept):
        self.seed, self.taps = 0, ["layer"]
        self.lags = {f"lag {lag}": lag for lag in lags}
        self.atoms = {
            name: unit(np.roll(CENTRES, -lag, axis=0) - CENTRES) if atoms is None else atoms
            for name, lag in self.lags.items()
        }
        self.both = kept.get("both", False)
        self.stores = {}
        for number, (condition, movement) in enumerate(movements.items()):
            place = folder / f"{number}"
            rng = np.random.default_rng(number)
            n_frames = kept.get("n_frames", 300)
            clips = [np.asarray(movement(n_frames, rng)) for _ in range(n_recordings)]
            writer = StoreWriter(
                place, d_in=clips[0].shape[1], time=TIME, sampling=Sampling(), seed=0, provenance={}
            )
            for i, values in enumerate(clips):
                writer.add(f"clip-{i}", f"recording-{i}", values.astype(np.float32))
            writer.finish()
            writer.close()
            self.stores[condition] = ActivationStore.open(place)

    def time(self, tap):
        return TIME

    def store(self, tap, condition=BASE, split=None):
        return self.stores[condition]

    def dictionary_names(self, of):
        return list(self.lags) if of == "generators" else []

    def lag(self, name):
        return self.lags[name]

    def dictionaries(self, name, tap, condition=BASE, split="train"):
        return [Fixed(self.atoms[name], self.both)]

    def advance(self, share):
        self.share = share

    def nothing(self, *args, **kwargs):
        raise NotImplementedError("what is planted are response vectors, not sounds")

    model = clip_ids = sound = responses = hear = clip = batches = training_logs = nothing
    joint = joint_names = nothing
