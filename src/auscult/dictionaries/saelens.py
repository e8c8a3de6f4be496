"""Dictionaries that SAELens wrote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from auscult.core.errors import CheckpointError, StoreError
from auscult.core.tensors import read_arrays, read_json
from auscult.dictionaries.base import Dictionary, Provenance
from auscult.dictionaries.formats import restore
from auscult.dictionaries.relu import ReluDictionary
from auscult.dictionaries.topk import TopKDictionary

_REQUIRED = ("architecture", "d_in", "d_sae", "apply_b_dec_to_input", "normalize_activations")
_TENSORS = ("W_enc", "b_enc", "W_dec", "b_dec")


def load_saelens(folder: Path) -> Dictionary:
    """Read a SAELens 6 folder with architecture standard, topk or abstopk.

    What its settings leave open is refused, never guessed: features differ wholly with the wrong
    ``apply_b_dec_to_input``.

    Raises:
        StoreError: A file is missing or damaged.
        CheckpointError: A setting is missing, or asks for what cannot be expressed.
    """
    cfg, arrays = read_json(folder / "cfg.json"), read_arrays(folder / "sae_weights.safetensors")
    if not isinstance(cfg, dict):
        raise StoreError(f"{folder / 'cfg.json'} must hold an object")
    dictionary = _blank(cfg, folder)
    missing = [name for name in _TENSORS if name not in arrays]
    unexpected = sorted(set(arrays) - set(_TENSORS))
    if missing or unexpected:
        raise CheckpointError(
            f"the weights in {folder} do not fit: missing {missing}, unexpected {unexpected}"
        )
    W_enc, b_enc = arrays["W_enc"].astype(np.float32), arrays["b_enc"].astype(np.float32)
    W_dec, b_dec = arrays["W_dec"].astype(np.float32), arrays["b_dec"].astype(np.float32)
    if not cfg["apply_b_dec_to_input"]:
        # p = x W_enc + b_enc = (x - b_dec) W_enc + (b_enc + b_dec W_enc)
        b_enc = (b_enc + b_dec.astype(np.float64) @ W_enc).astype(np.float32)
    weights = {
        "linear.encoder": np.ascontiguousarray(W_enc.T),
        "linear.encoder_bias": b_enc,
        "linear.decoder": W_dec,
        "linear.decoder_bias": b_dec,
        "preprocess.mean": dictionary.preprocess.mean.numpy().copy(),
        "preprocess.scale": dictionary.preprocess.scale.numpy().copy(),
    }
    return restore(dictionary, weights, _provenance(cfg), str(folder))


def _blank(cfg: Mapping[str, Any], folder: Path) -> Dictionary:
    """A dictionary of the right type and size, with weights still to come."""
    missing = [key for key in _REQUIRED if key not in cfg]
    if missing:
        raise CheckpointError(
            f"{folder / 'cfg.json'} lacks {', '.join(missing)}: add what it was trained with"
        )
    if cfg["normalize_activations"] != "none" or cfg.get("reshape_activations", "none") != "none":
        raise CheckpointError(
            f"{folder} normalises or reshapes activations: fold that into the weights first"
        )
    d_in, architecture = int(cfg["d_in"]), cfg["architecture"]
    size: dict[str, Any] = {"n_features": int(cfg["d_sae"]), "centre": False, "scale": False}
    if architecture == "standard":
        return ReluDictionary(ReluDictionary.Params(norm="weighted", **size), d_in)
    if architecture not in ("topk", "abstopk"):
        raise CheckpointError(
            f"{folder} has architecture {architecture!r}; there are 'standard', 'topk', 'abstopk'"
        )
    if cfg.get("rescale_acts_by_decoder_norm", False):
        raise CheckpointError(
            f"{folder} ranks features by rescaled activations, which is not known here"
        )
    if "k" not in cfg:
        raise CheckpointError(f"{folder / 'cfg.json'} lacks k: add what it was trained with")
    signed = architecture == "abstopk"
    return TopKDictionary(TopKDictionary.Params(k=int(cfg["k"]), signed=signed, **size), d_in)


def _provenance(cfg: Mapping[str, Any]) -> Provenance:
    metadata = cfg.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return Provenance(
        model=str(metadata.get("model_name") or ""), tap=str(metadata.get("hook_name") or "")
    )
