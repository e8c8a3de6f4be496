"""dictionary_learning: ``trainSAE`` over a generator of batches."""

import os

os.environ |= {"WANDB_MODE": "disabled", "TQDM_DISABLE": "1"}

from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
from dictionary_learning.trainers.standard import StandardTrainer
from dictionary_learning.trainers.top_k import TopKTrainer
from dictionary_learning.training import trainSAE
from turns import compete


def train(asked, batches):
    own = {
        "relu": (StandardTrainer, {"l1_penalty": asked.get("l1"), "sparsity_warmup_steps": None}),
        "topk": (TopKTrainer, {"k": asked.get("k"), "threshold_start_step": 0}),
        "batch-topk": (BatchTopKTrainer, {"k": asked.get("k"), "threshold_start_step": 0}),
    }
    base, settings = own[asked["kind"]]
    made = []

    class Kept(base):
        """trainSAE gives nothing back: this keeps hold of what it trains."""

        def __init__(self, **given):
            super().__init__(**given)
            made.append(self)

    settings |= {
        "trainer": Kept,
        "steps": asked["steps"] + 1,
        "activation_dim": asked["d"],
        "dict_size": asked["m"],
        "layer": 0,
        "lm_name": "none",
        "lr": asked["lr"],
        "warmup_steps": 0,
        "device": "cpu",
        "seed": 0,
    }
    trainSAE(data=batches, trainer_configs=[settings], steps=asked["steps"], device="cpu")
    return made[0].ae.encode, made[0].ae.decode


compete(train)
