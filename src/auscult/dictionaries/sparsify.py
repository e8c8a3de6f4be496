"""The folder of EleutherAI's sparsify: ``cfg.json`` beside ``sae.safetensors``.

Tensors are ``encoder.weight [n_features, d_in]``, ``encoder.bias``, ``b_dec`` and ``W_dec``, which
has one row a feature. It knows one rule, ``z`` = the k largest of ``relu((x - b_dec) Wᵀ + b)``.
Of those trained with ``multi_topk`` its ``forward`` gives the reconstruction from 4 k features;
read here is what its ``encode`` and ``decode`` give.
"""

from pathlib import Path

import numpy as np

from auscult.core.errors import CheckpointError
from auscult.core.tensors import write_arrays, write_json
from auscult.dictionaries.base import Dictionary, Provenance
from auscult.dictionaries.foreign import (
    blank,
    count,
    expect_names,
    filled,
    read_settings,
    read_weights,
    shared_form,
)
from auscult.dictionaries.formats import provenance_from_settings, provenance_to_json
from auscult.dictionaries.topk import TopKDictionary

CFG, WEIGHTS = "cfg.json", "sae.safetensors"

_NAMES = {
    "encoder.weight": "W_enc",
    "encoder.bias": "b_enc",
    "W_dec": "W_dec",
    "b_dec": "b_dec",
}


def load_sparsify(folder: Path) -> Dictionary:
    """Read one hook point's folder as a ``topk`` dictionary; its name is taken for the tap.

    Raises:
        StoreError: A file is missing or damaged.
        CheckpointError: A setting is missing, or it is a transcoder or takes the largest of groups.
    """
    path = folder / CFG
    cfg, tensors = read_settings(path), read_weights(folder / WEIGHTS)
    for name in ("transcode", "skip_connection", "signed"):
        if cfg.get(name, False):
            raise CheckpointError(f"{folder} was trained with {name}, which is not known here")
    if cfg.get("activation", "topk") != "topk":
        raise CheckpointError(
            f"{folder} has the activation {cfg['activation']!r}; only 'topk' is known here"
        )
    d_in = count(cfg, "d_in", path)
    if cfg.get("num_latents", 0) == 0:
        n_features = d_in * count(cfg, "expansion_factor", path)
    else:
        n_features = count(cfg, "num_latents", path)
    dictionary = blank(TopKDictionary, d_in, n_features, path, k=count(cfg, "k", path))
    expect_names(tensors, _NAMES, folder)
    own = {_NAMES[name]: tensor for name, tensor in tensors.items()}
    own["W_enc"] = own["W_enc"].t()
    provenance = provenance_from_settings(cfg, Provenance(tap=folder.name), path)
    return filled(dictionary, own, provenance, folder)


def save_sparsify(dictionary: Dictionary, folder: Path) -> None:
    """Write a folder that sparsify loads from disk.

    Raises:
        StoreError: It is no top-k of positive activations, the only rule that sparsify has.
    """
    form, arrays = shared_form(dictionary, "sparsify", ["topk"])
    n_features, d_in = arrays["W_dec"].shape
    unit = bool(np.allclose(np.linalg.norm(arrays["W_dec"], axis=1), 1.0))
    cfg = {
        "activation": "topk",
        "d_in": d_in,
        "expansion_factor": max(1, n_features // d_in),
        "k": form.settings["k"],
        "multi_topk": False,
        "normalize_decoder": unit,
        "num_latents": n_features,
        "skip_connection": False,
        "transcode": False,
        "auscult": provenance_to_json(dictionary.provenance),
    }
    write_json(folder / CFG, cfg)
    arrays["W_enc"] = arrays["W_enc"].T
    write_arrays(folder / WEIGHTS, {theirs: arrays[ours] for theirs, ours in _NAMES.items()})
