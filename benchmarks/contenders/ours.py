"""auscult: ``train`` over an array, shuffled reading, log and checkpoint included."""

import tempfile
from pathlib import Path

from turns import BATCH, compete

from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.linear import read_bf16
from auscult.dictionaries.train import TrainingJob, TrainSettings
from auscult.dictionaries.train import train as train_dictionaries
from auscult.store.source import ArraySource

DICTIONARIES.names()  # loads every type, as importing a peer does


def built(asked, source, seed=0):
    section = {"type": asked["kind"], "n_features": asked["m"]}
    if asked["kind"] == "relu":
        # Vectors are scaled to unit mean square length here: the same penalty in those units.
        section["l1_weight"] = asked["l1"] * float(source.statistics.variance.sum()) ** -0.5
    else:
        section |= {"k": asked["k"], "aux_weight": 0.0}
    cls, params = DICTIONARIES.parse(section, "benchmark")
    return cls.build(params, source.d_in, seed, source.statistics)


def settings_of(asked, steps):
    return TrainSettings(
        steps=steps,
        batch=BATCH,
        lr=asked["lr"],
        warm_up=0,
        decay="none",
        bf16=asked["bf16"],
        checkpoint_every=10**9,
    )


def train(asked, batches):
    source = ArraySource(batches.values.numpy())
    made = built(asked, source)
    settings = settings_of(asked, asked["steps"])
    batches.clock.tick()

    def step_done(done, total):
        if done < total:
            batches.clock.tick()

    with tempfile.TemporaryDirectory() as folder:
        train_dictionaries([TrainingJob(made, "it")], source, settings, Path(folder), step_done)
    read_bf16(made, asked["bf16"] == "on")
    return made.encode, made.decode


if __name__ == "__main__":
    compete(train)
