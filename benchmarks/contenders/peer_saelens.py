"""SAELens: its trainer over an iterator of batches."""

import os

os.environ |= {"WANDB_MODE": "disabled", "TQDM_DISABLE": "1"}

import sae_lens as lens
from sae_lens.config import SAETrainerConfig
from sae_lens.training.sae_trainer import SAETrainer
from turns import BATCH, compete

NEVER = 10**9


def train(asked, batches):
    shape = {
        "d_in": asked["d"],
        "d_sae": asked["m"],
        "dtype": "float32",
        "device": "cpu",
        "normalize_activations": "none",
    }
    if asked["kind"] == "relu":
        config = lens.StandardTrainingSAEConfig(
            **shape, l1_coefficient=asked["l1"], l1_warm_up_steps=0
        )
        sae = lens.StandardTrainingSAE(config)
    elif asked["kind"] == "topk":
        sae = lens.TopKTrainingSAE(lens.TopKTrainingSAEConfig(**shape, k=asked["k"]))
    else:
        sae = lens.BatchTopKTrainingSAE(lens.BatchTopKTrainingSAEConfig(**shape, k=asked["k"]))
    config = SAETrainerConfig(
        total_training_samples=asked["steps"] * BATCH,
        train_batch_size_samples=BATCH,
        lr=asked["lr"],
        lr_end=asked["lr"],
        device="cpu",
        autocast=False,
        dead_feature_window=NEVER,
        feature_sampling_window=NEVER,
    )
    SAETrainer(cfg=config, sae=sae, data_provider=batches).fit()
    sae.eval()
    return sae.encode, sae.decode


compete(train)
